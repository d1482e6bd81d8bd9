"""Processes that a supervisor has to do with: the dead ones to collect, and killing a worker with what it started."""

from __future__ import annotations

import os
import signal

from jupyter_dsage.lazy import psutil


def dead_pid() -> int | None:
    """Return the pid of a process of ours that is dead and not collected, or None. Collects nothing."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        zombies = (p.pid for p in psutil.Process().children() if p.status() == psutil.STATUS_ZOMBIE)
        return next(zombies, None)
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if found is None else found.si_pid


def stopped(pid: int) -> bool:
    """Tell whether a process of ours, not collected yet, is stopped (SIGSTOP). Changes nothing.

    The system's own answer: psutil takes 30 ms of a core to load, while jobs run, and 2 ms cold at each look.
    """
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        try:
            return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
        except psutil.NoSuchProcess:
            return False
    try:
        return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def kill_group(pid: int) -> None:
    """Kill a worker's process group; while any member lives the number cannot be anybody else's."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def started(pid: int) -> list[psutil.Process]:
    """Return all that a process has started, directly or not, and that is there."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def kill(found: list[psutil.Process]) -> None:
    """Kill processes that were found before; psutil compares the start time: a pid used anew is left alone."""
    for process in found:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def kill_tree(pid: int) -> None:
    """Kill a worker that is not collected yet, its group, and all that it started in groups of their own."""
    found = started(pid)
    kill_group(pid)
    kill(found)


def collect() -> None:
    """Reap whatever has died, for nobody else will."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return
