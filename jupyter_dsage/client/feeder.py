"""Draws jobs from what the user gave, pickles them in segments, and sends them while there is room.

One thread a batch, only while it has something to draw; it alone runs the user's generators and the pickling of
all jobs but the first. A list is sent as fast as the child takes it (`FEED_BYTES` not finished at most); a source
without a length is drawn as needed (`core.chunks.appetite`).
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_dsage import settings
from jupyter_dsage.core.chunks import appetite, segment_size
from jupyter_dsage.errors import SessionLost
from jupyter_dsage.wire import data_calls, payload
from jupyter_dsage.wire.codec import too_large

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


log = logging.getLogger("jupyter_dsage")


@dataclass(slots=True)
class Source:
    """The jobs of one ``add``: `left` of them still to be drawn (None: unknown), calling one function."""

    jobs: Iterator[Any]
    left: int | None
    function: str
    bare: bool
    """Whether a job is its one argument, rather than an (args, kwargs) pair."""
    plain: bool = False
    """Whether its jobs travel as plain data: they call a service."""
    given: Sequence[Any] | None = None
    """What the jobs are drawn from, where they can be looked up by number: for showing arguments."""
    cut: int = 0
    mean_bytes: float | None = None
    head: tuple[int, bytes] = (0, b"")
    """The first segment, drawn when the source was given; empty once it was taken."""
    error: BaseException | None = None
    """What the user's generator raised."""
    stop: int | None = None
    """The number after its last job, once it is known."""
    dropped: bool = False
    """Cancelled: what is still drawn from it counts no more."""

    def next(self, first: int) -> tuple[int, bytes]:
        """Return the next segment: the one drawn before, or a new one."""
        count, data = self.head
        if count:
            self.head = (0, b"")
            return count, data
        return (0, b"") if self.cut == 0 else self.draw(first)

    def draw(self, first: int, *, strict: bool = False) -> tuple[int, bytes]:
        """Take the next segment; return its number of jobs (0: the source is empty) and its payload."""
        items: list[Any] = []
        wanted = segment_size(self.cut, self.mean_bytes)
        try:
            if isinstance(self.given, range):  # it stays one: 0.1 us a job less here, and as much at the worker
                items = self.given[self.cut : self.cut + wanted]  # type: ignore[assignment]
            else:
                items.extend(itertools.islice(self.jobs, wanted))
        except BaseException as error:  # the user's generator may raise anything: it is reported
            if strict:
                raise
            self.error, self.left = error, 0  # what it gave before counts
        if not items:
            return 0, b""
        how = data_calls if self.plain else payload
        dump = how.dump_items if self.bare else how.dump_calls
        data = dump(items, first, strict=strict)
        if len(data) > settings.MAX_FRAME_BYTES:
            if len(items) > 1:  # one by one, so that only the culprit is refused
                self.jobs = itertools.chain(items, self.jobs)
                self.mean_bytes = float(settings.SEGMENT_BYTES)
                return self.draw(first, strict=strict)
            refusal = too_large(f"the arguments of job {first}", len(data))
            if strict:
                raise refusal
            data = how.dump_refused(refusal, 1)
        self.cut += len(items)
        self.mean_bytes = len(data) / len(items)
        if self.left is not None:
            self.left = max(0, self.left - len(items))
        return len(items), data


def source_of(jobs: Iterable[Any], function: str, *, bare: bool, plain: bool) -> Source:
    """Return the source for what a user gave; anything with a length is copied (shallowly)."""
    if isinstance(jobs, (tuple, range)):
        return Source(iter(jobs), len(jobs), function, bare, plain, jobs)
    if hasattr(jobs, "__len__"):
        copied = list(jobs)
        return Source(iter(copied), len(copied), function, bare, plain, copied)
    return Source(iter(jobs), None, function, bare, plain)


