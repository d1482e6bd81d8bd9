"""A worker's output file as others handle it: cut by the supervisor, read while a job runs, kept as a whole.

Every write goes to the file's end (O_APPEND), so it can be cut from outside at any time. The page says where the
running job's output begins, and how much of it was cut; the beginning of it is then in a file of its own beside it
(`head`).
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, NamedTuple

from jupyter_dsage import settings
from jupyter_dsage.worker.page import OUT_CUT, OUT_START, TRIMS

if TYPE_CHECKING:
    from jupyter_dsage.worker.page import Page

CONTINUATIONS = bytes(range(0x80, 0xC0))
"""Bytes in the middle of a letter: where a text begins in one, it is left out."""


class Printed(NamedTuple):
    """What a job printed: its end, and the file with the whole of it (empty if the end is the whole)."""

    tail: str
    file: str


def head_path(path: str) -> str:
    """Return the file with the beginning of what a job printed whose output was cut."""
    return f"{path}.head"


def trim(path: str, page: Page) -> bool:
    """Cut a worker's output file if the running job has printed much; tell whether it has. Called by the supervisor."""
    words = page.words
    try:
        start, size = words[OUT_START], os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return False
    if size - start <= settings.OUTPUT_FILE_BYTES:
        return False
    with contextlib.suppress(OSError), open(path, "r+b", buffering=0) as file:  # noqa: PTH123
        cut = words[OUT_CUT]
        if cut < settings.OUTPUT_CAP_BYTES:
            head = os.open(head_path(path), os.O_WRONLY | os.O_CREAT | (os.O_APPEND if cut else os.O_TRUNC), 0o600)
            try:
                cutting = size - start - settings.OUTPUT_TAIL_BYTES
                _copy(file.fileno(), head, start, min(cutting, settings.OUTPUT_CAP_BYTES - cut))
            finally:
                os.close(head)
        last = size - settings.OUTPUT_TAIL_BYTES  # what came since then is kept as well
        tail = os.pread(file.fileno(), settings.OUTPUT_FILE_BYTES, last)
        os.ftruncate(file.fileno(), 0)
        words[OUT_CUT], words[OUT_START] = cut + last - start, 0
        words[TRIMS] += 1
        end = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(end, tail)
        finally:
            os.close(end)
    return True


def _copy(source: int, target: int, start: int, count: int) -> None:
    while count > 0:
        data = os.pread(source, min(count, 1_000_000), start)
        if not data:
            return
        os.write(target, data)
        start, count = start + len(data), count - len(data)


def tail_of(path: str, start: int, most: int = settings.OUTPUT_TAIL_BYTES) -> str:
    """Return the end of what stands in a file from `start` on."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            size = os.fstat(file.fileno()).st_size
            begin = max(0 if start > size else start, size - most)
            file.seek(begin)
            data = file.read(most)
    except OSError:
        return ""
    return (data.lstrip(CONTINUATIONS) if begin > start else data).decode("utf-8", "replace")


def keep(folder: str, name: str, path: str, data: bytes, tail: bytes, *, cut: int, whole: int) -> tuple[str, int]:
    """Keep the whole of what a job printed, up to `OUTPUT_CAP_BYTES`, in a file; return its path and its size.

    `data`: what stands in the worker's file, or the beginning of it; `tail`: the end; `cut`: the bytes before `data`,
    whose beginning is in the head file; `whole`: all bytes. A disk that is full costs the file, not the job.
    """
    os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103
    kept = os.path.join(folder, f"{name}.txt")  # noqa: PTH118
    try:
        with open(kept, "wb") as file:  # noqa: PTH123
            if cut:
                with open(head_path(path), "rb") as head:  # noqa: PTH123
                    file.write(head.read(settings.OUTPUT_CAP_BYTES))
            room = settings.OUTPUT_CAP_BYTES - file.tell()
            complete = file.tell() == cut and cut + len(data) == whole and len(data) <= room
            if complete:
                file.write(data)
            else:
                if not cut:
                    file.write(data[: max(0, room - len(tail))])
                left = whole - file.tell() - len(tail)
                file.write(f"\n[... {left:,} bytes were left out ...]\n".encode() if left > 0 else b"")
                file.write(tail)
            return kept, file.tell()
    except OSError:
        return "", 0
