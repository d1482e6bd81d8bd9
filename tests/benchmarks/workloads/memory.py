"""How much all processes grow while 100,000 jobs wait, and when they have finished and nobody took the results."""

from __future__ import annotations

import gc
import tempfile
import time
from typing import TYPE_CHECKING

from tests.benchmarks import jobs
from tests.benchmarks.meter import family, proportional
from tests.benchmarks.run import WORKERS

if TYPE_CHECKING:
    from tests.benchmarks.run import Run

JOBS = 100_000


def memory(run: Run) -> None:
    peer = run.open()
    count = run.count(JOBS, peer.most_single, least=100)
    peer.map_many(jobs.noop, range(1000 if run.scale >= 1 else 50))
    with tempfile.NamedTemporaryFile() as gate:
        before = _settled()
        held = peer.begin_map(jobs.hold, [gate.name] * WORKERS)
        begun = peer.begin_map(jobs.noop, range(count))
        waiting = _settled()
    peer.gather(held)
    peer.settle(begun)
    finished = _settled()
    scaled = JOBS * min(run.scale, 1.0) / count
    if scaled > 1:
        run.notes.append(f"the growth is that of {count:,} jobs, times {scaled:.0f}")
    run.add("waiting_mb", (waiting - before) * scaled)
    run.add("finished_mb", (finished - before) * scaled)
    run.add("jobs", count)


def _settled() -> float:
    """Return the MB of all processes once that has stopped to grow."""
    gc.collect()
    stop = time.monotonic() + 5
    last, still = proportional(family()), 0
    while time.monotonic() < stop:
        time.sleep(0.2)
        now = proportional(family())
        still = still + 1 if abs(now - last) < 0.5 else 0
        if still == 3:  # what a thread hands over meanwhile has come
            return now
        last = now
    return last
