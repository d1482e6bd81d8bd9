"""How much memory processes take: proportional (shared pages count by parts), and the peak since a moment.

Linux tells both; elsewhere the memory that is a process's own is taken, and there is no peak.
"""

from __future__ import annotations

import os
from pathlib import Path

import psutil

MEGABYTE = 1_000_000


def family() -> list[psutil.Process]:
    """Return all processes of this run: those below the one that started it, which adopts what is orphaned."""
    try:
        return psutil.Process(os.getppid()).children(recursive=True)
    except psutil.NoSuchProcess:
        return [psutil.Process(), *psutil.Process().children(recursive=True)]


def proportional(processes: list[psutil.Process]) -> float:
    """Return the MB that processes take together."""
    return sum(_pss(process) for process in processes) / MEGABYTE


def _pss(process: psutil.Process) -> int:
    try:
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return process.memory_full_info().uss
    except psutil.Error:
        return 0


class Peak:
    """The growth of resident memory at its peak, from the moment this is made."""

    def __init__(self, processes: list[psutil.Process]) -> None:
        self._before: dict[int, int] = {}
        for process in processes:
            try:
                Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # the peak starts anew
                self._before[process.pid] = _status(process.pid, "VmRSS:")
            except OSError:
                continue

    def growth(self, pids: set[int]) -> float:
        """Return the MB by which some of the processes grew at their peaks."""
        grown = 0
        for pid in pids & self._before.keys():
            try:
                grown += max(0, _status(pid, "VmHWM:") - self._before[pid])
            except OSError:
                continue
        return grown / MEGABYTE

    @property
    def pids(self) -> set[int]:
        """The processes that are watched."""
        return set(self._before)


def _status(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    return 0
