"""Waiting for a batch and gathering from it: blocking, as jobs complete, and on an event loop. A part of `Batch`."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from jupyter_dsage import clock, settings
from jupyter_dsage.client.details import which
from jupyter_dsage.client.waiting import deadline_of
from jupyter_dsage.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator

    from jupyter_dsage.client.feeder import Source
    from jupyter_dsage.client.job import Job
    from jupyter_dsage.client.ledger import Ledger
    from jupyter_dsage.client.record import Ending, Holder
    from jupyter_dsage.client.session import Session

T = TypeVar("T")
Errors = Literal["raise", "return", "skip"]


def _uncollected(read: Callable[[], T]) -> T:
    """Keep the garbage collector out while much is decoded: it looks at all that was made so far again and again.

    It takes two thirds of the time in which 10,000 histograms are read.
    """
    on = gc.isenabled()
    try:
        gc.disable()
        return read()
    finally:
        if on:
            gc.enable()


class Gathering:
    """What `Batch` offers to who waits. `_open`: sources whose last job has no number yet."""

    name: str
    session: Session
    ledger: Ledger
    _open: list[Source]
    _feed_error: BaseException | None
    _settlers: list[Callable[[], None]]

    def number_calls(self) -> None:
        """See `Batch.number_calls`."""
        raise NotImplementedError

    def _arguments(self, number: int) -> str | None:
        """See `Batch`."""
        raise NotImplementedError

    def which(self, number: int, holder: Holder) -> str:
        """Return which job one is and where it ran, in words; `holder` knows how it ended."""
        return which(self.name, number, holder, lambda: self._arguments(number), self.session.worker_name)

    def __reduce__(self) -> Any:
        raise TypeError("a Batch stays in this process: pass its values, batch.results()")

    def ready(self) -> bool:
        """Tell whether all jobs present have ended."""
        self.number_calls()
        return self._all_ended()

    def _all_ended(self) -> bool:
        return _Present(self.ledger, list(self._open)).ended()

    def when_settled(self, call: Callable[[], None]) -> None:
        """Have something called, once, on the thread of who waits, when the batch has ended: a display settles so."""
        self._settlers.append(call)

    def _settle(self) -> None:
        if self._settlers and self.ready():
            for call in list(self._settlers):
                call()
                self._settlers.remove(call)  # after it: one that an interrupt ended is called again

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the jobs present at the call; return whether they have all ended within `timeout` seconds."""
        self.number_calls()
        try:
            self.ledger.wait(_Present(self.ledger, list(self._open)).ended, timeout, f"Batch {self.name!r}")
        except TimeoutError:
            return False
        self._settle()
        return True

    def wait_for_number(self, number: int, deadline: float | None) -> bool:
        """Wait until there is a job with this number, or until it is known that there will be none: then False.

        `deadline`: monotonic seconds. Raises TimeoutError.
        """
        rest = None if deadline is None else max(0.0, deadline - clock.monotonic())
        ledger = self.ledger
        ledger.wait(lambda: ledger.total > number or not self._open, rest, f"Batch {self.name!r}")
        if ledger.total > number:
            rest = None if deadline is None else max(0.0, deadline - clock.monotonic())
            ledger.wait_for_job(ledger.job(number), rest)
            return True
        if self._feed_error is not None:
            raise self._feed_error
        return False

    def results(self, errors: Errors = "raise", timeout: float | None = None) -> list[Any]:
        """Wait for the jobs present at the call and return their values, in order.

        `errors`: ``"raise"`` raises the exception of the first job that has one, ``"return"`` puts exceptions in
        their places, ``"skip"`` leaves those jobs out. Raises TimeoutError after `timeout` seconds, and what the
        generator raised that the jobs were drawn from.
        """
        if errors not in {"raise", "return", "skip"}:
            raise UsageError(f"errors={errors!r} is unknown: use 'raise', 'return' or 'skip'.")
        self.number_calls()
        present, ahead = _Present(self.ledger, list(self._open)), _Ahead(self.ledger)
        began = clock.monotonic()
        while (runs := present.runs()) is None:
            self.ledger.wait(lambda: ahead.came() or present.ended(), timeout, f"Batch {self.name!r}", began)
            _uncollected(ahead.read)
        self._settle()
        return _uncollected(lambda: self._gather(errors, runs))

    def _gather(self, errors: Errors, runs: list[tuple[int, int, Holder]]) -> list[Any]:
        values: list[Any] = []
        for a, b, holder in runs:
            scalars = holder.scalars(a, b)
            endings = [] if scalars is not None else [self.ledger.told(holder, number) for number in range(a, b)]
            values += scalars or ()
            for value, error in endings:
                if error is None:
                    values.append(value)
                elif errors == "raise":
                    raise BaseException.with_traceback(error, None)  # without the lines of who asked before
                elif errors == "return":
                    values.append(error)
        if self._feed_error is not None and errors == "raise":
            raise self._feed_error
        return values

    def as_completed(self, timeout: float | None = None) -> Iterator[Job]:
        """Yield each `Job` as it ends, also those added while this goes on; raises TimeoutError."""
        deadline = deadline_of(timeout)
        self.number_calls()
        at = 0
        while True:
            rest = None if deadline is None else max(0.0, deadline - clock.monotonic())
            self.ledger.wait(lambda at=at: len(self.ledger.log) > at or self._all_ended(), rest, f"Batch {self.name!r}")  # type: ignore[misc]
            if len(self.ledger.log) == at:
                return
            first, stop = self.ledger.log[at]
            at += 1
            for number in range(first, stop):
                yield self.ledger.job(number)

    def __await__(self) -> Generator[Any, None, list[Any]]:
        """Wait without blocking the event loop; the value is that of ``results()``."""
        return self._results_async().__await__()

    async def _results_async(self) -> list[Any]:
        self.number_calls()
        present = _Present(self.ledger, list(self._open))
        while (runs := present.runs()) is None:
            await self._until(present.ended)
        return _uncollected(lambda: self._gather("raise", runs))

    async def __aiter__(self) -> AsyncIterator[Job]:
        """Yield each `Job` as it ends, without blocking the event loop."""
        self.number_calls()
        at = 0
        while True:
            await self._until(lambda at=at: len(self.ledger.log) > at or self._all_ended())  # type: ignore[misc]
            if len(self.ledger.log) == at:
                return
            first, stop = self.ledger.log[at]
            at += 1
            for number in range(first, stop):
                yield self.ledger.job(number)

    async def _until(self, fact: Callable[[], bool]) -> None:
        """Wait on the event loop until a fact holds."""
        import asyncio

        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def listener() -> None:
            try:
                loop.call_soon_threadsafe(changed.set)
            except RuntimeError:
                return  # the loop was closed meanwhile: nobody waits on it any more

        self.ledger.listeners.append(listener)
        try:
            while not fact():
                await changed.wait()
                changed.clear()
        finally:
            self.ledger.listeners.remove(listener)


