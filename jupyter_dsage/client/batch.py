"""`Batch`: jobs submitted together, as the user holds them. Everything returns at once but what says that it waits."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, overload

from jupyter_dsage import clock
from jupyter_dsage.client.details import describe
from jupyter_dsage.client.feeder import Feeder, Source
from jupyter_dsage.client.gathering import Gathering
from jupyter_dsage.client.job import Job
from jupyter_dsage.client.ledger import CANCELLED, Ledger
from jupyter_dsage.client.options import check_limit
from jupyter_dsage.client.record import Ended
from jupyter_dsage.errors import SessionLost
from jupyter_dsage.wire import brief, data_calls, payload
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire.notes import add_note
from jupyter_dsage.wire.safe_text import safely

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.client.session import Session
    from jupyter_dsage.core.ranges import Run
    from jupyter_dsage.wire.codec import Frame


_RUNS_IN_A_MESSAGE = 100_000
"""Runs of jobs that one message names at most: about 1 MB."""


class Batch(Gathering, Sequence[Job]):
    """A sequence of `Job`, in the order in which the jobs were given. Made by `Session.scatter` and its kin."""

    def __init__(self, session: Session, opened: m.OpenBatch) -> None:
        self.plain = plain = opened.plain
        """Whether its jobs call services: they and their outcomes are plain data, never pickles."""
        self.packing = data_calls if plain else payload
        """How single jobs are packed."""
        self.opened = opened
        """As it was opened."""
        self.started = opened.at
        """When it was opened, in seconds since the epoch, for people; 0 where that is not known."""
        self.name = name = opened.name
        self.number = opened.batch
        self.session = session
        self.function = opened.function or None
        """The id of the batch's function; None where each job brings its own (`Session.submit`)."""
        self.bare = opened.bare
        """Whether its jobs are given as plain items, rather than as (args, kwargs) pairs."""
        self._settlers: list[Callable[[], None]] = []
        self._given: list[tuple[int, Source]] = []
        """(number of the first job, source) for what was given as a list, so that arguments can be shown."""
        self._limit = opened.limit
        self.mine = True
        """Whether this client adds to it, rather than another one that lives."""
        self.note = ""
        """What people should know of it; empty if there is nothing."""
        self.ledger = Ledger(name, self, single=self.function is None)
        self._feeder = Feeder(self, name)
        self._sent = 0
        """Jobs that were numbered and sent. This and what follows is the I/O thread's alone to change."""
        self._seconds: float | None = None
        self._offers: list[tuple[m.Offered, Frame]] = []
        """Jobs that somebody else brings, until they can be numbered."""
        self._open: list[Source] = []
        """Sources whose last job has no number yet."""
        self._feed_error: BaseException | None = None
        self.over: str | None = None
        """Why nothing comes any more; None while the session lives."""

    # --- jobs in -------------------------------------------------------------------------------------------

    def add(self, jobs: Iterable[Any], fn: Callable[..., Any] | str | None = None) -> Batch:
        """Add jobs at the end, as (args, kwargs) pairs, or as plain items where the batch came from a `map`.

        They call the batch's function, or `fn`. Returns the batch. Raises as `Session.scatter` does.
        """
        self.session.add_to(self, jobs, fn)
        return self

    def add_expression(self, text: str) -> str:
        """Add the jobs that an expression stands for, read with the names of the batch's function; waits for that.

        How *Add jobs* of the view adds them: not in this process, whose names may be in use. Returns the child's
        answer, one sentence; raises EngineError with the expression's own error.
        """
        return self.session.add_expression(self.number, text)

    def draw_head(self, source: Source) -> None:
        """Draw, pickle and check a source's first job, in the thread of who gave it."""
        self.check_alive()
        source.head = source.draw(self.ledger.total, strict=True)

    def feed(self, source: Source) -> None:
        """Take in a source whose first job was drawn; the feeder draws the rest. On the I/O thread."""
        self.check_alive()
        count, data = source.head
        if source.left is not None and not self._open:
            self._given.append((self.ledger.total, source))
            source.stop = self.ledger.total + count + source.left
            self.ledger.grow(source.stop)
        else:
            self._open.append(source)
        self._tell_expected()
        idle = self._feeder.idle  # asked once: its thread may end between the two
        if idle and count:
            source.head = (0, b"")
            self.take(source, count, data)
        if idle and source.left == 0:
            self.exhausted(source)
        else:
            self._feeder.feed(source)

    def _tell_expected(self) -> None:
        """Tell the child how many jobs there will be, for the view."""
        if self.over is None:
            self.session.post(m.Expect(self.number, self.ledger.total, bool(self._open)))

    def watch(self, callback: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        """Have `callback` called, on the I/O thread, with what there is to see of the batch, whenever it changes.

        At most 5 times a second; the snapshot is a dict of plain values (see `child.view`). Returns a function that
        ends this. After the session's end comes a last snapshot, whose session is not alive.
        """
        return self.session.watch(self.number, callback)

    def snapshot(self) -> dict[str, Any] | None:
        """Return what there is to see of the batch now, as `watch` tells it; the last that is known, or None."""
        return self.session.snapshot(self.number)

    def describe(self, number: int) -> dict[str, Any]:
        """Return what is known of one job, in words for people: see `client.details`."""
        return describe(self, self[number], self.ledger.holder(self[number]), self._arguments(number))

    def _arguments(self, number: int) -> str | None:
        """Return a job's arguments as a short text, if they were given as a list."""
        for first, source in self._given:
            if source.given is not None and first <= number < first + len(source.given):
                item = source.given[number - first]
                try:
                    args, kwargs = ((item,), {}) if source.bare else item
                    return brief.call(args, kwargs, brief.interruptible)
                except (TypeError, ValueError):
                    return None  # no pair: the job's own error says so
        return None

    def check_alive(self) -> None:
        """Raise SessionLost if the batch's session has ended."""
        if self.over is not None:
            raise SessionLost(self.over)

    def number_jobs(self, jobs: Sequence[Job]) -> None:
        """Number calls that the session itself posts (`submit`). On the I/O thread."""
        first = self._sent
        self._sent += len(jobs)
        self.ledger.enter(jobs)
        if self.over is not None:
            self._end_lost(first, self._sent, self.over)

    def found(self, known: m.KnownBatch) -> None:
        """Take note of what there is already of a batch that another client opened."""
        self._sent = known.total
        self.mine, self.note = known.mine, known.note
        self.ledger.grow(known.total)

    def adopted(self, total: int) -> None:
        """Take note that this client adds to it from now on, and how many jobs it has."""
        self._sent = total
        self.mine = True
        self.ledger.grow(total)

    def resent(self) -> None:
        """Tell a new child what the one before knew of this batch beside its jobs."""
        if self.mine:
            self._tell_expected()

    def wait_drawn(self, deadline: float) -> None:
        """Wait until the jobs that were given as lists are drawn and posted, or until a moment (monotonic seconds)."""
        while not self._feeder.idle and not self._open and clock.monotonic() < deadline:
            clock.sleep(0.005)

    # feeder.Sink; `take` and `exhausted` are called on the I/O thread

    def wait_for_room(self) -> None:
        """See `feeder.Sink`."""
        self.session.wait_for_room()

    def call(self, do: Callable[[], None]) -> None:
        """See `feeder.Sink`."""
        self.session.call(do)

    def take(self, source: Source, count: int, data: bytes) -> None:
        """See `feeder.Sink`."""
        if source.dropped:
            return
        first = self._sent
        self._sent += count
        self.ledger.grow(self._sent)
        self.session.post(m.AddJobs(self.number, source.function, count, first=first), data)
        for run in self.ledger.cancelled.overlap(first, self._sent):
            self.session.post(m.Cancel(self.number, (run,)))  # cancelled before it was sent
        self._take_offers()

    def exhausted(self, source: Source) -> None:
        """See `feeder.Sink`."""
        if source.dropped:
            return
        source.stop = self._sent
        if source in self._open:
            self._open.remove(source)
        if source.error is not None:
            note = f"Raised while jobs were drawn for batch {self.name!r}; {self._sent} had been drawn."
            self._feed_error = source.error
            add_note(source.error, note)
        self._number_next()
        self._take_offers()
        self._tell_expected()
        self.ledger.grow(self._sent)
        self.ledger.tell()

    def give_up(self, error: BaseException) -> None:
        """See `feeder.Sink`."""
        first = self._sent
        self._drop_sources(self.ledger.total)
        self._skip_unsent()
        self._tell_expected()
        why = safely(lambda: str(error), "")
        self._end_lost(first, self._sent, f"it could not be sent ({type(error).__name__}{why and ': '}{why}).")

    def _skip_unsent(self) -> None:
        """Have the jobs numbered that will not be sent."""
        unsent = self.ledger.total - self._sent
        if unsent:
            self.session.post(m.SkipJobs(self.number, unsent, self._sent))
            self._sent = self.ledger.total

    def _number_next(self) -> None:
        """Number the jobs of sources that waited only for the length of the one before."""
        total = self._sent
        while self._open and (left := self._open[0].left) is not None:
            source = self._open[0]
            total += left + source.head[0]
            source.stop = total
            self.ledger.grow(total)
            self._open.pop(0)  # last: who looks at what is present finds it here, or in the total

    def waiting(self) -> int:
        """See `feeder.Sink`."""
        return self._sent - len(self.ledger.record.ended)

    def pace(self) -> tuple[int, float | None]:
        """See `feeder.Sink`."""
        return self.session.slots, self._seconds

    def next_number(self) -> int:
        """See `feeder.Sink`."""
        return self._sent

    # --- endings in: called by the I/O thread --------------------------------------------------------------

    def outcomes(self, message: m.Outcomes, data: bytes | memoryview | None) -> None:
        """Take outcomes from the child; without data they are looked up in the journal."""
        self._seconds = message.seconds
        chunk = self.session.chunk(message, data, plain=self.plain)
        if not self.mine:  # another client adds to it: its jobs show by their ends
            self.ledger.grow(message.stop)
        self.ledger.end(message.runs, chunk, message.failed)
        self._feeder.poke()

    def ended(self, runs: Iterable[Run], holder: Ended) -> None:
        """Take jobs that were lost or cancelled."""
        self.ledger.end(runs, holder)
        self._feeder.poke()

    def offered(self, message: m.Offered, data: Frame) -> None:
        """Number jobs that somebody else brings, behind those that have a number: now, or when these are sent."""
        self._offers.append((message, data))
        self._take_offers()

    def _take_offers(self) -> None:
        """Send what was offered, if no number is given that has not been sent."""
        while self._offers and self.ledger.total == self._sent and self.over is None:
            offer, data = self._offers.pop(0)
            first = self._sent
            self._sent += offer.count
            self.ledger.grow(self._sent)
            self.session.post(m.AddJobs(self.number, offer.function, offer.count, offer.offer, first), data)

    def reopened(self, runs: Iterable[Run]) -> None:
        """Take note that failed or lost jobs run again; those that were retried from here are open already."""
        self.ledger.reopen(runs)

    def refused(self, reason: str) -> None:
        """Give the batch up: the child has refused jobs of it, so both sides do not count alike any more."""
        self._drop_sources(self.ledger.total)
        self.session.post(m.Cancel(self.number, None))
        self._end_lost(0, self.ledger.total, reason)

    def session_ended(self, reason: str) -> None:
        """End every job that has not: nobody is left to run it."""
        self.over = reason
        self._drop_sources(self.ledger.total)
        self._end_lost(0, self.ledger.total, reason)

    def _end_lost(self, first: int, stop: int, reason: str) -> None:
        ended = Ended(lambda job: SessionLost(f"Job {job} did not end: {reason}"), "lost")
        self.ledger.end([(first, stop)], ended)

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
        self.number_calls()
        return self.ledger.total

    def number_calls(self) -> None:
        """Have single calls numbered that were handed over just now; see `client.submit`."""
        if self.function is None:
            self.session.number_calls()

    @overload
    def __getitem__(self, index: int) -> Job: ...
    @overload
    def __getitem__(self, index: slice) -> list[Job]: ...
    def __getitem__(self, index: int | slice) -> Job | list[Job]:
        index = index if isinstance(index, slice) else operator.index(index)
        if isinstance(index, slice) or not 0 <= index < self.ledger.total:
            self.number_calls()
        total = self.ledger.total
        if isinstance(index, slice):
            return [self.ledger.job(number) for number in range(*index.indices(total))]
        number = index + total if index < 0 else index
        if not 0 <= number < total:
            raise IndexError(f"Batch {self.name!r} has jobs 0 to {total - 1}, not {index}.")
        return self.ledger.job(number)

    @property
    def failed(self) -> list[Job]:
        """The jobs that raised or were lost so far, in order: those that `retry` would run again."""
        ledger = self.ledger
        numbers = ledger.read(lambda: sorted([*ledger.failed.numbers(), *ledger.lost.numbers()]))
        return [self.ledger.job(number) for number in numbers]

    @property
    def counts(self) -> dict[str, int]:
        """Jobs by what is known here: waiting (queued or running), finished, failed, lost, cancelled."""
        ledger = self.ledger
        self.number_calls()

        def count() -> dict[str, int]:
            ended = len(ledger.record.ended)
            other = {"failed": len(ledger.failed), "lost": len(ledger.lost), "cancelled": len(ledger.cancelled)}
            return {"waiting": ledger.total - ended, "finished": ended - sum(other.values()), **other}

        return ledger.read(count)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {state}" for state, count in self.counts.items() if count)
        return f"<Batch {self.name!r}: {len(self)} jobs{': ' if counts else ''}{counts}>"

    # --- acting --------------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Cancel every job present that has not ended; running ones are interrupted, undrawn ones never drawn."""
        self.session.call(self.cancel_all)

    def cancel_all(self) -> None:
        """Cancel every job; on the I/O thread."""
        self._drop_sources(self.ledger.total)
        self._skip_unsent()
        self.session.post(m.Cancel(self.number, None))
        self._take_offers()
        self._tell_expected()
        self.ledger.end([(0, self.ledger.total)], CANCELLED)

    def retry(self, number: int | None = None) -> int:
        """Run each failed or lost job again, or just job `number`, under a new `Job` at its index; return how many.

        A `Job` held from before keeps its outcome.
        """
        runs = None if number is None else [(operator.index(number), operator.index(number) + 1)]
        return self.session.call(lambda: self._retry(runs))

    def _retry(self, wanted: list[Run] | None) -> int:
        self.check_alive()
        runs = self.ledger.reopen(wanted)
        for at in range(0, len(runs), _RUNS_IN_A_MESSAGE):
            self.session.post(m.Retry(self.number, tuple(runs[at : at + _RUNS_IN_A_MESSAGE])))
        return sum(stop - first for first, stop in runs)

    # ledger.Owner

    def cancel_job(self, job: Job) -> bool:
        """Cancel one job; see `Job.cancel`."""
        if job.done():
            return job.cancelled()
        return self.session.call(lambda: self._cancel_job(job)) or job.cancelled()

    def _cancel_job(self, job: Job) -> bool:
        run = (job.index, job.index + 1)
        if job.kept is not None or not self.ledger.end([run], CANCELLED):
            return False
        self.session.post(m.Cancel(self.number, (run,)))
        return True

    def may_wait(self) -> bool:
        """Tell whether the calling thread may wait: all but the I/O thread. Raises SessionLost in a forked process."""
        self.session.check_owned()
        return not self.session.on_io_thread()

    def after(self, do: Callable[[], object]) -> None:
        """See `ChildLink.after`."""
        self.session.after(do)

    def look_output(self, job: int) -> str:
        """Return what a job that runs has printed so far."""
        return self.session.look_output(self.number, job)

    def pause(self) -> None:
        """Start no more jobs of this batch; those that run go on."""
        self.session.post(m.Pause(self.number))

    def resume(self) -> None:
        """Start jobs of this batch again."""
        self.session.post(m.Resume(self.number))

    @property
    def limit(self) -> int | None:
        """How many jobs of this batch run at once at most; None: as many as there are slots."""
        return self._limit

    @limit.setter
    def limit(self, value: int | None) -> None:
        self._limit = check_limit(value)
        self.session.post(m.Limit(self.number, self._limit))
