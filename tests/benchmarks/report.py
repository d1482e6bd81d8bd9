"""The report: what was measured and what it means for the aims, as Markdown. It measures nothing.

``python -m tests.benchmarks.report`` renders report.json anew, after a change of the table of aims or of this file;
given the folders of several runs (``bench --into``) it makes one report of them, with each run's verdicts.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.aims import verdict, verdicts
from tests.benchmarks.figures import LABELS, Figures, short, spread
from tests.benchmarks.peers import PEERS, peer_class
from tests.benchmarks.reasons import why
from tests.benchmarks.workloads import SLOW, WORKLOADS, Workload

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.benchmarks.aims import Verdict


_PREAMBLE = """\
Made by `make bench`; do not edit. Two workers each, every run in a process of its own, peers in turn within one run of
the suite; medians, with the least and the most in brackets. **Ratios are what carries over to other machines.** A peer
that is too slow for all jobs gets fewer, and one that takes long to start has one turn only: see the remarks.
"""


def packed(figures: Figures) -> dict[str, Any]:
    """Return the figures as they are kept on disk."""
    return {"machine": figures.machine, "runs": figures.runs}


def load(path: Path) -> Figures:
    """Read figures that were kept."""
    return Figures(**json.loads(path.read_text(encoding="utf-8")))


def together(several: Sequence[Figures]) -> Figures:
    """Return the figures of several runs of the suite as one, in which each run knows whose it is."""
    machine = several[0].machine | {"runs of the suite": str(len(several))}
    return Figures(machine, [run | {"suite": at} for at, one in enumerate(several) for run in one.runs])


def write(figures: Figures, folder: Path) -> None:
    """Write the plots and REPORT.md into a folder."""
    from tests.benchmarks import plots

    pictures = plots.draw(figures, folder / "plots")
    profiles = [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted((folder / "plots").glob("profile-*.json"))
    ]
    kept = folder / "plots" / "engines.json"
    engines = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else None
    (folder / "REPORT.md").write_text(render(figures, pictures, profiles, engines), encoding="utf-8")


def render(
    figures: Figures,
    pictures: Sequence[tuple[str, str]] = (),
    profiles: Iterable[dict[str, Any]] = (),
    engines: dict[str, Any] | None = None,
) -> str:
    """Return the report.

    `pictures`: title and path of each; `profiles`, `engines`: what `tests.benchmarks.profile` and `engines` kept.
    """
    judged = verdicts(figures.medians())
    parts = [
        "# Benchmarks\n",
        _PREAMBLE,
        _table(("", ""), figures.machine.items()),
        "## Aims\n",
        f"{_tally(judged)}\n",
        _table(("aim", "ours", "measured", "bound", "ratio", "verdict"), [_row(one) for one in judged]),
        *_each(figures, judged),
        *_reasons(figures),
    ]
    parts += [f"![{title}]({path})\n" for title, path in pictures]
    for workload in WORKLOADS.values():
        parts += _workload(workload, figures)
    parts += _engines(engines) if engines else []
    parts += ["## Peers\n", "How each is used, and where its documentation says so.\n", _peers(figures)]
    for profile in profiles:
        parts += _profile(profile)
    return "\n".join(parts)


def missed(figures: Figures) -> list[Verdict]:
    """Return the aims that were missed, but not what lies beyond them."""
    return [one for one in verdicts(figures.medians()) if one.state == "MISSED" and not one.aim.beyond]


def aims_in_plain(figures: Figures) -> str:
    """Return the verdicts as lines for a terminal."""
    lines = []
    for one in verdicts(figures.medians()):
        known = one.measured is not None and one.bound is not None
        numbers = f"{short(one.measured)} against {short(one.bound)}" if known else "-"
        lines.append(f"{one!s:<24} {one.aim.text} ({one.ours}: {numbers})")
    return "\n".join(lines)


def cell(name: str, values: list[float]) -> str:
    """Return one figure with its label."""
    return f"{LABELS[name]}: {spread(values)}"


def _tally(judged: Sequence[Verdict]) -> str:
    aims = [one for one in judged if not one.aim.beyond]
    counts = {state: sum(one.state == state for one in aims) for state in ("met", "MISSED", "unknown")}
    return (
        ", ".join(f"{count} {state}" for state, count in counts.items() if count) + "; what lies beyond is not counted."
    )


def _row(one: Verdict) -> tuple[str, ...]:
    number = [short(value) if value is not None else "-" for value in (one.measured, one.bound, one.ratio)]
    word = f"**{one}**" if one.state == "MISSED" else str(one)
    return (one.aim.text, one.ours, number[0], f"{one.aim.sense} {number[1]}", number[2], word)


def _each(figures: Figures, judged: Sequence[Verdict]) -> list[str]:
    """Return what several runs of the suite judged differently, if there were several."""
    suites = sorted({run.get("suite", 0) for run in figures.runs})
    if len(suites) == 1:
        return []
    apart = [Figures({}, [run for run in figures.runs if run["suite"] == suite]).medians() for suite in suites]
    rows = []
    for one in judged:
        states = [verdict(one.aim, one.ours, medians).state for medians in apart]
        if len({state for state in states if state != "unknown"}) > 1:
            rows.append((one.aim.text, one.ours, ", ".join(states)))
    agreed = len(judged) - len(rows)
    told = (
        f"{len(suites)} runs of the suite, one after the other, agree on {agreed} of {len(judged)} verdicts; a run "
        "that did not measure a figure (it had less time, or fewer peers) has no word in that."
    )
    return [
        told + (" They differ on these:\n" if rows else "\n"),
        *([_table(("aim", "ours", "in each run"), rows)] if rows else []),
    ]


def _reasons(figures: Figures) -> list[str]:
    """Return why the aims that were missed were, a paragraph a workload."""
    names = dict.fromkeys(one.aim.workload for one in missed(figures))
    told = [f"**{WORKLOADS[name].title}.** {why(name, figures.medians())}\n" for name in names]
    return ["## Why some are missed\n", *told] if told else []


def _workload(workload: Workload, figures: Figures) -> list[str]:
    """Return one workload's chapter: who reached what, the best first, and what there is to remark."""
    values = figures.values()
    first = workload.figures[0]
    rows = []
    for peer in workload.peers:
        found = [values.get((workload.name, peer, name)) for name in workload.figures]
        if any(found):
            rows.append((peer, *(spread(one) if one else "-" for one in found)))
    if not rows and not figures.remarks(workload.name):
        return []
    best = _best(workload, figures, first)
    parts = [f"## {workload.title}\n", _table(("peer", *(LABELS[name] for name in workload.figures)), rows)]
    if best:
        parts.append(f"Best: {best}.\n")
    remarks = [f"- {peer}: {sentence}" for _, peer, sentence in figures.remarks(workload.name)]
    if remarks:
        parts.append("\n".join(remarks) + "\n")
    return parts


