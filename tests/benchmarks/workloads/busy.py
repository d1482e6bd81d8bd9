"""Jobs that work: the workbook's histograms, and jobs that keep a core busy for a known time."""

from __future__ import annotations

import heapq
import math
import random
from typing import TYPE_CHECKING

from tests.benchmarks import jobs
from tests.benchmarks.run import WORKERS, timed

if TYPE_CHECKING:
    from tests.benchmarks.run import Run

TAIL_MEAN = 0.005
TAIL_SIGMA = 1.5
"""The longest of 2,000 is then some 50 times the mean."""


def hist_10k(run: Run) -> None:
    peer = run.open()
    count = run.count(10_000, peer.most_mapped, least=20)
    peer.run_each(jobs.histogram, range(4 * WORKERS))  # numpy is imported
    run.add("jobs_per_s", *run.repeat(lambda: count / timed(lambda: peer.map_many(jobs.histogram, range(count)))[0]))
    run.add("jobs", count)


def hist_100(run: Run) -> None:
    peer = run.open()
    peer.run_each(jobs.histogram, range(4 * WORKERS))
    run.add(
        "batches_per_s", *run.repeat(lambda: 1 / timed(lambda: peer.run_each(jobs.histogram, range(100)))[0], most=20)
    )


def seconds_10(run: Run) -> None:
    peer = run.open()
    length = 1.0 if run.scale >= 1 else 0.05
    ideal = 10 * length / WORKERS

    def once() -> float:
        return timed(lambda: peer.run_each(jobs.nap, [length] * 10))[0] / ideal

    run.add("over_ideal", *run.repeat(once, most=2, seconds=6))


def busy_1ms(run: Run) -> None:
    _busy(run, [0.001] * run.count(2000, least=20))


def busy_10ms(run: Run) -> None:
    _busy(run, [0.01] * run.count(2000, least=20))


def busy_tail(run: Run) -> None:
    lengths = tail(run.count(2000, least=20))
    wall = _busy(run, lengths)
    run.add("over_greedy", wall / greedy(lengths, WORKERS))


def _busy(run: Run, lengths: list[float]) -> float:
    """Run the jobs; note how well the workers were used, and return the seconds it took."""
    peer = run.open()
    peer.run_each(jobs.spin, [0.001] * 20)
    wall, _ = timed(lambda: peer.run_each(jobs.spin, lengths))
    run.add("efficiency", sum(lengths) / (WORKERS * wall))
    return wall


def tail(count: int) -> list[float]:
    """Return log-normal lengths, the same ones each time."""
    draw = random.Random(2008)
    mu = math.log(TAIL_MEAN) - TAIL_SIGMA**2 / 2
    return [draw.lognormvariate(mu, TAIL_SIGMA) for _ in range(count)]


def greedy(lengths: list[float], workers: int) -> float:
    """Return when the last job ends if each goes, in order and at no cost, to who is free first."""
    free = [0.0] * workers
    for length in lengths:
        heapq.heapreplace(free, free[0] + length)
    return max(free)
