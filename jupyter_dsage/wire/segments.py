"""Bytes in shared memory: written once, passed between processes of one host by descriptor, mapped by all who read.

A segment is a file in memory without a name (memfd, Linux): the system frees it with the last descriptor or mapping,
so nothing is left behind whoever is killed. It cannot shrink (it is sealed), so no reader meets a hole, and where
memory is short writing it fails and reading it does not. Elsewhere frames are plain bytes.

Who writes keeps its segments and writes into them again when nobody reads them any more: pages that are there already
take 100 MB in 15 ms, by two threads, fresh ones in 41 ms (2 cores). Whether somebody does is asked of the system:
readers get a descriptor of their own with a shared lock (flock(2)), which goes with the last of its copies and
mappings.
"""

from __future__ import annotations

import collections
import ctypes
import fcntl
import mmap
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

from jupyter_dsage import settings
from jupyter_dsage.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    Bytes = bytes | bytearray | memoryview

AVAILABLE = sys.platform == "linux" and hasattr(os, "memfd_create")
"""Whether this system has them."""
PAGE = mmap.PAGESIZE
_POPULATE = getattr(mmap, "MAP_POPULATE", 0)
"""All pages are mapped in one go (Linux)."""
_POPULATE_READ = 22
"""... and those that are to be read, where the system can (madvise(2), Linux 5.14)."""
_READ, _COPY = (mmap.MAP_SHARED, mmap.PROT_READ), (mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
_WRITE = mmap.MAP_SHARED | _POPULATE, mmap.PROT_READ | mmap.PROT_WRITE


class Segment:
    """A segment as its readers have it: a descriptor of its own, closed when nobody holds this any more."""

    __slots__ = ("__weakref__", "descriptor", "size")

    def __init__(self, descriptor: int, size: int) -> None:
        self.descriptor = descriptor
        self.size = size
        _opened.add(self)

    def __del__(self) -> None:
        os.close(self.descriptor)

    def frame(self) -> memoryview:
        """Return all of its bytes, to be read; the pages come as they are touched."""
        mapped = _map(self.descriptor, 0, self.size, *_READ)
        mapped.segment = self
        return memoryview(mapped).cast("B").toreadonly()  # the system would end who writes into it

    def read(self) -> memoryview:
        """Return all of its bytes in memory of this process."""
        room = memoryview(bytearray(self.size))
        at = 0
        while at < self.size:
            at += os.preadv(self.descriptor, [room[at:]], at)
        return room.toreadonly()

    def copy(self, offset: int, size: int) -> Bytes:
        """Return some of its bytes, to be read and changed by the caller alone; `offset`: a multiple of `PAGE`.

        A page is copied when it is written to; what others see does not change.
        """
        try:
            mapped = _map(self.descriptor, offset, size, *_COPY)
        except OSError:  # too many mappings: a copy now is as good, but slower
            return bytearray(os.pread(self.descriptor, size, offset))
        # Where the system cannot do that, pages come as they are touched.
        _libc().madvise(ctypes.addressof(mapped), _pages(size), _POPULATE_READ)
        return memoryview(mapped).cast("B")


_opened: weakref.WeakSet[Segment] = weakref.WeakSet()
"""The readers' segments of this process: each takes a descriptor, of which a process may have few."""
_most = 1_000_000
"""How many of them there may be where descriptors have run short; others are read into memory at once."""
LOST = memoryview(b"")
"""Stands for a frame whose descriptor came when this process had none left: its bytes are not here."""


def run_short() -> None:
    """Take note that this process has no descriptor left: have half as many open segments from now on."""
    global _most  # noqa: PLW0603  (descriptors are the process's, too)
    _most = min(_most, len(_opened)) // 2


def of(frame: Any) -> Segment | None:
    """Return the segment that a frame is, or None."""
    return getattr(frame.obj, "segment", None) if type(frame) is memoryview else None


def put(parts: Sequence[Bytes]) -> memoryview:
    """Return a frame with these bytes, one after another, in a segment if there is room for one."""
    views = [memoryview(part).cast("B") for part in parts]
    size = sum(view.nbytes for view in views)
    if AVAILABLE and len(_opened) < min(_most, settings.SHARED_OPEN):
        try:
            return _writer.write(views, size).frame()
        except OSError:  # no memory, no descriptor: it goes as plain bytes, and fails there if it must
            return memoryview(b"".join(views))
    return memoryview(b"".join(views))


def take_in(descriptor: int, size: int) -> memoryview:
    """Return the frame that came as a descriptor, which is ours from now on; raises ProtocolError if it is none."""
    segment = Segment(descriptor, size)
    try:
        sealed = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK
    except OSError:
        sealed = 0
    if not sealed or os.fstat(descriptor).st_size < size or size == 0:
        raise ProtocolError("A descriptor came that is no segment of this size.")
    try:
        if len(_opened) < min(_most, settings.SHARED_OPEN):
            return segment.frame()
    except OSError:  # too many mappings
        return segment.read()
    return segment.read()  # so many at once that descriptors would run out


def drop_spare() -> None:
    """Give back the memory that was kept to be written again; what readers have stays theirs."""
    _writer.drop()


def whole_pages(frame: Bytes) -> Iterator[memoryview]:
    """Return the bytes of a frame in steps of whole pages at addresses of pages, as the disk takes them.

    The last step is filled up. Those of a segment are its own pages, mapped for as long as the caller has the step: who
    only passes them on keeps none.
    """
    segment, step = of(frame), settings.SHARED_STEP_BYTES
    if segment is not None and os.fstat(segment.descriptor).st_size >= _pages(segment.size):
        for at in range(0, segment.size, step):
            size = _pages(min(step, segment.size - at))
            yield memoryview(mmap.mmap(segment.descriptor, size, *_READ, offset=at))
        return
    view = memoryview(frame).cast("B")
    for at in range(0, view.nbytes, step):
        part = view[at : at + step]
        room = memoryview(mmap.mmap(-1, _pages(part.nbytes)))
        room[: part.nbytes] = part
        yield room


def _pages(size: int) -> int:
    return -(-size // PAGE) * PAGE


def mapped(path: Path) -> memoryview:
    """Return what is in a file that nobody shortens, mapped; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return Segment(descriptor, os.fstat(descriptor).st_size).frame()


class _Writer:
    """This process's segments, as who writes them has them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spare: collections.deque[tuple[int, int]] = collections.deque()
        """(descriptor, capacity) of each, written longest ago first; readers may still have them."""
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """Leave all to the process that was forked from: two writers would not know of each other."""
        self._lock = threading.Lock()
        self.drop()

    def drop(self) -> None:
        """Keep nothing."""
        with self._lock:
            while self._spare:
                os.close(self._spare.pop()[0])

    def write(self, views: Sequence[memoryview], size: int) -> Segment:
        """Return a segment with these bytes; raises OSError."""
        with self._lock:
            free = self._free(size)
            descriptor, capacity = free or _new(size)
            try:
                _write(descriptor, views, fresh=free is None)
                fcntl.flock(descriptor, fcntl.LOCK_UN)
                reader = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
            except BaseException:  # whatever it is, nothing stays open; raised again
                os.close(descriptor)
                raise
            fcntl.flock(reader, fcntl.LOCK_SH)
            self._spare.append((descriptor, capacity))
            self._trim()
        return Segment(reader, size)

    def _free(self, size: int) -> tuple[int, int] | None:
        """Take out a segment that nobody reads, of about this size."""
        for _ in range(min(len(self._spare), settings.SHARED_TRIED)):
            descriptor, capacity = self._spare.popleft()
            if size <= capacity <= 2 * size + PAGE:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    self._spare.append((descriptor, capacity))
                    continue
                return descriptor, capacity
            self._spare.append((descriptor, capacity))
        return None

    def _trim(self) -> None:
        """Keep no more than may lie idle; what readers still have lives on without us."""
        kept = sum(capacity for _, capacity in self._spare)
        while self._spare and (kept > settings.SHARED_SPARE_BYTES or len(self._spare) > settings.SHARED_SPARE):
            descriptor, capacity = self._spare.popleft()
            kept -= capacity
            os.close(descriptor)


_writer = _Writer()


def _new(size: int) -> tuple[int, int]:
    descriptor = os.memfd_create("dsage", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    capacity = _pages(size)
    try:
        os.ftruncate(descriptor, capacity)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor, capacity


def _write(descriptor: int, views: Sequence[memoryview], *, fresh: bool) -> None:
    """Write all bytes from the beginning on; raises OSError.

    `fresh`: pages may be missing. A write fails where there is no memory for them; who maps them would be killed.
    """
    at = 0
    for view in views:
        if fresh or view.readonly or at % PAGE or view.nbytes < settings.SHARED_HALVED_BYTES:
            _write_at(descriptor, view, at)
        else:
            _write_halves(descriptor, view, at)
        at += view.nbytes


def _write_at(descriptor: int, view: memoryview, at: int) -> None:
    done = 0
    while done < view.nbytes:
        done += os.pwrite(descriptor, view[done:], at + done)


def _write_halves(descriptor: int, view: memoryview, at: int) -> None:
    """Copy a large buffer into pages that are there, with two threads; raises OSError.

    100 MB take 15 ms, and 33 ms by `pwrite`, of which a file lets in one at a time.
    """
    middle = _pages(view.nbytes // 2)
    errors: list[OSError] = []
    own = os.dup(descriptor)  # an interrupt may have the other one closed while the thread still copies

    def copy_rest() -> None:
        try:
            _copy_in(own, view[middle:], at + middle)
        except OSError as error:
            errors.append(error)
        finally:
            os.close(own)

    thread = threading.Thread(target=copy_rest, name="dsage-copy", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # there are as many threads as may be
        copy_rest()
    _copy_in(descriptor, view[:middle], at)
    if thread.ident is not None:
        thread.join()
    if errors:
        raise errors[0]


def _copy_in(descriptor: int, view: memoryview, at: int) -> None:
    source = ctypes.addressof(ctypes.c_ubyte.from_buffer(view))
    for done in range(0, view.nbytes, settings.SHARED_WINDOW_BYTES):
        size = min(settings.SHARED_WINDOW_BYTES, view.nbytes - done)
        window = _map(descriptor, at + done, size, *_WRITE)
        ctypes.memmove(window, source + done, size)


def _map(descriptor: int, offset: int, size: int, flags: int, access: int) -> Any:
    """Return a mapping as a ctypes array, which unmaps itself; `mmap.mmap` would keep a descriptor for each."""
    address = _libc().mmap(None, size, access, flags, descriptor, offset)
    if address == ctypes.c_void_p(-1).value:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    mapped = (ctypes.c_ubyte * size).from_address(address)
    weakref.finalize(mapped, _libc().munmap, address, size).atexit = False
    return mapped


def _libc() -> Any:
    global _loaded  # noqa: PLW0603  (a library is loaded once, when the first segment is mapped)
    if _loaded is None:
        _loaded = ctypes.CDLL(None, use_errno=True)
        _loaded.mmap.restype = ctypes.c_void_p
        _loaded.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64]
        _loaded.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        _loaded.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return _loaded


_loaded: Any = None