LESS_IS_BETTER = {
    *("scatter_ms", "p50_us", "undeclared_s", "declared_s", "first_s", "waiting_mb", "over_greedy", "over_ideal"),
}


def _best(workload: Workload, figures: Figures, figure: str) -> str:
    """Say who has the best median of the first column, ours or not."""
    found = {
        peer: value
        for (name, peer, what), value in figures.medians().items()
        if (name, what) == (workload.name, figure)
    }
    if len(found) <= 1 or "right" in workload.figures:
        return ""
    peer = (min if figure in LESS_IS_BETTER else max)(found, key=lambda name: found[name])
    return f"{peer}, {short(found[peer])} ({LABELS[figure]})"


def _peers(figures: Figures) -> str:
    versions = figures.versions()
    missing = {peer for _, peer, said in figures.remarks() if said.startswith("missing")}
    rows = []
    for name in PEERS:
        version = "could not be installed here" if name in missing else versions.get(name, "-")
        rows.append((name, version, "one" if name in SLOW else "several", peer_class(name).how))
    return _table(("peer", "version", "turns", "how"), rows)


def _engines(kept: dict[str, Any]) -> list[str]:
    """Return the chapter of the engines: what `tests.benchmarks.engines` kept."""
    rows, mine = [], 0.0
    for row in kept["rows"]:
        ours = row["api"] == "jupyter_dsage"
        mine = row["rate"] if ours else mine
        times = "" if ours else f"ours: {mine / row['rate']:,.0f} times"
        rows.append((row["engine"], row["api"], short(row["rate"]), short(row["echo"]) if row["echo"] else "-", times))
    told = (
        f"By `make bench-engines`, a run of its own ({kept['machine']['date']}, load before "
        f"{kept['machine']['load before']}): two workers, no journal, 100,000 jobs (fewer for the engine's own "
        "call, one a job), and one array of 100 MB there and back; all clusters on this host.\n"
    )
    return ["## Engines\n", told, _table(("engine", "through", "jobs/s", "100 MB echo, s", ""), rows)]


def _profile(profile: dict[str, Any]) -> list[str]:
    """Return one profile's chapter: what `tests.benchmarks.profile` kept."""
    parts = [f"## Where the time goes: {profile['workload']}\n"]
    if profile.get("note"):
        parts.append(profile["note"] + "\n")
    for process, rows in profile["processes"].items():
        parts += [
            f"### {process}\n",
            _table(("part of the samples", "function"), [(f"{part:.1%}", f"`{name}`") for part, name in rows]),
        ]
    return parts


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(one).replace("|", "\\|") for one in line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    HERE = Path(__file__).parent
    folders = [Path(folder) for folder in sys.argv[1:]]
    if folders:
        kept = json.dumps(
            packed(together([load(folder / "report.json") for folder in folders])), indent=1, ensure_ascii=False
        )
        (HERE / "report.json").write_text(kept + "\n", encoding="utf-8")
    write(load(HERE / "report.json"), HERE)
