"""How long one job takes there and back: one after the other, and after a rest of 10 ms."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.benchmarks import jobs

if TYPE_CHECKING:
    from tests.benchmarks.run import Run

MOST_SECONDS = 12.0


def roundtrip(run: Run) -> None:
    peer = run.open()
    laps = run.count(3000, least=20)
    for _ in range(max(5, laps // 30)):
        peer.one(jobs.noop, 1)
    at_once = _laps(run, laps, rest=0.0)
    run.add("p50_us", at_once[len(at_once) // 2])
    run.add("p99_us", at_once[min(len(at_once) - 1, int(len(at_once) * 0.99))])
    rested = _laps(run, max(10, laps // 15), rest=0.01)
    run.add("rested_us", rested[len(rested) // 2])


def _laps(run: Run, laps: int, rest: float) -> list[float]:
    """Return the microseconds of each, sorted."""
    peer, clock = run.peer, time.perf_counter
    stop = clock() + MOST_SECONDS
    took = []
    for _ in range(laps):
        if rest:
            time.sleep(rest)
        began = clock()
        peer.one(jobs.noop, 1)
        took.append((clock() - began) * 1e6)
        if clock() > stop:
            run.notes.append(f"{len(took)} rounds in {MOST_SECONDS:.0f} s")
            break
    return sorted(took)
