"""A worker is killed while jobs run: are all results right, how much longer does it take, and can one go on."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

from tests.benchmarks import jobs
from tests.benchmarks.peers.peer import CannotError
from tests.benchmarks.run import timed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.run import Run

PATIENCE = 60.0
LENGTH = 0.05
TIMES = 3
"""Ours: peers that lose a worker once may be of no use afterwards."""


def kill(run: Run) -> None:
    run.open()
    for _ in range(TIMES if run.ours and not run.quick else 1):
        _kill_one(run, run.count(200, least=20))


def _kill_one(run: Run, count: int) -> None:
    """Run the jobs, and run them again with a worker killed after a quarter of that time."""
    peer = run.peer
    undisturbed, _ = timed(lambda: _right(run, count))
    killer = threading.Timer(undisturbed / 4, os.kill, (min(peer.worker_pids()), signal.SIGKILL))
    killer.start()
    seconds, right = timed(lambda: _within(PATIENCE, lambda: _right(run, count)))
    killer.join()
    run.add("right", (right or 0) / count)
    if right is None:
        run.notes.append(f"hung: nothing more came within {PATIENCE:.0f} s")
        run.add("usable", 0)
        return
    if right == count:
        run.add("extra_s", seconds - undisturbed)
    run.add("usable", _within(15, lambda: peer.one(jobs.noop, 1)) == 1)


def _right(run: Run, count: int) -> int:
    """Return how many of the jobs gave the right value; what others raised is noted."""
    peer, lengths = run.peer, [LENGTH + i / 1e6 for i in range(count)]
    try:
        handles = peer.begin_single(jobs.nap, lengths)
    except CannotError:
        return len(_caught(run, lambda: peer.run_each(jobs.nap, lengths)) or ())
    return sum(
        _caught(run, lambda handle=handle: peer.gather([handle])) == [length]
        for handle, length in zip(handles, lengths, strict=True)
    )


def _caught(run: Run, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # noqa: BLE001  (whatever a peer raises is its answer)
        if type(error).__name__ not in run.notes:
            run.notes.append(type(error).__name__)
        return None


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """Return what a call returns, or None if it raises or takes longer: then it is left behind in its thread."""
    value = []

    def work() -> None:
        try:
            value.append(call())
        except Exception:  # noqa: BLE001  (it could not: that is the answer)
            value.append(None)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    return value[0] if value else None
