"""Large arrays there and back. One pass over what came back is timed for all, so that lazy mapping is not flattered."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.benchmarks.meter import MEGABYTE, Peak, family
from tests.benchmarks.run import timed

if TYPE_CHECKING:
    from tests.benchmarks.run import Run

LAPS = 16
"""Echoes of 100 MB before the first that counts, and then: Ray's store takes new pages for most of the first ten or so
(1,800 MB/s), later mostly those that it has used (4,500 MB/s). Half and half would have no median that stays."""


def echo_100(run: Run) -> None:
    import numpy as np

    peer = run.open()
    array = np.random.default_rng(1).random(max(1000, int(100 * run.scale * MEGABYTE / 8)))
    laps = iter(range(100))

    def once() -> float:
        fresh = array.copy()  # joblib keeps what it knows by its address, and misses what was written into it
        fresh[0] = next(laps)
        seconds, back = timed(lambda: _touched(peer.echo(fresh)))
        assert np.array_equal(back, fresh)
        return 2 * array.nbytes / MEGABYTE / seconds

    _memory(run, array)
    run.repeat(once, LAPS, 3.0)
    run.add("mb_per_s", *run.repeat(once, LAPS))


def _touched(array):
    array.sum()
    return array


def _memory(run: Run, array) -> None:
    """Measure the peaks of the first large echo: later ones find room that the first has left."""
    run.peer.echo_many([array[:1000]] * 8)  # numpy is imported everywhere
    workers = run.peer.worker_pids()
    peak = Peak(family())
    _touched(run.peer.echo(array))
    me = {os.getpid()}
    run.add("client_mb", peak.growth(me))
    run.add("workers_mb", peak.growth(workers))
    run.add("infra_mb", peak.growth(peak.pids - workers - me))


def echo_200(run: Run) -> None:
    import numpy as np

    peer = run.open()
    count = run.count(200, least=4)
    arrays = [np.random.default_rng(i).random(MEGABYTE // 8) for i in range(count)]

    def once() -> float:
        fresh = [array + 1 for array in arrays]
        seconds, back = timed(lambda: [_touched(array) for array in peer.echo_many(fresh)])
        assert all(np.array_equal(a, b) for a, b in zip(fresh, back, strict=True))
        return 2 * count * arrays[0].nbytes / MEGABYTE / seconds

    once()
    run.add("mb_per_s", *run.repeat(once, most=4))
