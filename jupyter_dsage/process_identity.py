"""Which process a pid stands for: recognised by its start as the kernel counts it, never by the wall clock.

Everything in the package that stores or checks a process does so with these functions: connection files, session
records, greetings, the sweep of folders. A step of the system's clock (NTP, a resumed machine) changes none of them.

- Linux: clock ticks from boot to the process's start (field 22 of /proc/PID/stat, proc_pid_stat(5)), with the id of the
  boot: a process of an earlier boot, or of another host that shares the folder, is never mistaken for one of this.
- elsewhere (macOS): the kernel's own record of the start, which psutil reads. It is written when the process starts and
  stays as it was when the clock steps.

Older records hold seconds since the epoch instead: a *wall start*, a float. They are compared with
psutil's wall time to the second, as those versions did.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

if TYPE_CHECKING:
    import psutil

Start = Annotated[str, Meta(max_length=100)] | float
"""When a process started: an opaque text, or in old records seconds since the epoch."""

_PROC = Path("/proc")
_BOOT = "/proc/sys/kernel/random/boot_id"
_LARGEST_PID = 2**31 - 1
_STATE, _START_TICKS = 3 - 3, 22 - 3
"""Fields 3 and 22 of /proc/PID/stat, among those that follow the command, which is field 2."""
_WALL_SECONDS = 1.0
"""How exactly a wall start is compared."""


def start_of(pid: int) -> str | None:
    """Return the start of a process that runs, None where there is none; a zombie does not run any more."""
    if not 0 < pid <= _LARGEST_PID:
        return None
    return _start_in_proc(pid) if sys.platform == "linux" else _start_by_psutil(pid)


def own_start() -> str:
    """Return the start of the calling process."""
    return start_of(os.getpid()) or ""


def lives(pid: int, start: Start) -> bool:
    """Tell whether the process runs that had this pid and this start."""
    if isinstance(start, str):
        return bool(start) and start_of(pid) == start
    return start_of(pid) is not None and _wall_start_is(pid, start)


def send_signal(pid: int, start: Start, number: int = signal.SIGKILL) -> bool:
    """Send a signal to a process if it is still the one that is meant; return whether it was sent.

    Where the system has pidfds (Linux 5.3), a process that takes over the number meanwhile is not hit.
    """
    descriptor = _pidfd(pid)
    try:
        if not lives(pid, start):  # asked after that was opened, which does not change hands
            return False
        if descriptor is None:
            os.kill(pid, number)
        else:
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        if descriptor is not None:
            os.close(descriptor)
    return True


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid) if sys.platform == "linux" and 0 < pid <= _LARGEST_PID else None
    except (OSError, AttributeError):  # gone; or a system without, or one that does not allow it
        return None


@cache
def boot_id() -> str:
    """Return a text that is another after each start of the machine, and not after a step of its clock."""
    try:
        return Path(_BOOT).read_text().strip()
    except OSError:
        return _mac_boot_id() if sys.platform == "darwin" else ""


def _start_in_proc(pid: int) -> str | None:
    try:
        line = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:  # none, or it ended while it was read (ESRCH)
        return None
    fields = line[line.rfind(b")") + 1 :].split()  # the command may hold spaces and parentheses
    if len(fields) <= _START_TICKS or fields[_STATE] in b"ZXx":
        return None
    return f"{fields[_START_TICKS].decode()}@{boot_id()}"


def _start_by_psutil(pid: int) -> str | None:
    import psutil  # 12 ms, which Linux can do without

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return f"{_kernel_time(process):.6f}@{boot_id()}"
    except psutil.Error:
        return None  # gone, or another user's: never one of ours


def _kernel_time(process: psutil.Process) -> float:
    """Return the start as the kernel wrote it down. From 7.1 on psutil moves `create_time` by the clock's steps."""
    try:
        found: float = process._proc.create_time(monotonic=True)  # type: ignore[attr-defined]  # noqa: SLF001
    except (AttributeError, TypeError):
        found = process.create_time()  # psutil before 7.1: the kernel's own
    return found


def _wall_start_is(pid: int, start: float) -> bool:
    import psutil  # as above

    try:
        return abs(psutil.Process(pid).create_time() - start) < _WALL_SECONDS
    except psutil.Error:
        return False


def _mac_boot_id() -> str:
    """Return ``kern.bootsessionuuid``, empty where there is none."""
    import ctypes

    text = ctypes.create_string_buffer(64)
    size = ctypes.c_size_t(len(text))
    read = ctypes.CDLL(None, use_errno=True).sysctlbyname
    return text.value.decode() if read(b"kern.bootsessionuuid", text, ctypes.byref(size), None, 0) == 0 else ""
