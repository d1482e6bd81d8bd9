"""What the journal costs: 100,000 no-op jobs with it and without it, in turn, in one run, 2 workers each.

    python -m tests.benchmarks.journal [--rounds N]

Each figure is the best of four batches of one session; the last line compares the medians of the rounds. Run it alone.
"""

from __future__ import annotations

import argparse
import statistics
import time

import jupyter_dsage as dsage

NOOPS = 100_000
MOST = 0.15
"""The part of the throughput that the journal may cost."""


def seconds(*, journal: bool) -> float:
    """Return the seconds of the fastest of four batches."""
    with dsage.spawn("local:?slots=2", journal=journal) as session:
        session.wait_for_workers(30)
        session.map(abs, range(1000)).wait()
        times = []
        for _ in range(4):
            begun = time.perf_counter()
            session.map(abs, range(NOOPS)).wait()
            times.append(time.perf_counter() - begun)
    return min(times)


def main() -> None:
    """Measure, and say whether the promise is kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with_it, without = [], []
    for _ in range(rounds):
        with_it.append(seconds(journal=True))
        without.append(seconds(journal=False))
    for name, times in (("with the journal", with_it), ("without", without)):
        print(f"{name:18} {statistics.median(times):.4f} s ({min(times):.4f}-{max(times):.4f})")
    cost = 1 - statistics.median(without) / statistics.median(with_it)
    word = "met   " if cost <= MOST else "missed"
    print(f"{word} the journal costs at most {MOST:.0%} of the throughput: {cost:.1%}")


if __name__ == "__main__":
    main()