class Sink(Protocol):
    """Where a feeder's segments go: the batch."""

    def call(self, do: Callable[[], None]) -> None:
        """Have the I/O thread do something, and wait for that; raises SessionLost."""

    def take(self, source: Source, count: int, data: bytes) -> None:
        """Send one segment, unless the source was dropped. On the I/O thread."""

    def wait_for_room(self) -> None:
        """Wait while too much was sent that is not in the journal yet."""

    def exhausted(self, source: Source) -> None:
        """Note that a source gave its last job, or raised. On the I/O thread."""

    def give_up(self, error: BaseException) -> None:
        """End the jobs that were not sent: an error of the feeder itself prevents that. On the I/O thread."""

    def waiting(self) -> int:
        """Return how many jobs were sent and have not ended."""

    def pace(self) -> tuple[int, float | None]:
        """Return the session's slots, and the mean seconds of a job (None: not known)."""

    def next_number(self) -> int:
        """Return the number the next job drawn gets."""


class Feeder:
    """Draws a batch's sources, one after another. The I/O thread calls it; no thread of the user's holds its lock."""

    def __init__(self, sink: Sink, name: str) -> None:
        self._sink = sink
        self._name = name
        self._sources: collections.deque[Source] = collections.deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def feed(self, source: Source) -> None:
        """Draw this source after those that were given before."""
        with self._changed:
            self._sources.append(source)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"dsage-feed {self._name}", daemon=True)
                self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether nothing is being drawn."""
        return self._thread is None

    def stop(self) -> list[Source]:
        """Draw no more from the sources that there are; return them."""
        with self._changed:
            dropped = list(self._sources)
            self._sources.clear()
            self._changed.notify_all()
        return dropped

    def poke(self) -> None:
        """Look again whether there is room: jobs have ended, or slots have changed."""
        if self._thread is not None:
            with self._changed:
                self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._sources:
                    self._thread = None
                    return
                source = self._sources[0]
                if self._full(source):
                    self._changed.wait()
                    continue
            try:
                self._feed_one(source)
            except SessionLost:  # the session has just ended, and tells every job so
                self.stop()
            except BaseException as error:  # no memory, no thread: whatever it is, the batch's jobs end with it
                log.exception("Jobs of batch %r could not be sent.", self._name)
                self._give_up(error)

    def _give_up(self, error: BaseException) -> None:
        with contextlib.suppress(SessionLost):
            self._sink.call(lambda: self._sink.give_up(error))
        self.stop()

    def _feed_one(self, source: Source) -> None:
        self._sink.wait_for_room()
        count, data = source.next(self._sink.next_number())
        self._sink.call(lambda: self._hand_over(source, count, data))  # no lock is held here, which `stop` takes

    def _hand_over(self, source: Source, count: int, data: bytes) -> None:
        """Give the sink what was drawn. On the I/O thread, so that no `stop` comes in between."""
        if count:
            self._sink.take(source, count, data)
        if not count or source.left == 0:
            with self._changed:
                if self._sources and self._sources[0] is source:
                    self._sources.popleft()
            self._sink.exhausted(source)

    def _full(self, source: Source) -> bool:
        waiting = self._sink.waiting()
        if waiting * (source.mean_bytes or 0) > settings.FEED_BYTES:
            return True
        return source.left is None and waiting >= appetite(*self._sink.pace())


def zipped(iterables: tuple[Iterable[Any], ...], function: str, *, plain: bool) -> Source:
    """Return the source of a ``map`` over several iterables, which ends with the shortest."""
    parts = [source_of(jobs, function, bare=True, plain=plain) for jobs in iterables]
    lengths = [part.left for part in parts]
    known = [length for length in lengths if length is not None]
    left = min(known) if len(known) == len(lengths) else None
    make: Callable[[tuple[Any, ...]], tuple[tuple[Any, ...], dict[str, Any]]] = lambda args: (args, {})  # noqa: E731
    return Source(map(make, zip(*(part.jobs for part in parts), strict=False)), left, function, bare=False, plain=plain)
