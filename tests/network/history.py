"""Jobs that write down when they start and end, each in its own file and in its worker's; and what that tells.

The hosts of a `Wire` share their files, so a test reads there what happened on a host that it cannot hear. Each line
is one short append: "start PID" or "end PID".
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.until import until as wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

DEADLINE = 60.0  # seconds; what takes longer has failed


def until(fact: Callable[[], object], what: str = "the fact", seconds: float = DEADLINE) -> None:
    """Wait for a fact, as long as a network may take."""
    wait_until(fact, seconds, what)


@contextmanager
def written(folder: str, name: str) -> Iterator[None]:
    """Write a job's start and its end, or that it was interrupted."""
    note(folder, name, "start")
    try:
        yield
    except BaseException:
        note(folder, name, "interrupt")
        raise
    note(folder, name, "end")


def note(folder: str, name: str, what: str) -> None:
    for path in (Path(folder) / name, Path(folder) / f"worker-{os.getpid()}"):
        with path.open("a") as file:
            file.write(f"{what} {os.getpid()}\n")


def _gate(folder: str | Path, name: str) -> Path:
    return Path(folder) / f"gate-{name}"


# --- the jobs ----------------------------------------------------------------------------------------------


def short(folder: str, number: int, seconds: float) -> int:
    """Take this long."""
    with written(folder, f"short-{number}"):
        time.sleep(seconds)
    return number * number


def held(folder: str, name: str, gate: str) -> str:
    """Take until the test opens a gate."""
    with written(folder, name):
        until(_gate(folder, gate).exists, gate, 2 * DEADLINE)
    return name


def raced(folder: str, name: str, *gates: str) -> int:
    """Take until the gate of this attempt opens, an attempt more than there are gates no time; return who ran it."""
    with written(folder, name):
        for gate in gates[len(History(folder).pids("start", name)) - 1 :][:1]:
            until(_gate(folder, gate).exists, gate, 2 * DEADLINE)
    return os.getpid()


def size_of(folder: str, name: str, data: bytes) -> int:
    with written(folder, name):
        return len(data)


# --- what they wrote ---------------------------------------------------------------------------------------


class History:
    """What the jobs of a folder have written so far."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def open(self, gate: str) -> None:
        """Let the jobs end that wait at a gate."""
        _gate(self.folder, gate).touch()

    def pids(self, what: str, name: str) -> list[int]:
        """Return the processes in which a job started (`what` is "start"), ended, or was interrupted, in order."""
        path = self.folder / name
        lines = path.read_text().splitlines() if path.exists() else []  # whole lines: one append each
        return [int(line.split()[1]) for line in lines if line.split()[0] == what]

    def started(self, *names: str) -> bool:
        return all(self.pids("start", name) for name in names)

    def ended(self, *names: str) -> bool:
        return all(self.pids("end", name) for name in names)

    def worked(self, what: str, workers: Iterable[int]) -> int:
        """Return how often jobs have done this in these processes."""
        return sum(len(self.pids(what, f"worker-{pid}")) for pid in workers)

    def check(self, names: Collection[str], moved_from: Collection[int] = ()) -> int:
        """Check that each job ran to its end, and once, but for those that were moved away from these processes.

        Return how many ran twice.
        """
        twice = 0
        for name in names:
            starts, ends = self.pids("start", name), self.pids("end", name)
            assert starts, f"{name} was never started"
            assert ends, f"{name} never ended"
            assert len(starts) == 1 or set(starts) & set(moved_from), f"{name} ran {len(starts)} times, by {starts}"
            assert len(starts) <= 2, f"{name} ran {len(starts)} times, by {starts}"
            twice += len(starts) > 1
        return twice
