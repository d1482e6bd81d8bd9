"""How much memory workers take with the processes that they started; asked only where a limit says so."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.lazy import psutil

if TYPE_CHECKING:
    from collections.abc import Collection


class Families:
    """Looks at the workers of the calling process, and now and then for the processes that they have started."""

    def __init__(self) -> None:
        self._trees: dict[int, list[psutil.Process]] = {}
        self._due = 0.0

    def look(self, pids: Collection[int], now: float) -> None:
        """Look for what these workers have started, if it is time."""
        if now < self._due:
            return
        self._due = now + settings.TREE_SECONDS
        self._trees = {}
        started = psutil.Process().children(recursive=True) if pids else []
        parents = {process.pid: _parent(process) for process in started}
        for process in started:
            if process.pid not in pids and (owner := _owner(process.pid, parents, pids)) is not None:
                self._trees.setdefault(owner, []).append(process)

    def used(self, pid: int, limit: int) -> int:
        """Return the resident memory of a worker and what it started.

        What they share is counted once where the system tells; that costs more, so only if the sum is above `limit`.
        """
        tree = [psutil.Process(pid), *self._trees.get(pid, ())]
        used = sum(map(_resident, tree))
        if used <= limit or len(tree) == 1:
            return used
        return sum(map(_share, tree))


def _owner(pid: int, parents: dict[int, int], workers: Collection[int]) -> int | None:
    """Return the worker that a process descends from, or whose group it is in if its parents are gone."""
    at = pid
    while at in parents:
        if at in workers:
            return at
        at = parents[at]
    try:
        group = os.getpgid(pid)
    except ProcessLookupError:
        return None
    return group if group in workers else None


def _parent(process: psutil.Process) -> int:
    try:
        return int(process.ppid())
    except psutil.NoSuchProcess:
        return 0


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _share(process: psutil.Process) -> int:
    """Return a process's memory, its part only of what it shares with others."""
    try:
        return int(getattr(process.memory_full_info(), "pss", 0)) or _resident(process)
    except psutil.AccessDenied:
        return _resident(process)
    except psutil.NoSuchProcess:
        return 0
