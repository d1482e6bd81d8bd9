"""The jobs of one batch as the client knows them: how many there are, which have ended, who waits.

The I/O thread alone changes a ledger, and brings endings in. Other threads read it without a lock: what they read of
several things at once they read again if it was changed meanwhile (`Ledger.read`), so that an interrupt can leave
nothing locked. A ledger knows neither session nor socket.
"""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakValueDictionary

from jupyter_dsage import clock
from jupyter_dsage.client.job import Job
from jupyter_dsage.client.record import Chunk, Ended, Ending, Holder, Record
from jupyter_dsage.client.waiting import Waiters, deadline_of
from jupyter_dsage.core.ranges import Ranges, Run
from jupyter_dsage.errors import UsageError
from jupyter_dsage.wire.notes import note_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, Protocol

    class Owner(Protocol):
        """The batch of a ledger."""

        def cancel_job(self, job: Job) -> bool:
            """Cancel one job; return False if it had ended otherwise."""

        def number_calls(self) -> None:
            """Have calls numbered that were handed over: see `client.submit`."""

        def may_wait(self) -> bool:
            """Tell whether the calling thread may wait; the I/O thread may not."""

        def after(self, do: Callable[[], object]) -> None:
            """Have something done when the step of the I/O thread that is under way has been answered."""

        def look_output(self, job: int) -> str:
            """Return what a job that runs has printed so far."""

        def which(self, number: int, holder: Holder) -> str:
            """Return which job one is and where it ran, in words."""


T = TypeVar("T")

CANCELLED = Ended(lambda job: CancelledError(f"Job {job} was cancelled."), "cancelled")


