"""What workers ran when their supervisor was killed, and nobody could say: read from the files of their pages.

The layout is that of `worker.page`, of which this knows the first words; who runs what is read once all are dead.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jupyter_dsage import clock

if TYPE_CHECKING:
    from collections.abc import Iterable

_NOTED = "last-jobs"
_WORDS = struct.Struct("=16q")
_LEASE, _FIRST, _JOB, _STARTED, _ENDED, _BATCH = 0, 1, 2, 3, 4, 15


class LastJob(NamedTuple):
    """The job that a worker ran; `seconds`: for how long."""

    batch: int
    lease: int
    job: int
    seconds: float


def page_path(folder: str, worker: int) -> str:
    """Return the path of a worker's page in its supervisor's folder."""
    return os.path.join(folder, f"worker-{worker}.page")  # noqa: PTH118  (pathlib is not needed in a worker)


def take_last_job(path: str) -> LastJob | None:
    """Return what a page's file says, and remove it; None where no job ran, or there is no such file."""
    try:
        data = Path(path).read_bytes()
    except OSError:
        return None
    with contextlib.suppress(OSError):
        Path(path).unlink()
    if len(data) < _WORDS.size:
        return None
    words = _WORDS.unpack_from(data)
    if words[_ENDED] or words[_JOB] < words[_FIRST]:
        return None
    seconds = max(0.0, (clock.monotonic_ns() - words[_STARTED]) / 1e9)
    return LastJob(words[_BATCH], words[_LEASE], words[_JOB], seconds)


def note_last_jobs(store: str, running: Iterable[tuple[int, int]]) -> None:
    """Write into a session's folder which jobs run, by batch and number: their child was killed."""
    with contextlib.suppress(OSError), (Path(store) / _NOTED).open("a") as file:
        file.writelines(f"{batch} {job} {clock.monotonic():.3f}\n" for batch, job in running)


def take_noted_jobs(store: str) -> list[tuple[int, int, float]]:
    """Return what was noted, and remove it: batch and job, and when (seconds, on the monotonic clock)."""
    path = Path(store) / _NOTED
    try:
        lines = path.read_text().splitlines()
        path.unlink()
    except OSError:
        return []
    found = [re.fullmatch(r"(\d{1,15}) (\d{1,15}) (\d+\.\d+)", line) for line in lines]
    return [(int(match[1]), int(match[2]), float(match[3])) for match in found if match]
