"""Gathers consecutive `submit` calls: what is submitted while the workers have enough to do travels in one segment.

A call whose arguments are numbers takes a short way (about 1 us): it is numbered and put behind the one before.
"""

from __future__ import annotations

import time
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

    Packed = payload.Call | payload.Frame

NUMBERS = frozenset({int, float, complex, bool, type(None)})
"""Arguments whose size needs no look."""


class _Gathered:
    """Calls of one function that go out together when their turn comes.

    `room`: how many more may join, 0 once something was posted behind; `numbers`: each is a tuple of numbers.
    """

    def __init__(self, batch: Batch, function: str, *, numbers: bool) -> None:
        self.function = function
        self.numbers = numbers
        self.calls: list[Any] = []
        self.size = 0
        self.room = settings.SUBMITTED_TOGETHER
        self._batch = batch
        self._born = time.monotonic()

    def due(self) -> bool:
        """Tell whether to send now: workers may idle, or it has gathered long enough (see `outbox.Deferred`)."""
        enough = settings.WAITING_JOBS_PER_SLOT * max(1, self._batch.pace()[0])
        waiting = self._batch.waiting() - len(self.calls)
        return waiting < enough or time.monotonic() - self._born > settings.GATHER_SECONDS

    def __call__(self) -> Iterator[Post]:
        """Make the messages; called by who sends."""
        batch = self._batch
        with batch.edit:
            self.room = 0
        if self.numbers:
            yield m.AddJobs(batch.number, self.function, len(self.calls)), (batch.packing.dump_numbers(self.calls),)
            return
        for part in _parts(self.calls):
            yield m.AddJobs(batch.number, self.function, len(part)), (batch.packing.dump_packed(part),)


def _parts(calls: list[Packed]) -> Iterator[list[Packed]]:
    """Cut calls into segments by number and by bytes."""
    part: list[Packed] = []
    size = 0
    for call in calls:
        alone = isinstance(call, memoryview)  # it has large buffers
        if part and alone:
            yield part
            part, size = [], 0
        part.append(call)
        size += _size(call)
        if alone or len(part) >= settings.SEGMENT_JOBS or size >= settings.SEGMENT_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _size(call: Packed) -> int:
    """Return about how many bytes a call takes: exactly if it is pickled, else those of its texts."""
    if isinstance(call, (bytes, memoryview)):
        return len(call)
    return sum(len(value) for value in call[0] if isinstance(value, (str, bytes)))


class Submitter:
    """The open batch of single jobs."""

    def __init__(self, batch: Batch, link: ChildLink) -> None:
        self.batch = batch
        self._link = link
        self._last = _Gathered(batch, "", numbers=False)

    def quick(self, function: str, args: tuple[Any, ...]) -> Job | None:
        """Number a call whose arguments are numbers, behind others of its function; None where it must go by `submit`.

        As short as can be: 100,000 calls of it are what a loop over `submit` takes.
        """
        for value in args:
            if type(value) not in NUMBERS:
                return None
        with self.batch.edit:
            last = self._last
            if last.room <= 0 or last.function != function or not last.numbers:
                return None
            job = self.batch.one_more()
            last.room -= 1
            last.calls.append(args)
            return job

    def submit(self, function: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Job:
        """Number one job, have it sent, and return it; raises UnpicklableError, SessionLost."""
        self.batch.session.check_alive()
        self._link.wait_for_room()
        number, packing = len(self.batch), self.batch.packing
        numbers = not kwargs and packing is payload and NUMBERS.issuperset(map(type, args))
        call = args if numbers else packing.pack_call(args, kwargs, number)
        size = 0 if numbers else _size(call)
        if size > settings.MAX_FRAME_BYTES // 2:  # half, since others may travel with it
            raise too_large(f"the arguments of job {number}", size)
        with self.batch.edit:
            job = self.batch.one_more()
            last = self._last
            if last.room > 0 and last.function == function and last.numbers == numbers:
                last.room -= 1
                last.calls.append(call)
                last.size += size
                self._link.charge(size)
                return job
            self._last = last = _Gathered(self.batch, function, numbers=numbers)
            last.room -= 1
            last.calls.append(call)
            last.size = size
            self._link.post_later(last)
        return job
