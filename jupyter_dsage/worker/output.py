"""What jobs print: to the worker's own file, which stays small; the end of it travels with the outcome.

``sys.stdout`` and ``sys.stderr`` and descriptors 1 and 2 all lead to that file, so that the last lines are on disk
when the process dies. Only what Python prints is told apart by job.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

from jupyter_dsage import settings

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


_CONTINUATIONS = bytes(range(0x80, 0xC0))
"""Bytes in the middle of a letter: where the tail begins in one, it is left out."""


class _Buffer(io.BufferedWriter):
    """A buffer that notes that something was printed; errors are passed on line by line, in case of a crash."""

    def __init__(self, output: Output, *, by_line: bool) -> None:
        super().__init__(io.FileIO(output.descriptor, "w", closefd=False), 8192)
        self._output = output
        self._by_line = by_line

    def write(self, data: ReadableBuffer) -> int:
        size = super().write(data)
        self._output.printed += size
        if self._by_line and b"\n" in bytes(data):
            self.flush()
        if self._output.printed > settings.OUTPUT_FILE_BYTES:
            self._output.trim()
        return size


class Output:
    """The output file of one worker. `printed`: bytes since the last trim, 0 for a job that printed nothing."""

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self.printed = 0
        self._start = 0
        self._out: io.TextIOWrapper | None = None
        self._err: io.TextIOWrapper | None = None

    def install(self) -> None:
        """Lead standard output and error to the file."""
        os.dup2(self.descriptor, 1)
        os.dup2(self.descriptor, 2)
        self.restore()

    def intact(self) -> bool:
        """Tell whether ``sys.stdout`` and ``sys.stderr`` are still ours and open."""
        out, err = self._out, self._err
        if out is None or err is None or sys.stdout is not out or sys.stderr is not err:
            return False
        try:
            return not (out.closed or err.closed)
        except ValueError:
            return False  # a job has detached the buffer

    def restore(self) -> None:
        """Put new streams in place: a job closed them, or left others behind; the next one is not to notice."""
        self._out = io.TextIOWrapper(_Buffer(self, by_line=False), "utf-8", "backslashreplace", write_through=True)
        self._err = io.TextIOWrapper(_Buffer(self, by_line=True), "utf-8", "backslashreplace", write_through=True)
        sys.stdout, sys.stderr = self._out, self._err

    def take(self) -> str:
        """Return the end of what was printed since the last call."""
        self._flush()
        size = os.fstat(self.descriptor).st_size
        start = max(self._start, size - settings.OUTPUT_TAIL_BYTES)
        data = os.pread(self.descriptor, max(0, size - start), start)  # a job may have cut the file itself
        if start > self._start:
            data = data.lstrip(_CONTINUATIONS)
        text = data.decode("utf-8", "replace")
        self._start = size
        self.printed = 0
        if size > settings.OUTPUT_FILE_BYTES:
            self._empty(b"")
        return text

    def trim(self) -> None:
        """Cut the file to its end: a job that prints without end costs a bounded file."""
        self._flush()
        size = os.fstat(self.descriptor).st_size
        tail = os.pread(self.descriptor, settings.OUTPUT_TAIL_BYTES, max(0, size - settings.OUTPUT_TAIL_BYTES))
        self._empty(tail)
        self.printed = len(tail)

    def bound(self) -> None:
        """Trim the file if something that is not Python's has written too much into it: C code, a child process."""
        if os.fstat(self.descriptor).st_size > 2 * settings.OUTPUT_FILE_BYTES:
            self.trim()

    def _empty(self, tail: bytes) -> None:
        os.ftruncate(self.descriptor, 0)
        os.write(self.descriptor, tail)
        self._start = 0

    def _flush(self) -> None:
        for stream in (sys.stdout, sys.stderr, self._out, self._err):
            try:
                stream.flush()  # type: ignore[union-attr]
            except Exception:  # noqa: BLE001, S112  (the job replaced or closed it: that is its own affair)
                continue
