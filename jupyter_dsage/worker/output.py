"""What a worker's jobs print: one file a worker, told apart by job, bounded; the end of it travels with the outcome.

``sys.stdout`` and ``sys.stderr`` and descriptors 1 and 2 all lead to that file, also in C code and in what a job
starts, so that the last lines are on disk when the process dies. Whose bytes they are is told by the file's size when
a job ends. To look costs 0.5 us, a third of a job that does nothing, so it is left out after a job that printed
nothing from Python if all of this is so: it took less than `LOOK_SECONDS`, at least `LOOK_JOBS` jobs of its function
were looked at here, and none of them was seen to write beside Python. What such a job writes nevertheless is found
with the next report, counted as the last job's of that report, and each job of the function is
looked at from then on. What a process writes that outlives its job goes to the job that runs then, or that runs next.

A job that prints much: the supervisor frees the middle (`worker.output_file`), also while the job holds the
interpreter.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import os
import sys
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from jupyter_dsage import settings
from jupyter_dsage.worker.kept import Kept, Part
from jupyter_dsage.worker.output_file import CONTINUATIONS, empty
from jupyter_dsage.worker.page import OUT_START

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import ReadableBuffer

    from jupyter_dsage.worker.page import Page

_libc = ctypes.CDLL(None)
_c_stdout = ctypes.c_void_p.in_dll(_libc, "__stdoutp" if sys.platform == "darwin" else "stdout")
_LINE_BUFFERED = 1
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Printed(NamedTuple):
    """What a job printed: its end, and the file with the whole of it (empty if the end is the whole)."""

    tail: str
    file: str


class _File(io.FileIO):
    """The output file; what it has no room for is dropped and counted: a full disk is not the job's fault."""

    def __init__(self, output: Output) -> None:
        super().__init__(output.descriptor, "w", closefd=False)
        self._output = output

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            size = memoryview(data).nbytes
            self._output.dropped += size
            self._output.why = str(error.strerror)
            return size


class _Buffer(io.BufferedWriter):
    """A buffer that notes that something was printed; errors are passed on line by line, in case of a crash."""

    def __init__(self, output: Output, *, by_line: bool) -> None:
        super().__init__(_File(output), 8192)
        self._output = output
        self._by_line = by_line

    def write(self, data: ReadableBuffer) -> int:
        size = super().write(data)
        self._output.printed += size
        self._output.halt.append(None)
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
        self.dropped = 0
        """Bytes of this job's for which the disk had no room, and `why`."""
        self.why = ""
        self.halt: list[None] = []
        """Grows when Python prints: a stride (`worker.stride`) ends with the job that does."""
        self._page = page
        self._kept = Kept(kept)
        self._emptied = 0
        """Up to where the room of earlier jobs' output was given back."""
        self._told = 0
        self._out: io.TextIOWrapper | None = None
        self._err: io.TextIOWrapper | None = None

    def install(self) -> None:
        """Lead standard output and error to the file; what C code prints goes there line by line, as in a terminal."""
        os.dup2(self.descriptor, 1)
        os.dup2(self.descriptor, 2)
        _libc.setvbuf(_c_stdout, None, _LINE_BUFFERED, ctypes.c_size_t(0))
        self.restore()

    def restore_descriptors(self, numbers: Iterable[int]) -> None:
        """Lead descriptors of 0 to 2 to where they belong; raises OSError."""
        for number in numbers:
            if number == 0:
                null = os.open(os.devnull, os.O_RDONLY)
                if null:
                    os.dup2(null, 0)
                    os.close(null)
            else:
                os.dup2(self.descriptor, number)

    def leave(self) -> NoReturn:
        """End this process, saying why: descriptors of its own are gone, and their numbers may be those of others."""
        with contextlib.suppress(OSError):
            number = os.open(self.path, os.O_WRONLY | os.O_APPEND)
            os.write(number, b"The job has closed descriptors of its worker, or put others in their place.\n")
        os._exit(1)

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
        _libc.fflush(_c_stdout)
        return os.lseek(self.descriptor, 0, os.SEEK_END) != self._page.words[OUT_START]

    def take(self, name: str = "") -> Printed:
        """Return what was printed since the last call: its end, and the file that has the whole, called `name`."""
        self.flush()
        size, start = os.lseek(self.descriptor, 0, os.SEEK_END), self._page.words[OUT_START]
        if size < start:
            start, self._emptied = 0, 0  # a job has cut the file itself
        most = min(size - start, settings.OUTPUT_TAIL_BYTES)
        tail = os.pread(self.descriptor, most, size - most)
        file = note = ""
        if size - start > most:
            if name:
                part = Part(self.path, self.descriptor, start, size, tail)
                file, why = self._kept.keep(name, part, self._page)
                note = "" if file else f"[... {size - start:,} bytes in all, which were not kept: {why} ...]\n"
            tail = tail.lstrip(CONTINUATIONS)
        if self.dropped:
            note += f"[... {self.dropped:,} bytes were not written: {self.why} ({os.path.dirname(self.path)}) ...]\n"  # noqa: PTH120
        self.printed = self.dropped = 0
        if size - self._emptied > settings.OUTPUT_FILE_BYTES:
            if size > settings.OUTPUT_REACH_BYTES:
                os.ftruncate(self.descriptor, 0)
                size = 0
            self._emptied = empty(self.descriptor, self._emptied, size)
        self._page.words[OUT_START] = size
        return Printed(note + tail.decode("utf-8", "replace"), file)

    def flush(self) -> None:
        """Have everything written that was printed."""
        for stream in (sys.stdout, sys.stderr, self._out, self._err):
            try:
                stream.flush()  # type: ignore[union-attr]
            except Exception:  # noqa: BLE001, S112  (the job replaced or closed it: that is its own affair)
                continue
        _libc.fflush(_c_stdout)

    def pass_on(self) -> None:
        """Have what a long job has printed so far written, so that it can be seen; from the ticker's thread."""
        if self.printed != self._told:
            self._told = self.printed
            self.flush()
