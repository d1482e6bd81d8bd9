"""Many jobs that use one large array: declared as each peer's documentation says, and not declared at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.meter import MEGABYTE
from tests.benchmarks.peers.peer import CannotError
from tests.benchmarks.run import timed

if TYPE_CHECKING:
    from tests.benchmarks.run import Run

JOBS = 200
FEW = 20
"""Undeclared, most peers send the array along with each job: a tenth of the jobs tells it, times ten."""


def share(run: Run) -> None:
    import numpy as np

    peer = run.open()
    array = np.random.default_rng(1).random(max(1000, int(50 * run.scale * MEGABYTE / 8)))
    peer.share_undeclared(array[:10], 4)  # numpy is imported at the workers
    few = JOBS if peer.sends_once else FEW
    seconds, values = timed(lambda: peer.share_undeclared(array, few))
    assert list(values) == array[:few].tolist()
    run.add("undeclared_s", seconds * JOBS / few)
    if few < JOBS:
        run.notes.append(f"undeclared: {few} jobs, times {JOBS // few}")
    try:
        fresh = array + 1  # nobody has seen this one before
        seconds, values = timed(lambda: peer.share(fresh, JOBS))
    except CannotError as error:
        run.notes.append(f"declared: {error}")
        return
    assert list(values) == fresh[:JOBS].tolist()
    run.add("declared_s", seconds)
