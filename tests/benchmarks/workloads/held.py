"""How long a call that hands over many jobs keeps its caller, and whether it draws more than it needs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psutil

from tests.benchmarks import jobs
from tests.benchmarks.meter import MEGABYTE
from tests.benchmarks.run import timed

if TYPE_CHECKING:
    from tests.benchmarks.run import Run

JOBS = 100_000
ENDLESS = 10_000_000


def held(run: Run) -> None:
    peer = run.open()
    wanted = max(100, int(JOBS * run.scale))
    count = run.count(JOBS, peer.most_single, least=100)
    calls = [((i,), {}) for i in range(count)]

    def once() -> float:
        if run.ours:
            seconds, begun = timed(lambda: peer.begin_scatter(jobs.noop, calls))
        else:
            seconds, begun = timed(lambda: peer.begin_map(jobs.noop, range(count)))
        peer.gather(begun)
        return seconds * 1000 * wanted / count

    run.add("scatter_ms", *run.repeat(once))
    if count < wanted:
        run.notes.append(f"the time that the caller is held is that of {count:,} jobs, times {wanted / count:.0f}")
    if peer.lazy:
        _generator(run)
    else:
        run.notes.append("draws all of its iterable before or while its map returns, so no endless generator")


def _generator(run: Run) -> None:
    """Let a generator of ten million run for a second, and cancel it."""
    me = psutil.Process()
    before = me.memory_info().rss
    seconds, begun = timed(lambda: run.peer.begin_map(jobs.noop, (i for i in range(ENDLESS))))
    time.sleep(1.0 if run.scale >= 1 else 0.2)
    run.add("generator_ms", seconds * 1000)
    run.add("generator_mb", (me.memory_info().rss - before) / MEGABYTE)
    run.peer.cancel(begun)