class Ledger:
    """Job number -> `Job`, made when someone looks, and its ending.

    `single`: each job was submitted by itself, so that who wants its value again has kept its `Job`.
    """

    def __init__(self, name: str, owner: Owner, *, single: bool = False) -> None:
        self.name = name
        self.owner = owner
        self._waiters = Waiters()
        self._version = 0
        """Odd while the I/O thread changes something."""
        self.recent: tuple[int, int, list[Any]] = (0, 0, [])
        """The run of jobs looked at last that returned plain values, which stay: the first, how many, the values."""
        self.total = 0
        """Jobs that have a number."""
        self.record = Record()
        self.failed = Ranges()
        """Ended with an exception."""
        self.lost = Ranges()
        """Took their workers with them, or the session ended before they did."""
        self.cancelled = Ranges()
        self.log: list[Run] = []
        """Runs in the order in which they ended."""
        self.listeners: list[Callable[[], None]] = []
        """Called after each change, on the I/O thread: for event loops."""
        self._single = single
        self._jobs: dict[int, Job] = {}
        self._keepers: WeakValueDictionary[int, Job] = WeakValueDictionary()
        """Those that alone keep how they ended: gone with who asked."""
        self._reopened: dict[int, int] = {}
        """Job that is retried -> the row of the journal that told its end before: that counts no more."""
        self.watched: set[int] = set()
        """Jobs with callbacks or waiters, which are to be told of their end. Only the I/O thread takes any out."""

    # --- what Job asks, from any thread ----------------------------------------------------------------------

    def read(self, look: Callable[[], T]) -> T:
        """Return what `look` returns of one state of the ledger: it is called again if that changed meanwhile."""
        while True:
            before = self._version
            try:
                found = look()
            except (LookupError, RuntimeError, ValueError, StopIteration):
                if before == self._version and not before & 1:
                    raise
            else:
                if before == self._version and not before & 1:
                    return found
            if not self.owner.may_wait():
                raise UsageError("A finalizer must not look at jobs: the I/O thread is in the middle of a change.")
            clock.sleep(0)  # the I/O thread is in the middle of a change

    def job(self, number: int) -> Job:
        """Return the one `Job` of a number."""
        made = self._jobs.get(number) or self._keepers.get(number)
        return made or self._jobs.setdefault(number, Job(self, number))

    def holder(self, job: Job) -> Holder | None:
        """Return who knows how a job ended, or None if it has not."""
        return job.kept or self.read(lambda: job.kept or self.record.find(job.index))

    def has_ended(self, job: Job) -> str | None:
        """Return ``"finished"``, ``"failed"``, ``"lost"`` or ``"cancelled"``; None while the job has not ended."""

        def look() -> str | None:
            holder = job.kept or self.record.find(job.index)
            if holder is None or holder.state != "told":
                return None if holder is None else holder.state
            return "failed" if job.kept or job.index in self.failed else "finished"

        return self.read(look)

    def ending(self, job: Job) -> Ending:
        """Return how an ended job ended; unpickles it on the first look."""
        if job.handed is not None:
            return job.handed
        holder, run = self.read(lambda: self._found(job))
        if holder is None:
            raise RuntimeError(f"job {job.index} has not ended")
        if run is not None:
            first, stop = run
            values = holder.scalars(first, stop)
            if values is not None:
                self.recent = (first, stop - first, values)
        ending = self.told(holder, job.index)
        if self._single and isinstance(holder, Chunk) and holder.hand_over(job):
            self._keepers[job.index] = job
            self._jobs.pop(job.index, None)
        return job.handed or ending

    def told(self, holder: Holder, number: int) -> Ending:
        """Return how a job ended, as who knows it tells; below an exception stands which job raised it."""
        ending = holder.ending(number)
        error = ending[1]
        if error is not None and holder.state != "cancelled":
            note_once(error, self.owner.which(number, holder))
        return ending

    def _found(self, job: Job) -> tuple[Holder | None, Run | None]:
        """Return who knows how a job ended, and the run of jobs that ended with it, if it was not retried since."""
        holder = job.kept or self.record.find(job.index)
        return holder, None if job.kept or holder is None else self.record.run_of(job.index)

    def output_of(self, job: Job) -> str:
        """Return the end of what a job printed, so far if it runs."""
        holder = self.holder(job)
        return self.owner.look_output(job.index) if holder is None else holder.output(job.index)

    def output_file_of(self, job: Job) -> str | None:
        """Return the file with the whole of what an ended job printed, if that is more than its `output`."""
        holder = self.holder(job)
        return holder.output_file(job.index) if isinstance(holder, Chunk) else None

    def wait_for_job(self, job: Job, timeout: float | None) -> None:
        """Wait until a job has ended; raises TimeoutError."""
        self.wait(lambda: self.holder(job) is not None, timeout, f"Job {job.index} of batch {self.name!r}")

    def wait(self, fact: Callable[[], bool], timeout: float | None, what: str, began: float | None = None) -> None:
        """Wait until `fact` holds; raises TimeoutError. An interrupt ends the wait and nothing else.

        `began`: when the time began (monotonic seconds) of one that waits for several facts in turn; else it is now.
        """
        if fact():
            return
        if not self.owner.may_wait():
            raise UsageError(f"{what} has not ended, and a callback must not wait: it would wait for ever.")
        began = clock.monotonic() if began is None else began
        if not self._waiters.wait(fact, deadline_of(timeout, began)):
            raise TimeoutError(f"{what} has not ended within {timeout} s; it goes on.")

    # --- what ends jobs: the I/O thread's --------------------------------------------------------------------

    def end(self, runs: Iterable[Run], holder: Holder, failed: Sequence[int] = ()) -> list[Run]:
        """Note that jobs ended; return the runs that had not ended before. `failed`: those of them that raised."""
        self._version += 1
        try:
            new = self._end(runs, holder, failed)
        finally:
            self._version += 1
        self._waiters.wake()
        for job in self._take_watched(new):
            self.owner.after(job.tell_ended)
        self.tell()
        return new

    def _end(self, runs: Iterable[Run], holder: Holder, failed: Sequence[int]) -> list[Run]:
        if self._reopened and holder.row:
            runs = self._news(runs, holder.row)
        new = [run for first, stop in runs for run in self.record.add(first, stop, holder)]
        if holder.state != "told":
            marked = {"cancelled": self.cancelled, "failed": self.failed}.get(holder.state, self.lost)
            for first, stop in new:
                marked.add(first, stop)
        elif failed:
            fresh = Ranges(new)
            for number in failed:
                if number in fresh:
                    self.failed.add(number, number + 1)
        self.log += new
        return new

    def _news(self, runs: Iterable[Run], row: int) -> list[Run]:
        """Leave out the jobs that were retried since this row was written."""
        out, reopened = Ranges(runs), self._reopened
        few = len(out) < len(reopened)  # of 50,000 retried jobs each comes by itself
        for job in list(out.numbers()) if few else reopened:
            if reopened.get(job, 0) >= row:
                out.remove(job, job + 1)
        return list(out)

    def _take_watched(self, runs: list[Run]) -> list[Job]:
        watched = self.watched
        if not watched:
            return []
        if sum(stop - first for first, stop in runs) < len(watched):
            numbers = [number for first, stop in runs for number in range(first, stop) if number in watched]
        else:
            ended = Ranges(runs)
            numbers = [number for number in list(watched) if number in ended]
        watched.difference_update(numbers)
        found = [self._jobs.get(number) for number in numbers]
        return [job for job in found if job is not None]

    def reopen(self, wanted: Iterable[Run] | None = None) -> list[Run]:
        """Open every failed or lost job again, or those in some runs, under a new `Job`; return the runs."""
        ended = Ranges([*self.failed, *self.lost])
        runs = list(ended) if wanted is None else [part for run in wanted for part in ended.overlap(*run)]
        self._version += 1
        try:
            for first, stop in runs:
                for number in range(first, stop):
                    self._reopen(number)
                self.failed.remove(first, stop)
                self.lost.remove(first, stop)
        finally:
            self._version += 1
        return runs

    def _reopen(self, number: int) -> None:
        old, how = self._jobs.get(number), self.record.find(number)
        if old is not None:
            old.kept = how  # before it leaves its place: who looks at it meanwhile finds its end
            self._jobs.pop(number, None)
        if how is not None and how.row > 0:
            self._reopened[number] = how.row
        self.record.forget(number)

    def enter(self, jobs: Sequence[Job]) -> None:
        """Give calls that were submitted the next numbers."""
        for job in jobs:
            number = self.total
            self._jobs[number] = job
            job.index = number
            self.total = number + 1
        self._waiters.wake()

    def grow(self, total: int) -> None:
        """Note that there are jobs up to `total`."""
        self.total = max(self.total, total)
        self._waiters.wake()

    def tell(self) -> None:
        """Call the listeners."""
        for listener in list(self.listeners):
            listener()
