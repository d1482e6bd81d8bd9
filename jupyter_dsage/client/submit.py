"""Single calls (`Session.submit`): handed over one by one, numbered and gathered by the I/O thread.

The user's thread only makes a `Job` and hands it over with its call, in one step (about 1 us): a call that an exception
kept from being handed over was never made, and no other one has its number. What is submitted while the workers have
enough to do travels in one segment.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

from jupyter_dsage import clock, settings
from jupyter_dsage.client.job import Job
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire import payload
from jupyter_dsage.wire.codec import too_large

if TYPE_CHECKING:
    import collections
    from collections.abc import Iterator

    from jupyter_dsage.client.batch import Batch
    from jupyter_dsage.client.link import ChildLink
    from jupyter_dsage.client.outbox import Post

    Packed = payload.Call | payload.Frame

NUMBERS = frozenset({int, float, complex, bool, type(None)})
"""Arguments whose size needs no look."""


class Call(NamedTuple):
    """One call on its way to the I/O thread."""

    submitter: Submitter
    job: Job
    function: str
    numbers: bool
    """Whether its arguments are a tuple of numbers."""
    packed: Any
    size: int


class _Gathered:
    """Calls of one function that go out together when their turn comes; the I/O thread's (see `outbox.Deferred`).

    `room`: how many more may join, 0 once something was posted behind; `numbers`: each is a tuple of numbers.
    """

    def __init__(self, batch: Batch, function: str, *, numbers: bool) -> None:
        self.function = function
        self.numbers = numbers
        self.first = batch.next_number()
        self.calls: list[Any] = []
        self.size = 0
        self.room = settings.SUBMITTED_TOGETHER
        self._batch = batch
        self._born = clock.monotonic()

    def due(self) -> bool:
        """Tell whether to send now: workers may idle, or it has gathered long enough."""
        enough = settings.WAITING_JOBS_PER_SLOT * max(1, self._batch.pace()[0])
        waiting = self._batch.waiting() - len(self.calls)
        return waiting < enough or clock.monotonic() - self._born > settings.GATHER_SECONDS

    def __call__(self) -> Iterator[Post]:
        """Make the messages."""
        batch, first = self._batch, self.first
        self.room = 0
        if self.numbers:
            frames = (batch.packing.dump_numbers(self.calls),)
            yield m.AddJobs(batch.number, self.function, len(self.calls), first=first), frames
            return
        for part in _parts(self.calls):
            yield m.AddJobs(batch.number, self.function, len(part), first=first), (batch.packing.dump_packed(part),)
            first += len(part)


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
        self._last: _Gathered | None = None

    # --- from any thread -----------------------------------------------------------------------------------

    def quick(self, function: str, args: tuple[Any, ...]) -> Job | None:
        """Submit a call whose arguments are numbers; None where it must go by `submit`.

        As short as can be: 100,000 calls of it are what a loop over `submit` takes.
        """
        for value in args:
            if type(value) not in NUMBERS:
                return None
        batch = self.batch
        if batch.over is not None:
            return None
        job = Job(batch.ledger)
        self._hand_over(Call(self, job, function, numbers=True, packed=args, size=0))
        return job

    def submit(self, function: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Job:
        """Have one call numbered and sent, and return its job; raises UnpicklableError, SessionLost."""
        self.batch.session.check_alive()
        self._link.wait_for_room()
        packing = self.batch.packing
        numbers = not kwargs and packing is payload and NUMBERS.issuperset(map(type, args))
        packed = args if numbers else packing.pack_call(args, kwargs, self.batch.ledger.total)
        size = 0 if numbers else _size(packed)
        if size > settings.MAX_FRAME_BYTES // 2:  # half, since others may travel with it
            raise too_large(f"the arguments of job {self.batch.ledger.total}", size)
        job = Job(self.batch.ledger)
        self._hand_over(Call(self, job, function, numbers, packed, size))
        if size > settings.UNSENT_PAYLOAD_BYTES:
            job.index  # noqa: B018  (numbered: its bytes are counted before the next ones come)
        return job

    def _hand_over(self, call: Call) -> None:
        idle = not self._link.awake and self.batch.waiting() == 0
        self._link.submit(call)
        self.batch.check_alive()  # it may have ended meanwhile
        if idle:  # it is sent before this thread keeps the interpreter for itself, if it does
            with contextlib.suppress(TimeoutError):
                self._link.call(lambda: None, settings.HAND_OVER_SECONDS)

    # --- from the I/O thread -------------------------------------------------------------------------------

    def take(self, call: Call, handed: collections.deque[Any]) -> None:
        """Number a call, and those of its kind that come next in `handed`, and gather them."""
        calls = [call]
        while handed:
            other = handed[0]
            if type(other) is not Call or other.submitter is not self or other.function != call.function:
                break
            if other.numbers != call.numbers:
                break
            calls.append(handed.popleft())
        self._gather(calls)

    def _gather(self, calls: list[Call]) -> None:
        head = calls[0]
        while calls:
            last = self._last
            if last is None or last.room <= 0 or last.function != head.function or last.numbers != head.numbers:
                self._last = last = _Gathered(self.batch, head.function, numbers=head.numbers)
                self._link.post_later(last)
            taken, calls = calls[: last.room], calls[last.room :]
            self.batch.number_jobs([call.job for call in taken])
            last.room -= len(taken)
            last.calls += [call.packed for call in taken]
            size = sum(call.size for call in taken)
            last.size += size
            if size:
                self._link.charge(size)
