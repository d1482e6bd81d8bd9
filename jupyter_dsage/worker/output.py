"""What a worker's jobs print: one file a worker, told apart by job, bounded; the end of it travels with the outcome.

``sys.stdout`` and ``sys.stderr`` and descriptors 1 and 2 all lead to that file, also in C code and in what a job
starts, so that the last lines are on disk when the process dies. Whose bytes they are is told by the file's size when
a job ends. Looking costs 0.2 us, so it is left out after jobs shorter than `LOOK_SECONDS` whose function was never
seen to write beside Python; what such a job writes from C is noticed with the next report, at most 10 ms later, and
counted as the last job's of that report. What a process writes that outlives its job goes to the job that runs then.

A job that prints much: the supervisor cuts the file (`worker.output_file`), also while the job holds the interpreter.
"""

from __future__ import annotations

import ctypes
import io
import os
import sys
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.worker.output_file import CONTINUATIONS, Printed, keep
from jupyter_dsage.worker.page import OUT_CUT, OUT_START, TRIMS

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from jupyter_dsage.worker.page import Page

_flush_c = ctypes.CDLL(None).fflush
"""Passes on what C code has printed and its library holds back."""


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
        return size


class Output:
    """The output file of one worker. `printed`: bytes that Python printed in this job.

    `kept`: the folder in which the whole of what a job printed is kept where that is more than travels.
    """

    def __init__(self, path: str, page: Page, kept: str) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self.printed = 0
        self._page = page
        self._kept = kept
        self._kept_bytes = 0
        self._told = 0
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

    def grown(self) -> bool:
        """Tell whether anything was written since the last `take`, by whomever."""
        if self.printed:
            return True
        _flush_c(None)
        return os.lseek(self.descriptor, 0, os.SEEK_END) != self._page.words[OUT_START]

    def take(self, name: str = "") -> Printed:
        """Return what was printed since the last call: its end, and the file that has the whole, called `name`."""
        self.flush()
        words = self._page.words
        while True:
            trims, start, cut = words[TRIMS], words[OUT_START], words[OUT_CUT]
            size = os.fstat(self.descriptor).st_size
            if size < start:
                start = 0  # a job has cut the file itself
            data = os.pread(self.descriptor, min(size - start, settings.OUTPUT_FILE_BYTES), start)
            tail = data[-settings.OUTPUT_TAIL_BYTES :]
            if size - start > len(data):
                at = max(0, size - settings.OUTPUT_TAIL_BYTES)
                tail = os.pread(self.descriptor, settings.OUTPUT_TAIL_BYTES, at)
            if words[TRIMS] == trims:
                break
        whole = cut + size - start
        file = ""
        if name and self._kept and whole > settings.OUTPUT_TAIL_BYTES:
            file = self._keep(name, data, tail, cut, whole)
        if len(tail) < whole:
            tail = tail.lstrip(CONTINUATIONS)
        self.printed = 0
        if size > settings.OUTPUT_FILE_BYTES:
            os.ftruncate(self.descriptor, 0)
            size = 0
        words[OUT_CUT], words[OUT_START] = 0, size
        return Printed(tail.decode("utf-8", "replace"), file)

    def _keep(self, name: str, data: bytes, tail: bytes, cut: int, whole: int) -> str:
        if self._kept_bytes > settings.OUTPUT_KEPT_BYTES:
            return ""
        path, size = keep(self._kept, name, self.path, data, tail, cut=cut, whole=whole)
        self._kept_bytes += size
        return path

    def flush(self) -> None:
        """Have everything written that was printed."""
        for stream in (sys.stdout, sys.stderr, self._out, self._err):
            try:
                stream.flush()  # type: ignore[union-attr]
            except Exception:  # noqa: BLE001, S112  (the job replaced or closed it: that is its own affair)
                continue
        _flush_c(None)

    def pass_on(self) -> None:
        """Have what a long job has printed so far written, so that it can be seen; from the ticker's thread."""
        if self.printed != self._told:
            self._told = self.printed
            self.flush()
