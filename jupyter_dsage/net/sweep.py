"""Ends what a dead supervisor left behind: processes that jobs had started, found by a mark in their environment.

Every worker and all that it starts inherit the mark. Used by who starts supervisors, and by a child that takes the
place of one that was killed. Signals only processes of this user that carry the mark, and never a number that has
changed hands since it was looked at (psutil compares start times).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import time

from jupyter_dsage.lazy import psutil

MARK = "JUPYTER_DSAGE_PLACE"
"""Environment variable: the folder of the supervisor to which a process belongs."""

_PR_SET_CHILD_SUBREAPER = 36
_adopts = False


def adopt() -> None:
    """Have this process become the parent of processes that lose theirs below it (Linux)."""
    global _adopts  # noqa: PLW0603  (a process is such a parent or it is not)
    _adopts = True
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def sweep(place: str) -> int:
    """Kill every process whose mark lies in the folder `place`; return how many there were.

    The caller and its ancestors are spared. What the caller itself started with the mark must have been waited for.
    """
    me = psutil.Process()
    spared = {me.pid, *(process.pid for process in me.parents())}
    ended = 0
    for _ in range(10):  # a process may have started another meanwhile
        found = [process for process in _mine(me) if process.pid not in spared and _belongs(process, place)]
        for process in found:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        _wait_gone(found)
        _collect(found)
        ended += len(found)
        if not found:
            break
    return ended


def _wait_gone(processes: list[psutil.Process]) -> None:
    """Wait a moment until they are dead."""
    deadline = time.monotonic() + 0.5
    while any(map(_lives, processes)) and time.monotonic() < deadline:
        time.sleep(0.005)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _mine(me: psutil.Process) -> list[psutil.Process]:
    user = me.uids().real
    out = []
    for process in psutil.process_iter():
        try:
            if process.uids().real == user and _lives(process):
                out.append(process)
        except psutil.Error:
            continue
    return out


def _belongs(process: psutil.Process, place: str) -> bool:
    try:
        mark = process.environ().get(MARK, "")
    except (psutil.Error, OSError):
        return False
    return mark == place or mark.startswith(place + os.sep)


def _collect(processes: list[psutil.Process]) -> None:
    """Reap those that were adopted, for nobody else will."""
    for process in processes:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)


def collect(waited_for: set[int]) -> None:
    """Reap the dead that this process has adopted: all but those that it started and will wait for.

    A process that is not ours alone, such as a worker of Dask, has adopted nobody: its children are its own affair.
    """
    if not _adopts:
        return
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess, ChildProcessError):
            if process.pid not in waited_for and process.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(process.pid, os.WNOHANG)
