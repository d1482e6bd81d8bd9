"""What a test left behind: processes, threads, descriptors, folders, segments.

The fixture `nothing_left` (tests/conftest.py) makes a `Watch` before each test in tests/process/ and asks it
afterwards. Everything counts against what was there before, so a fixture of the whole session is not blamed
on a test. Segments are found by name: two runs of tests/process/ at once on one host can see each other's.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
import threading
import time
import uuid
from pathlib import Path

import psutil

MARK = "DSAGE_TEST_MARK"
PATIENCE = 5.0  # seconds: promise P8, everything of a session is gone in 5 s
SHM = Path("/dev/shm")  # noqa: S108 - the place itself is what we look at
OWN_FDS = Path("/proc/self/fd")


def children() -> set[psutil.Process]:
    """Return every living descendant of this process; a child nobody has waited for counts."""
    return set(psutil.Process().children(recursive=True))


def marked(mark: str) -> set[psutil.Process]:
    """Return every process of this host that has `mark` in its environment, wherever it hangs in the tree."""
    found = set()
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                found.add(process)
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or another user's: not ours
    return found


def descriptors() -> dict[int, str]:
    """Return the open descriptors of this process and what each stands for.

    Where the system does not list them (macOS), only their count tells: numbers from 0 without names.
    """
    if not OWN_FDS.exists():
        return dict.fromkeys(range(psutil.Process().num_fds()), "some descriptor")
    found = {}
    for name in os.listdir(OWN_FDS):  # noqa: PTH208 - the names are numbers, not paths
        try:
            found[int(name)] = os.readlink(OWN_FDS / name)  # noqa: PTH115 - the targets are not paths
        except FileNotFoundError:
            continue  # the descriptor of the listing itself
    return found


def folders() -> set[Path]:
    """Return the folders that sessions make for their sockets.

    tests/conftest.py gives the run a runtime folder of its own, so that sessions of others are not looked at.
    """
    return set(Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()).glob("dsage-*"))


def segments() -> set[Path]:
    """Return the shared memory of sessions."""
    return set(SHM.glob("dsage*")) if SHM.is_dir() else set()


def told(process: psutil.Process) -> str:
    """Name a process for a person: pid, status, command line."""
    try:
        words = " ".join(process.cmdline()) or process.name()
        return f"process {process.pid} ({process.status()}): {words}"
    except psutil.Error:
        return f"process {process.pid}"


class Watch:
    """Remembers what was there when it was made; `left()` tells what has come since and is still there."""

    def __init__(self) -> None:
        self.mark = uuid.uuid4().hex
        gc.collect()
        self._children = children()
        self._threads = set(threading.enumerate())
        self._descriptors = descriptors()
        self._folders = folders()
        self._segments = segments()

    def processes(self) -> set[psutil.Process]:
        """Return the processes that came and are still there."""
        return (children() - self._children) | marked(self.mark)

    def files(self) -> set[Path]:
        """Return the folders and segments that came and are still there."""
        return (folders() - self._folders) | (segments() - self._segments)

    def left(self) -> list[str]:
        """Return one line for each thing left; empty when all is clean."""
        fds = {n: target for n, target in descriptors().items() if self._descriptors.get(n) != target}
        threads = set(threading.enumerate()) - self._threads
        return [
            *sorted(told(process) for process in self.processes()),
            *sorted(f"thread {thread.name!r}" for thread in threads),
            *(f"descriptor {n}: {target}" for n, target in sorted(fds.items())),
            *(f"file {path}" for path in sorted(self.files())),
        ]

    def wait(self, patience: float = PATIENCE) -> list[str]:
        """Wait until nothing is left, `patience` seconds at most; return what still is."""
        gc.collect()  # a descriptor held only by a garbage cycle is not a leak
        deadline = time.monotonic() + patience
        while (left := self.left()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return left

    def clean(self) -> None:
        """Kill the processes and remove the files left, so that the next test starts clean."""
        gone = self.processes()
        for process in gone:
            try:
                process.kill()  # psutil compares the start time: a pid used anew is left alone
            except psutil.Error:
                continue
        psutil.wait_procs(gone, timeout=PATIENCE)
        for path in self.files():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
