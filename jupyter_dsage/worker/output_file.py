"""A worker's output file as others handle it: the middle of it freed by the supervisor, its end read while a job runs.

Every write goes to the file's end (O_APPEND), and the file is never cut: what is not needed any more is *freed*, which
leaves a hole that takes no room and moves nothing. So what is told of the file stays true whenever it is freed, and a
job that ends meanwhile loses nothing but its middle. The page says where the running job's output begins (`OUT_START`,
written by the worker only), and up to where it was freed (`OUT_FREED`, counted for the job that begins at `OUT_HEAD`;
written by the supervisor only, and before it frees). The beginning of what was freed is in a file beside it (`head`).

Where the system cannot free a part of a file (it can on Linux's usual file systems and on APFS), the file is emptied
between jobs only, and grows while one job prints.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import struct
import sys
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.worker.page import OUT_FREED, OUT_HEAD, OUT_START

if TYPE_CHECKING:
    from jupyter_dsage.worker.page import Page

CONTINUATIONS = bytes(range(0x80, 0xC0))
"""Bytes in the middle of a letter: where a text begins in one, it is left out."""
_BLOCK = 4096
"""What is freed begins and ends at multiples of this: of a part of a block nothing would be won."""
_PIECE = 1_000_000
"""Bytes copied at once."""
_KEEP_SIZE_AND_PUNCH_HOLE = 0x01 | 0x02
_F_PUNCHHOLE = 99

_libc = ctypes.CDLL(None, use_errno=True)


def head_path(path: str) -> str:
    """Return the file with the beginning of what a job printed whose output was freed."""
    return f"{path}.head"


def freed_to(page: Page, start: int, size: int) -> int:
    """Return up to where the output that begins at `start` was freed; `start` if nothing of it was.

    A job may have cut the file itself: then what is said of the freed part is of no worth.
    """
    words = page.words
    if words[OUT_HEAD] != start:
        return start
    freed = words[OUT_FREED]
    return freed if start < freed <= size else start


def trim(path: str, page: Page) -> bool:
    """Free the middle of what the running job has printed, if that is much; tell whether it is. The supervisor calls.

    The worker may end the job and begin another at any moment: what is freed lies before the tail of the first.
    """
    words = page.words
    start = words[OUT_START]
    try:
        size = os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return False
    freed = freed_to(page, start, size)
    if size - freed <= settings.OUTPUT_FILE_BYTES:
        return False
    stop = _aligned(size - settings.OUTPUT_TAIL_BYTES)
    with contextlib.suppress(OSError), open(path, "r+b", buffering=0) as file:  # noqa: PTH123
        if freed == start:
            words[OUT_FREED] = start
            words[OUT_HEAD] = start
        with contextlib.suppress(OSError):  # no room for the head: the job's file will say what is left out
            _add_to_head(head_path(path), file.fileno(), freed, stop, freed - start)
        words[OUT_FREED] = stop
        free(file.fileno(), freed, stop)
    return True


def _add_to_head(head: str, source: int, start: int, stop: int, before: int) -> None:
    """Copy ``[start, stop)`` of the file to the head, which has `before` bytes if nothing is missing in it."""
    stop = min(stop, start + settings.OUTPUT_CAP_BYTES - before)
    if start >= stop:
        return
    target = os.open(head, os.O_WRONLY | os.O_CREAT | os.O_APPEND | (0 if before else os.O_TRUNC), 0o600)
    try:
        if os.fstat(target).st_size == before:
            copy(source, target, start, stop - start)
    finally:
        os.close(target)


def copy(source: int, target: int, start: int, count: int) -> int:
    """Copy bytes of a file from `start` on to another's end; return how many there were."""
    at = start
    while at < start + count:
        data = os.pread(source, min(start + count - at, _PIECE), at)
        if not data:
            break
        at += len(data)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(target, rest) :]
    return at - start


def free(descriptor: int, start: int, stop: int) -> None:
    """Give the room of the whole blocks in ``[start, stop)`` back; the file's size stays. Raises OSError."""
    start, stop = _aligned(start + _BLOCK - 1), _aligned(stop)
    if start >= stop:
        return
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, _F_PUNCHHOLE, struct.pack("=IIqq", 0, 0, start, stop - start))
        return
    where, count = ctypes.c_int64(start), ctypes.c_int64(stop - start)
    if _libc.fallocate(descriptor, _KEEP_SIZE_AND_PUNCH_HOLE, where, count):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def empty(descriptor: int, start: int, size: int) -> int:
    """Give the room of all before `size` back, from `start` on; return up to where. For the worker, between jobs."""
    try:
        free(descriptor, start, size)
    except OSError:  # it cannot be done to a part
        os.ftruncate(descriptor, 0)
        os.ftruncate(descriptor, size)
    return _aligned(size)


def _aligned(offset: int) -> int:
    return offset // _BLOCK * _BLOCK


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
