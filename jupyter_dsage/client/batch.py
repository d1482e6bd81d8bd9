"""`Batch`: jobs submitted together, as the user holds them. Everything returns at once but what says that it waits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from jupyter_dsage.client.feeder import Feeder, Source
from jupyter_dsage.client.job import Job
from jupyter_dsage.client.ledger import CANCELLED, Ledger
from jupyter_dsage.client.record import Chunk, Ended
from jupyter_dsage.errors import SessionLost, UsageError
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.client.session import Session
    from jupyter_dsage.core.ranges import Run

Errors = Literal["raise", "return", "skip"]


class Batch(Sequence[Job]):
    """A sequence of `Job`, in the order in which the jobs were given. Made by `Session.scatter` and its kin."""

    def __init__(self, session: Session, number: int, name: str, limit: int | None) -> None:
        self.name = name
        self.number = number
        self._session = session
        self._limit = limit
        self._ledger = Ledger(name, self._cancel_one, lambda: not session.on_io_thread())
        self._feeder = Feeder(self, name)
        self._edit = threading.RLock()
        """Held while jobs are numbered, sent or cancelled, so that both sides count alike."""
        self._sent = 0
        self._seconds: float | None = None
        self._open: list[Source] = []
        """Sources whose last job has no number yet."""
        self._feed_error: BaseException | None = None
        self._over: str | None = None

    # --- jobs in -------------------------------------------------------------------------------------------

    def add(self, jobs: Iterable[Any], fn: Callable[..., Any] | str | None = None) -> Batch:
        """Add jobs at the end, as (args, kwargs) pairs, or as plain items where the batch came from a `map`.

        They call the batch's function, or `fn`. Returns the batch. Raises as `Session.scatter` does.
        """
        self._session.add_to(self, jobs, fn)
        return self

    def feed(self, source: Source) -> None:
        """Take a source in: its first job is drawn, pickled and checked now, the rest by the feeder."""
        self.check_alive()
        source.head = count, data = source.draw(self._ledger.total, strict=True)
        with self._edit:
            self.check_alive()
            if source.left is not None and not self._open:
                source.stop = self._ledger.total + count + source.left
                self._ledger.grow(source.stop)
            else:
                self._open.append(source)
            self._tell_expected()
            if self._feeder.idle and count:
                source.head = (0, b"")
                self.take(source, count, data)
            if self._feeder.idle and source.left == 0:
                self.exhausted(source)
            else:
                self._feeder.feed(source)

    def _tell_expected(self) -> None:
        """Tell the child how many jobs there will be, for the view."""
        if self._over is None:
            self._session.post(m.Expect(self.number, self._ledger.total, bool(self._open)))

    def watch(self, callback: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        """Have `callback` called, on the I/O thread, with what there is to see of the batch, whenever it changes.

        At most 5 times a second; the snapshot is a dict of plain values (see `child.view`). Returns a function that
        ends this. After the session's end comes a last snapshot, whose session is not alive.
        """
        return self._session.watch(self.number, callback)

    def check_alive(self) -> None:
        """Raise SessionLost if the batch's session has ended."""
        if self._over is not None:
            raise SessionLost(self._over)

    def reserve(self, count: int) -> int:
        """Number jobs that are posted by the session itself (`submit`); return the first number."""
        with self._edit:
            self.check_alive()
            first = self._sent
            self._sent += count
            self._ledger.grow(self._sent)
            return first

    # feeder.Sink: called by the feeder's thread

    def take(self, source: Source, count: int, data: bytes) -> None:
        """See `feeder.Sink`."""
        with self._edit:
            if source.dropped:
                return
            first = self._sent
            self._sent += count
            self._ledger.grow(self._sent)
            self._session.post(m.AddJobs(self.number, source.function, count), data)
            for run in self._ledger.cancelled.overlap(first, self._sent):
                self._cancel_one(run)  # cancelled before it was sent

    def exhausted(self, source: Source) -> None:
        """See `feeder.Sink`."""
        with self._edit:
            if source.dropped:
                return
            source.stop = self._sent
            if source in self._open:
                self._open.remove(source)
            if source.error is not None:
                note = f"Raised while jobs were drawn for batch {self.name!r}; {self._sent} had been drawn."
                source.error.add_note(note)
                self._feed_error = source.error
            self._number_next()
            self._tell_expected()
        self._ledger.grow(self._sent)
        self._ledger.tell()

    def _number_next(self) -> None:
        """Number the jobs of sources that waited only for the length of the one before."""
        total = self._sent
        while self._open and (left := self._open[0].left) is not None:
            source = self._open.pop(0)
            total += left + source.head[0]
            source.stop = total
            self._ledger.grow(total)

    def waiting(self) -> int:
        """See `feeder.Sink`."""
        return self._sent - len(self._ledger.record.ended)

    def pace(self) -> tuple[int, float | None]:
        """See `feeder.Sink`."""
        return self._session.slots, self._seconds

    def next_number(self) -> int:
        """See `feeder.Sink`."""
        return self._sent

    # --- endings in: called by the I/O thread --------------------------------------------------------------

    def outcomes(self, message: m.Outcomes, data: bytes | memoryview) -> None:
        """Take outcomes from the child."""
        self._seconds = message.seconds
        chunk = Chunk(message.first, data, message.worker, dict(message.attempts))
        self._ledger.end(message.runs, chunk, message.failed)
        self._feeder.poke()

    def ended(self, runs: Iterable[Run], holder: Ended) -> None:
        """Take jobs that were lost or cancelled."""
        self._ledger.end(runs, holder)
        self._feeder.poke()

    def session_ended(self, reason: str) -> None:
        """End every job that has not: nobody is left to run it."""
        with self._edit:
            self._over = reason
            self._drop_sources(self._ledger.total)
        self._ledger.end(
            [(0, self._ledger.total)], Ended(lambda job: SessionLost(f"Job {job} did not end: {reason}"), "lost")
        )

    def _drop_sources(self, stop: int) -> None:
        for source in [*self._feeder.stop(), *self._open]:
            source.dropped = True
            source.stop = stop
        self._open.clear()

    def poke(self) -> None:
        """Have the feeder look again: the session's slots changed."""
        self._feeder.poke()

    # --- looking -------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._ledger.total

    @overload
    def __getitem__(self, index: int) -> Job: ...
    @overload
    def __getitem__(self, index: slice) -> list[Job]: ...
    def __getitem__(self, index: int | slice) -> Job | list[Job]:
        total = self._ledger.total
        if isinstance(index, slice):
            return [self._ledger.job(number) for number in range(*index.indices(total))]
        number = index + total if index < 0 else index
        if not 0 <= number < total:
            raise IndexError(f"Batch {self.name!r} has jobs 0 to {total - 1}, not {index}.")
        return self._ledger.job(number)

    @property
    def failed(self) -> list[Job]:
        """The jobs that raised or were lost so far, in order: those that `retry` would run again."""
        with self._ledger.changed:
            numbers = sorted([*self._ledger.failed.numbers(), *self._ledger.lost.numbers()])
        return [self._ledger.job(number) for number in numbers]

    @property
    def counts(self) -> dict[str, int]:
        """Jobs by what is known here: waiting (queued or running), finished, failed, lost, cancelled."""
        ledger = self._ledger
        with ledger.changed:
            ended = len(ledger.record.ended)
            other = {"failed": len(ledger.failed), "lost": len(ledger.lost), "cancelled": len(ledger.cancelled)}
            return {"waiting": ledger.total - ended, "finished": ended - sum(other.values()), **other}

    def ready(self) -> bool:
        """Tell whether all jobs present have ended."""
        return _Present(self._ledger, list(self._open)).ended()

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {state}" for state, count in self.counts.items() if count)
        return f"<Batch {self.name!r}: {len(self)} jobs{': ' if counts else ''}{counts}>"

    # --- waiting -------------------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the jobs present at the call; return whether they have all ended within `timeout` seconds."""
        try:
            self._ledger.wait(_Present(self._ledger, list(self._open)).ended, timeout, f"Batch {self.name!r}")
        except TimeoutError:
            return False
        return True

    def wait_for_number(self, number: int, deadline: float | None) -> bool:
        """Wait until there is a job with this number, or until it is known that there will be none: then False.

        `deadline`: monotonic seconds. Raises TimeoutError.
        """
        rest = None if deadline is None else max(0.0, deadline - time.monotonic())
        ledger = self._ledger
        ledger.wait(lambda: ledger.total > number or not self._open, rest, f"Batch {self.name!r}")
        if ledger.total > number:
            rest = None if deadline is None else max(0.0, deadline - time.monotonic())
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
        present = _Present(self._ledger, list(self._open))
        self._ledger.wait(present.ended, timeout, f"Batch {self.name!r}")
        return self._gather(errors, present.stop())

    def _gather(self, errors: Errors, stop: int) -> list[Any]:
        values: list[Any] = []
        with self._ledger.changed:
            runs = self._ledger.record.walk(stop)
        for a, b, holder in runs:
            with self._ledger.changed:  # one chunk at a time, so that the I/O thread gets its turn
                scalars = holder.scalars(a, b)
                endings = [] if scalars is not None else [holder.ending(number) for number in range(a, b)]
            values += scalars or ()
            for value, error in endings:
                if error is None:
                    values.append(value)
                elif errors == "raise":
                    raise error
                elif errors == "return":
                    values.append(error)
        if self._feed_error is not None and errors == "raise":
            raise self._feed_error
        return values

    def as_completed(self, timeout: float | None = None) -> Iterator[Job]:
        """Yield each `Job` as it ends, also those added while this goes on; raises TimeoutError."""
        deadline = None if timeout is None else time.monotonic() + timeout
        at = 0
        while True:
            rest = None if deadline is None else max(0.0, deadline - time.monotonic())
            self._ledger.wait(lambda at=at: len(self._ledger.log) > at or self.ready(), rest, f"Batch {self.name!r}")  # type: ignore[misc]
            if len(self._ledger.log) == at:
                return
            first, stop = self._ledger.log[at]
            at += 1
            for number in range(first, stop):
                yield self._ledger.job(number)

    def __await__(self) -> Generator[Any, None, list[Any]]:
        """Wait without blocking the event loop; the value is that of ``results()``."""
        return self._results_async().__await__()

    async def _results_async(self) -> list[Any]:
        present = _Present(self._ledger, list(self._open))
        await self._until(present.ended)
        return self._gather("raise", present.stop())

    async def __aiter__(self) -> AsyncIterator[Job]:
        """Yield each `Job` as it ends, without blocking the event loop."""
        at = 0
        while True:
            await self._until(lambda at=at: len(self._ledger.log) > at or self.ready())  # type: ignore[misc]
            if len(self._ledger.log) == at:
                return
            first, stop = self._ledger.log[at]
            at += 1
            for number in range(first, stop):
                yield self._ledger.job(number)

    async def _until(self, fact: Callable[[], bool]) -> None:
        """Wait on the event loop until a fact holds."""
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def listener() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(changed.set)

        self._ledger.listeners.append(listener)
        try:
            while not fact():
                await changed.wait()
                changed.clear()
        finally:
            self._ledger.listeners.remove(listener)

    # --- acting --------------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Cancel every job present that has not ended; running ones are interrupted, undrawn ones never drawn."""
        with self._edit:
            self._drop_sources(self._ledger.total)
            unsent = self._ledger.total - self._sent
            if unsent:
                self._session.post(m.SkipJobs(self.number, unsent))
                self._sent = self._ledger.total
            self._session.post(m.Cancel(self.number, None))
            self._tell_expected()
        self._ledger.end([(0, self._ledger.total)], CANCELLED)

    def _cancel_one(self, run: Run) -> None:
        self._session.post(m.Cancel(self.number, (run,)))

    def retry(self) -> int:
        """Run each failed or lost job again, under a new `Job` at its index; return how many there are.

        A `Job` held from before keeps its outcome.
        """
        self.check_alive()
        runs = self._ledger.reopen()
        if runs:
            self._session.post(m.Retry(self.number, tuple(runs)))
        return sum(stop - first for first, stop in runs)

    def pause(self) -> None:
        """Start no more jobs of this batch; those that run go on."""
        self._session.post(m.Pause(self.number))

    def resume(self) -> None:
        """Start jobs of this batch again."""
        self._session.post(m.Resume(self.number))

    @property
    def limit(self) -> int | None:
        """How many jobs of this batch run at once at most; None: as many as there are slots."""
        return self._limit

    @limit.setter
    def limit(self, value: int | None) -> None:
        self._limit = check_limit(value)
        self._session.post(m.Limit(self.number, self._limit))


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
        drawn = all(source.stop is not None for source in self._sources)
        return drawn and self._ledger.record.ended.covers(0, self.stop())


def check_limit(value: int | None) -> int | None:
    """Return a valid limit; raises UsageError for anything else."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise UsageError(f"limit={value!r} is no limit: give a number of jobs of at least 1, or None for no limit.")
    return value
