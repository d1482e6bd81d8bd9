"""Gathers consecutive `submit` calls: what is submitted while the I/O thread is busy travels in one segment."""

from __future__ import annotations

import threading
import time
from itertools import groupby
from typing import TYPE_CHECKING, Any

from jupyter_dsage import settings
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire import payload
from jupyter_dsage.wire.codec import too_large

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_dsage.client.batch import Batch
    from jupyter_dsage.client.job import Job
    from jupyter_dsage.client.link import ChildLink
    from jupyter_dsage.client.outbox import Post


class _Gathered:
    """Calls that go out together when the I/O thread comes to them. `items`: (function, arguments)."""

    def __init__(self, lock: threading.Lock, batch: Batch) -> None:
        self.items: list[tuple[str, payload.Call | payload.Frame]] = []
        self.size = 0
        self.sealed = False
        self._lock = lock
        self._batch = batch
        self._born = time.monotonic()

    def add(self, function: str, call: payload.Call | payload.Frame) -> int:
        """Add a call, under the lock; return its size."""
        self.items.append((function, call))
        size = _size(call)
        self.size += size
        return size

    def due(self) -> bool:
        """Tell whether to send now: workers may idle, or it has gathered long enough (see `outbox.Deferred`)."""
        enough = settings.WAITING_JOBS_PER_SLOT * max(1, self._batch.pace()[0])
        waiting = self._batch.waiting() - len(self.items)
        return waiting < enough or time.monotonic() - self._born > settings.GATHER_SECONDS

    def __call__(self) -> Iterator[Post]:
        """Make the messages; called on the I/O thread."""
        with self._lock:
            self.sealed = True
        for function, group in groupby(self.items, key=lambda item: item[0]):
            for part in _parts([call for _, call in group]):
                yield m.AddJobs(self._batch.number, function, len(part)), (self._batch.packing.dump_packed(part),)


def _parts(calls: list[payload.Call | payload.Frame]) -> Iterator[list[payload.Call | payload.Frame]]:
    """Cut calls into segments by number and by bytes."""
    part: list[payload.Call | payload.Frame] = []
    size = 0
    for call in calls:
        if part and isinstance(call, memoryview):  # it travels by itself
            yield part
            part, size = [], 0
        part.append(call)
        size += _size(call)
        if isinstance(call, memoryview) or len(part) >= settings.SEGMENT_JOBS or size >= settings.SEGMENT_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _size(call: payload.Call | payload.Frame) -> int:
    """Return about how many bytes a call takes: exactly if it is pickled, else those of its texts."""
    if isinstance(call, (bytes, memoryview)):
        return len(call)
    return sum(len(value) for value in call[0] if isinstance(value, (str, bytes)))


class Submitter:
    """The open batch of single jobs."""

    def __init__(self, batch: Batch, link: ChildLink) -> None:
        self.batch = batch
        self._link = link
        self._lock = threading.Lock()
        self._last = _Gathered(self._lock, batch)
        self._last.sealed = True

    def submit(self, function: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Job:
        """Number one job, have it sent, and return it; raises UnpicklableError, SessionLost."""
        self._link.wait_for_room()
        number = len(self.batch)
        call = self.batch.packing.pack_call(args, kwargs, number)
        if _size(call) > settings.MAX_FRAME_BYTES // 2:  # half, since others may travel with it
            raise too_large(f"the arguments of job {number}", _size(call))
        with self._lock:
            number = self.batch.reserve(1)
            # Only into what is last in the outbox: the call's function may have been put there just before.
            if self._last.sealed or not self._link.is_last(self._last):
                self._last = _Gathered(self._lock, self.batch)
                self._last.add(function, call)
                self._link.post_later(self._last)
            else:
                self._link.charge(self._last.add(function, call))
        return self.batch[number]