class _Present:
    """The jobs present in a batch at one moment: those that have a number, and those of sources still drawn."""

    def __init__(self, ledger: Ledger, sources: list[Source]) -> None:
        self._ledger = ledger
        self._sources = sources
        self._total = ledger.total

    def stop(self) -> int:
        """Return the number after the last of them, as far as it is known."""
        return max([self._total, *(source.stop for source in self._sources if source.stop is not None)])

    def ended(self) -> bool:
        """Tell whether all of them have ended."""
        if any(source.stop is None for source in self._sources):
            return False
        stop = self.stop()
        return self._ledger.read(lambda: self._ledger.record.ended.covers(0, stop))

    def runs(self) -> list[tuple[int, int, Holder]] | None:
        """Return how all of them ended, see `Record.walk`; None while some have not, as those that are retried."""
        if any(source.stop is None for source in self._sources):
            return None
        stop, record = self.stop(), self._ledger.record
        return self._ledger.read(lambda: record.walk(stop) if record.ended.covers(0, stop) else None)


class _Ahead:
    """Values read while the rest runs: large ones as they come, before the shelf has to put them away, others by many.

    It holds large ones until all are gathered. Of a million numbers a third of the time was spent when all had ended,
    with one core; 200 arrays of 1 MB take a quarter less time so (without a journal).
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._read = 0
        """Entries of the ledger's log that were read."""
        self._counted = 0
        """Entries whose bytes were counted: by both threads, and sometimes twice, which only has them read earlier."""
        self._bytes = 0
        self._large = False
        self._held: list[Ending] = []

    def came(self) -> bool:
        """Tell whether there is enough to be read; called by the thread that waits, and by the I/O thread."""
        while (at := self._counted) < len(self._ledger.log):
            holder = self._holder(at)
            self._counted = at + 1
            if holder is not None:
                self._bytes += holder.unread
                self._large = self._large or holder.large
        return self._large or self._bytes >= settings.READ_AHEAD_BYTES

    def _holder(self, at: int) -> Holder | None:
        """Return who knows how the jobs of an entry ended, if a worker told."""
        first = self._ledger.log[at][0]
        holder = self._ledger.read(lambda: self._ledger.record.find(first))
        return holder if holder is not None and holder.state == "told" else None

    def read(self) -> None:
        """Read what came."""
        self._bytes, self._large = 0, False
        ledger = self._ledger
        for at in range(self._read, len(ledger.log)):
            first, stop = ledger.log[at]
            self._read = at + 1
            for a, b, holder in ledger.read(lambda run=(stop, first): ledger.record.walk(*run)):  # type: ignore[misc]
                if holder.state != "told":  # some of them may have been retried since
                    continue
                large = holder.large
                if large or holder.scalars(a, b) is None:
                    endings = [holder.ending(number) for number in range(a, b)]
                    self._held += endings if large else ()
