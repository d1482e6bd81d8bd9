"""The main job against ``ProcessPoolExecutor.map(chunksize=1)``, side by side in one run, 2 workers each.

    python -m tests.benchmarks.main_job [--rounds N]

Rounds alternate between the two; the figures are medians, with the spread beside them. Run it alone: with two cores,
anything else that runs is in the figures.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

import jupyter_dsage as dsage
from jupyter_dsage.services import all_series

if TYPE_CHECKING:
    from collections.abc import Callable

WORKERS = 2
NOOPS = 100_000
SECONDS = 10
HISTOGRAMS = 100


def noop(x):
    return x


def sleep_one(_):
    time.sleep(1.0)


def histogram(_):
    return all_series(1000, distribution="normal", loc=1, scale=1, bins=10)


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def noops_of_ours(session) -> None:
    batch = session.map(noop, range(NOOPS))
    assert batch.results() == list(range(NOOPS))
    assert batch[NOOPS // 2].result() == NOOPS // 2  # each job is a future of its own


def compare(rounds: int, ours: Callable[[], object], peer: Callable[[], object]) -> tuple[list[float], list[float]]:
    ours(), peer()  # warm up: imports, forks, caches
    pairs = [(timed(ours), timed(peer)) for _ in range(rounds)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def show(name: str, ours: list[float], peer: list[float]) -> float:
    a, b = statistics.median(ours), statistics.median(peer)
    print(
        f"{name:<34} ours {a:8.4f} s ({min(ours):.4f}-{max(ours):.4f})   "
        f"ProcessPoolExecutor {b:8.4f} s ({min(peer):.4f}-{max(peer):.4f})   ratio {b / a:6.2f}"
    )
    return b / a


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(
        f"Python {platform.python_version()}, {platform.machine()}, {WORKERS} workers, {rounds} rounds in turn, alone"
    )
    with dsage.spawn(f"local:?slots={WORKERS}") as session, ProcessPoolExecutor(WORKERS) as pool:
        session.wait_for_workers()
        few = max(1, rounds // 2)  # one round of the peer takes 15 s
        fast = show(
            f"{NOOPS:,} no-op jobs",
            *compare(few, lambda: noops_of_ours(session), lambda: list(pool.map(noop, range(NOOPS), chunksize=1))),
        )
        same = show(
            f"{HISTOGRAMS} histogram jobs",
            *compare(
                4 * rounds,
                lambda: session.map(histogram, range(HISTOGRAMS)).results(),
                lambda: list(pool.map(histogram, range(HISTOGRAMS), chunksize=1)),
            ),
        )
        ideal = SECONDS / WORKERS
        took = statistics.median(timed(lambda: session.map(sleep_one, range(SECONDS)).results()) for _ in range(3))
        over = took / ideal - 1
        print(f"{f'{SECONDS} jobs of 1 s':<34} ours {took:8.4f} s   ideal {ideal:.1f} s   {over:+.2%}")
    verdicts = {
        "no-ops at least 20 times ProcessPoolExecutor": fast >= 20,
        "10 jobs of 1 s within 5 % of ideal": over <= 0.05,
        "100 histograms no slower than ProcessPoolExecutor": same >= 1.0,
    }
    for aim, met in verdicts.items():
        print(f"{'met   ' if met else 'MISSED'} {aim}")
    return 0 if all(verdicts.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
