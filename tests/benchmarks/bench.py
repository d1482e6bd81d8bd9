"""Us and our peers side by side: ``make bench`` and ``make bench-quick``, or ``python -m tests.benchmarks.bench``.

Peers take turns, round by round, each run in a process of its own. Writes REPORT.md, report.json and the plots here,
unless it is a quick run or one at a small scale: these only print. Run it alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks import report
from tests.benchmarks.figures import Figures
from tests.benchmarks.machine import machine
from tests.benchmarks.peers import PEERS
from tests.benchmarks.turns import adopt, turn
from tests.benchmarks.workloads import QUICK, QUICK_PEERS, SLOW, WORKLOADS, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
MINUTES, QUICK_MINUTES = 45.0, 3.0


def main() -> int:
    """Measure, print, and keep what was measured; 1 if an aim was missed."""
    given = _arguments()
    adopt()
    figures = Figures(machine())
    deadline = time.monotonic() + 60 * given.minutes
    for workload, peer, number in _turns(given):
        rest = deadline - time.monotonic()
        if rest <= 0:
            figures.runs.append(_left_out(workload, peer))
            continue
        print(f"{time.strftime('%H:%M:%S')}  {workload.name}, round {number + 1}, {peer} ... ", end="", flush=True)
        answer = turn(workload.name, peer, _options(given), min(workload.stop, rest + 30))
        figures.runs.append(answer)
        print(_line(answer), flush=True)
    if given.into:
        given.into.mkdir(exist_ok=True)
        kept = json.dumps(report.packed(figures), indent=1, ensure_ascii=False)
        (given.into / "report.json").write_text(kept + "\n", encoding="utf-8")
        report.write(figures, given.into)
        print(f"\nwritten: REPORT.md, report.json and plots in {given.into.name}")
    print("\n" + report.aims_in_plain(figures))
    return 1 if report.missed(figures) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", help="workloads, with commas between")
    parser.add_argument("--peers", help="peers, with commas between")
    parser.add_argument("--rounds", type=int, help="turns of each peer (left out: as each workload says)")
    parser.add_argument("--scale", type=float, default=1.0, help="all counts times this, for trying; prints only")
    parser.add_argument("--quick", action="store_true", help="us, ProcessPoolExecutor and loky; prints only")
    parser.add_argument("--minutes", type=float, help="no run begins after so long")
    parser.add_argument("--into", type=Path, help="folder for the report (left out: here, if this is a whole run)")
    given = parser.parse_args()
    given.workloads = given.only.split(",") if given.only else list(QUICK if given.quick else WORKLOADS)
    given.chosen = set(given.peers.split(",") if given.peers else QUICK_PEERS if given.quick else [*PEERS, "machine"])
    for word, known in ((set(given.workloads), WORKLOADS), (given.chosen, {*PEERS, "machine"})):
        if unknown := word - set(known):
            parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    given.minutes = given.minutes or (QUICK_MINUTES if given.quick else MINUTES)
    if given.into is None and not (given.quick or given.only or given.peers) and given.scale == 1.0:
        given.into = HERE
    return given


def _turns(given: argparse.Namespace) -> Iterator[tuple[Workload, str, int]]:
    """Yield workload, peer and number of the round.

    All peers have their turns at a workload one after the other, and all workloads one round before any has another: so
    what drifts meets all alike, and where the time runs short, it is the last rounds that are missing.
    """
    workloads = [WORKLOADS[name] for name in given.workloads]
    rounds = {one.name: given.rounds or (1 if given.quick else one.rounds) for one in workloads}
    for number in range(max(rounds.values())):
        for workload in workloads:
            if number < rounds[workload.name]:
                for peer in _peers(workload, given):
                    if number == 0 or peer not in SLOW or peer in workload.often:
                        yield workload, peer, number


def _peers(workload: Workload, given: argparse.Namespace) -> list[str]:
    """Return who takes part; the quick run has one more where an aim is about it."""
    chosen = given.chosen | ({"ppe-spawn"} if given.quick and workload.name == "start" else set())
    return [peer for peer in workload.peers if peer in chosen]


def _options(given: argparse.Namespace) -> list[str]:
    return ["--scale", str(given.scale), *(["--quick"] if given.quick else [])]


def _left_out(workload: Workload, peer: str) -> dict[str, Any]:
    reason = "the time for the whole suite was over"
    return {"workload": workload.name, "peer": peer, "status": "left out", "reason": reason, "figures": {}, "notes": []}


def _line(answer: dict[str, Any]) -> str:
    """Write one run's answer as people read it."""
    one = Figures({}, [answer])
    figures = "; ".join(report.cell(name, values) for (_, _, name), values in one.values().items())
    remarks = "; ".join(sentence for _, _, sentence in one.remarks())
    return " | ".join(part for part in (figures, remarks) if part)


if __name__ == "__main__":
    sys.exit(main())
