"""The folder in which the whole of what jobs printed is kept, where that is more than travels with the outcome.

A file a job, of at most `OUTPUT_CAP_BYTES` and the end; a folder of at most about `OUTPUT_KEPT_BYTES`, whoever filled
it: workers that are gone, and those beside this one. When it is full nothing more is kept, and the job's output says
so.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jupyter_dsage import private_files, settings
from jupyter_dsage.worker.output_file import copy, freed_to, head_path

if TYPE_CHECKING:
    from jupyter_dsage.worker.page import Page


class Part(NamedTuple):
    """What a job printed: where it stands in the worker's file, and its end."""

    path: str
    descriptor: int
    start: int
    size: int
    tail: bytes


class Kept:
    """The folder as one worker uses it, which makes it when it is needed."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._there = 0
        """Bytes in the folder when this worker looked last."""
        self._since: int | None = None
        """Bytes that it has kept since then; None: it has not looked."""

    def keep(self, name: str, part: Part, page: Page) -> tuple[str, str]:
        """Keep what a job printed; return the file's path and no words, or no path and in words why not.

        A disk that is full costs the file, not the job.
        """
        path = os.path.join(self._folder, f"{name}.txt")  # noqa: PTH118
        try:
            if self._full():
                return "", f"the folder {self._folder} is full: it has {settings.OUTPUT_KEPT_BYTES:,} bytes"
            target = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        except OSError as error:
            return "", f"{error.strerror} ({self._folder})"
        try:
            _write(target, part, page)
            self._since = (self._since or 0) + os.fstat(target).st_size
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108
            return "", f"{error.strerror} ({self._folder})"
        finally:
            os.close(target)
        return path, ""

    def _full(self) -> bool:
        """Tell whether the folder is full; others fill it too, so it is looked at now and then."""
        if self._since is None or self._since > settings.OUTPUT_KEPT_BYTES // 20:
            private_files.make_folder(Path(self._folder))
            with os.scandir(self._folder) as entries:
                self._there = sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
            self._since = 0
        return self._there + self._since >= settings.OUTPUT_KEPT_BYTES


def _write(target: int, part: Part, page: Page) -> None:
    """Write the beginning of what a job printed, how much is left out if anything is, and the end."""
    whole = part.size - part.start
    first = min(whole - len(part.tail), settings.OUTPUT_CAP_BYTES)
    while True:
        freed = freed_to(page, part.start, part.size)
        os.ftruncate(target, 0)
        in_head = min(freed - part.start, first)
        there = _copy_head(part.path, target, in_head) if in_head else 0
        if there == in_head:
            there += copy(part.descriptor, target, part.start + in_head, first - in_head)
        if freed_to(page, part.start, part.size) == freed:
            break  # nothing was freed while it was read
    left = whole - there - len(part.tail)
    note = f"\n[... {left:,} bytes were left out ...]\n".encode() if left > 0 else b""
    rest = memoryview(note + part.tail)
    while rest:
        rest = rest[os.write(target, rest) :]


def _copy_head(path: str, target: int, count: int) -> int:
    try:
        head = os.open(head_path(path), os.O_RDONLY)
    except FileNotFoundError:
        return 0  # there was no room for it
    try:
        return copy(head, target, 0, count)
    finally:
        os.close(head)
