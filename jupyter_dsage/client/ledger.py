"""The jobs of one batch as the client knows them: how many there are, which have ended, who waits.

All waiting of user threads happens here, on one condition; the I/O thread brings endings in. A ledger knows
neither session nor socket.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from jupyter_dsage.client.job import Job
from jupyter_dsage.client.record import Chunk, Ended, Ending, Holder, Record
from jupyter_dsage.core.ranges import Ranges, Run
from jupyter_dsage.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

_LOOK_SECONDS = 0.5
"""A thread that waits looks up this often, so that an interrupt is heard at any time."""
CANCELLED = Ended(lambda job: CancelledError(f"Job {job} was cancelled."), "cancelled")


class Ledger:
    """Job number -> `Job`, made when someone looks, and its ending.

    `on_cancel` is called when one job is cancelled through its `Job`; `may_wait` tells whether the calling thread
    may wait (the I/O thread may not); `look` returns what a job that runs has printed so far; `single`: each job was
    submitted by itself, so that who wants its value again has kept its `Job`.
    """

    def __init__(
        self,
        name: str,
        on_cancel: Callable[[Run], None],
        may_wait: Callable[[], bool],
        look: Callable[[int], str] = lambda _: "",
        *,
        single: bool = False,
    ) -> None:
        self.name = name
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self._awaited: list[Callable[[], bool]] = []
        """What threads wait for: they are woken when it holds, not at each change (a wake costs both 60 us)."""
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
        """Called after each change, on the thread that brought it: for event loops."""
        self._on_cancel = on_cancel
        self._may_wait = may_wait
        self._look = look
        self._single = single
        self._jobs: dict[int, Job] = {}
        self._keepers: WeakValueDictionary[int, Job] = WeakValueDictionary()
        """Those that alone keep how they ended: gone with who asked."""
        self._reopened: dict[int, int] = {}
        """Job that is retried -> the row of the journal that told its end before: that counts no more."""
        self._live: dict[int, Job] = {}
        """Materialised jobs that have not ended."""

    # --- what Job asks -------------------------------------------------------------------------------------

    def job(self, number: int) -> Job:
        """Return the one `Job` of a number."""
        with self.changed:
            made = self._jobs.get(number) or self._keepers.get(number)
            if made is None:
                made = self._jobs[number] = Job(self, number)
            return made

    def holder(self, job: Job) -> Holder | None:
        """Return who knows how a job ended, or None if it has not."""
        return job.kept or self.record.find(job.index)

    def materialise(self, job: Job) -> None:
        """Bring a job's Future state into being, once."""
        with self.changed:
            if job.materialised:
                return
            holder = self.holder(job)
            job.make_state(ended=holder is not None, cancelled=holder is CANCELLED)
            if holder is None:
                self._live[job.index] = job

    def has_ended(self, job: Job) -> str | None:
        """Return ``"finished"``, ``"failed"``, ``"lost"`` or ``"cancelled"``; None while the job has not ended."""
        with self.changed:
            holder = self.holder(job)
            if holder is None:
                return None
            if holder.state != "told":
                return holder.state
            return "failed" if job.kept or job.index in self.failed else "finished"

    def ending(self, job: Job) -> Ending:
        """Return how an ended job ended; unpickles it on the first look."""
        with self.changed:
            if job.handed is not None:
                return job.handed
            holder = self.holder(job)
            if holder is None:
                raise RuntimeError(f"job {job.index} has not ended")
            if job.kept is None:
                first, stop = self.record.run_of(job.index)
                values = holder.scalars(first, stop)
                if values is not None:
                    self.recent = (first, stop - first, values)
            ending = holder.ending(job.index)
            if self._single and isinstance(holder, Chunk) and holder.hand_over(job):
                self._keepers[job.index] = self._jobs.pop(job.index, job)
            return ending

    def output_of(self, job: Job) -> str:
        """Return the end of what a job printed, so far if it runs."""
        with self.changed:
            holder = self.holder(job)
            if holder is not None:
                return holder.output(job.index)
        return self._look(job.index)

    def output_file_of(self, job: Job) -> str | None:
        """Return the file with the whole of what an ended job printed, if that is more than its `output`."""
        with self.changed:
            holder = self.holder(job)
            return holder.output_file(job.index) if isinstance(holder, Chunk) else None

    def wait_for_job(self, job: Job, timeout: float | None) -> None:
        """Wait until a job has ended; raises TimeoutError."""
        self.wait(lambda: self.holder(job) is not None, timeout, f"Job {job.index} of batch {self.name!r}")

    def cancel_job(self, job: Job) -> bool:
        """Cancel one job; False if it had ended otherwise."""
        run = (job.index, job.index + 1)
        if job.kept is None and self.end([run], CANCELLED):
            self._on_cancel(run)
            return True
        return self.has_ended(job) == "cancelled"

    # --- waiting -------------------------------------------------------------------------------------------

    def wait(self, fact: Callable[[], bool], timeout: float | None, what: str, began: float | None = None) -> None:
        """Wait until `fact` holds; raises TimeoutError. An interrupt ends the wait and nothing else.

        `began`: when the time began (monotonic seconds) of one that waits for several facts in turn; else it is now.
        """
        with self.changed:
            if fact():
                return
            if not self._may_wait():
                raise UsageError(f"{what} has not ended, and a callback must not wait: it would wait for ever.")
            began = time.monotonic() if began is None else began
            deadline = None if timeout is None else began + timeout
            self._awaited.append(fact)
            try:
                self._wait(fact, deadline, what, timeout)
            finally:
                self._awaited.remove(fact)

    def _wait(self, fact: Callable[[], bool], deadline: float | None, what: str, timeout: float | None) -> None:
        while not fact():
            rest = None if deadline is None else deadline - time.monotonic()
            if rest is not None and rest <= 0:
                raise TimeoutError(f"{what} has not ended within {timeout} s; it goes on.")
            # Not longer at a time: a signal that comes just before the wait begins would not end it.
            self.changed.wait(_LOOK_SECONDS if rest is None else min(rest, _LOOK_SECONDS))

    def _wake(self) -> None:
        """Wake those whose fact holds; under the lock."""
        if self._awaited and any(fact() for fact in self._awaited):
            self.changed.notify_all()

    # --- what ends jobs ------------------------------------------------------------------------------------

    def end(self, runs: Iterable[Run], holder: Holder, failed: Sequence[int] = ()) -> list[Run]:
        """Note that jobs ended; return the runs that had not ended before. `failed`: those of them that raised."""
        with self.changed:
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
            facts = [(job, job.index in self.failed or job.index in self.lost) for job in self._take_live(new)]
            self._wake()
        for job, raised in facts:
            job.settle(cancelled=holder is CANCELLED, raised=raised)
        self.tell()
        return new

    def _news(self, runs: Iterable[Run], row: int) -> list[Run]:
        """Leave out the jobs that were retried since this row was written."""
        out = Ranges(runs)
        for job, before in self._reopened.items():
            if before >= row and job in out:
                out.remove(job, job + 1)
        return list(out)

    def _take_live(self, runs: list[Run]) -> list[Job]:
        if not self._live:
            return []
        if sum(stop - first for first, stop in runs) < len(self._live):
            numbers = [number for first, stop in runs for number in range(first, stop) if number in self._live]
        else:
            ended = Ranges(runs)
            numbers = [number for number in self._live if number in ended]
        return [self._live.pop(number) for number in numbers]

    def reopen(self, wanted: Iterable[Run] | None = None) -> list[Run]:
        """Open every failed or lost job again, or those in some runs, under a new `Job`; return the runs."""
        with self.changed:
            ended = Ranges([*self.failed, *self.lost])
            runs = list(ended) if wanted is None else [part for run in wanted for part in ended.overlap(*run)]
            for first, stop in runs:
                for number in range(first, stop):
                    old, how = self._jobs.pop(number, None), self.record.find(number)
                    if old is not None:
                        old.kept = how
                    if how is not None and how.row > 0:
                        self._reopened[number] = how.row
                    self.record.forget(number)
                self.failed.remove(first, stop)
                self.lost.remove(first, stop)
            return runs

    def one_more(self, number: int) -> Job:
        """Note that there is a next job, and return it; under the lock."""
        job = self._jobs[number] = Job(self, number)
        self.total = number + 1
        self._wake()
        return job

    def grow(self, total: int) -> None:
        """Note that there are jobs up to `total`."""
        with self.changed:
            self.total = max(self.total, total)
            self._wake()

    def tell(self) -> None:
        """Call the listeners."""
        for listener in list(self.listeners):
            listener()
