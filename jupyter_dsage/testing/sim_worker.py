"""A simulated worker: runs leases in simulated time and reports as a real one does.

Used by `testing.sim`. Outcomes are reported at a job boundary when `FLUSH_SECONDS` have passed since the last
report, when a lease ends, and by a ticker when a finished job would wait longer behind a long one. A recall is
answered by the page: which job runs now. The times of a whole lease are planned when it begins, so that a lease
costs a few events however many jobs it has; whatever interferes plans the rest anew.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.core import events as e

if TYPE_CHECKING:
    from jupyter_dsage.core import commands as c
    from jupyter_dsage.testing.sim import Sim
    from jupyter_dsage.testing.sim_host import SimHost

TICK_SECONDS = settings.TICK_SECONDS + settings.FLUSH_SECONDS / 2
"""How long a finished job waits for its report at most, if the next one is long."""


class SimLease:
    """A lease at a simulated worker. `ends`: when each of its jobs, from `first` on, ends; planned ahead."""

    __slots__ = (
        *("batch", "began", "ends", "failed", "fatal", "first", "flushed", "function", "number", "plan"),
        *("segment", "stop"),
    )

    def __init__(self, order: c.SendLease) -> None:
        self.number, self.batch, self.segment = order.lease, order.batch, order.segment
        self.function = order.function
        self.first = order.first
        """The first job not reported."""
        self.stop = order.stop
        """Where the worker will stop: recalls lower it."""
        self.began = 0.0
        """When `first` began."""
        self.flushed = 0.0
        """When it was reported on last."""
        self.ends: list[float] = []
        self.failed: list[int] = []
        self.fatal: int | None = None
        """The job at whose end the worker dies."""
        self.plan = 0
        """Counts plans: a wake-up of an earlier one is void."""

    def running(self, now: float) -> int:
        """Return the job that runs now: the first that has not ended."""
        return self.first + bisect_right(self.ends, now)


class SimWorker:
    """One worker of a `Sim`."""

    def __init__(self, sim: Sim, host: SimHost, number: int) -> None:
        self.sim = sim
        self.host = host
        self.number = number
        self.alive = True
        self.functions: set[str] = set()
        self.loaded: set[str] = set()
        self.segments: set[int] = set()
        self.queue: deque[SimLease] = deque()
        """Leases that arrived; the first one runs."""

    # --- what the child orders -----------------------------------------------------------------------------

    def receive(self, order: c.SendLease) -> None:
        """Take a lease, and the payloads that came with it; KeyError if one it needs is missing."""
        if not self.alive:
            return
        self.segments.difference_update(order.drop)
        if order.with_function:
            self.functions.add(order.function)
        if order.with_segment:
            self.segments.add(order.segment)
        if order.function not in self.functions:
            raise KeyError(f"worker {self.number} has no function {order.function} for lease {order.lease}")
        self.queue.append(SimLease(order))
        if len(self.queue) == 1:
            self._begin(self.sim.clock.now())

    def recall(self, order: c.RecallLease) -> None:
        """Hand back what has not started; the page answers, even while a job runs."""
        if not self.alive:
            return
        start = order.stop
        for lease in self.queue:
            if lease.number == order.lease:
                at = lease.running(self.sim.clock.now()) + 1 if lease is self.queue[0] else lease.first
                start = min(max(order.first, at), order.stop)
                self._cut(lease, start)
        self.host.tell(e.LeaseRecalled(self.number, order.lease, start))

    def end_job(self, order: c.EndJob) -> None:
        """End the running attempt shortly, as failed, if it is one of those meant."""
        if not self.alive or not self.queue or self.queue[0].number != order.lease:
            return
        lease, end = self.queue[0], self.sim.clock.now() + self.sim.end_seconds
        job = lease.running(self.sim.clock.now())
        if not order.first <= job < min(order.stop, lease.stop) or end >= lease.ends[job - lease.first]:
            return
        self._forget(lease, job + 1)
        lease.ends[-1] = end
        lease.fatal = None
        if lease.failed[-1:] != [job]:
            lease.failed.append(job)
        self._plan(lease, end)

    def leave(self) -> None:
        """Exit in good order; only an idle worker is asked to."""
        if self.queue:
            raise AssertionError(f"worker {self.number} is told to leave with work at hand")
        self.die()

    # --- its life ------------------------------------------------------------------------------------------

    def join(self) -> None:
        """Say hello."""
        if self.alive:
            self.host.tell(e.WorkerJoined(self.number))

    def die(self, *, loading: bool = False, known: bool = True) -> None:
        """Be gone; whoever watches tells the child, with what stood on the page."""
        if not self.alive:
            return
        self.alive = False
        lease, job = self.page()
        self._drop()
        self.host.tell(
            e.WorkerLost(self.number, lease, job, f"worker {self.number} died", loading=loading, known=known)
        )

    def vanish(self) -> None:
        """Be gone with the host; nobody is there to tell it."""
        if self.alive:
            self.alive = False
            self._drop()

    def _drop(self) -> None:
        """Leave off in the middle of what it runs."""
        if self.queue:
            self._forget(self.queue[0], self.queue[0].running(self.sim.clock.now()) + 1)
            self.sim.batches[self.queue[0].batch].running.discard(self.number)

    def page(self) -> tuple[int | None, int | None]:
        """Return the lease and the job that run now, or None twice."""
        if not self.queue:
            return None, None
        lease = self.queue[0]
        job = lease.fatal if self._killed(lease) else lease.running(self.sim.clock.now())
        return (lease.number, job) if job is not None and job < lease.stop else (None, None)

    def _begin(self, now: float) -> None:
        lease = self.queue[0]
        if lease.segment not in self.segments:
            raise KeyError(f"worker {self.number} has no segment {lease.segment} for lease {lease.number}")
        batch = self.sim.batches[lease.batch]
        if lease.function not in self.loaded and lease.first < lease.stop:
            if self.sim.poisons(lease.function):
                self.die(loading=True)
                return
            self.loaded.add(lease.function)
        if lease.first < lease.stop:
            batch.running.add(self.number)
            batch.peak = max(batch.peak, len(batch.running))
        lease.began = lease.flushed = now
        self._plan(lease, now)

    def _plan(self, lease: SimLease, at: float) -> None:
        """Plan the rest of a lease, each job counted as begun, up to one that kills; then wait."""
        sim, ends = self.sim, lease.ends
        number, attempts = lease.batch, sim.batches[lease.batch].attempts
        duration, slowness = sim.duration, self.host.slowness
        for job in range(lease.first + len(ends), lease.stop):
            at += duration(number, job) * slowness
            ends.append(at)
            attempts[job] += 1
            if sim.faulty:
                if sim.kills(number, job, attempts[job]):
                    lease.fatal = job
                    break
                if sim.fails(number, job, attempts[job]):
                    lease.failed.append(job)
        lease.plan += 1
        self._await(lease)

    def _forget(self, lease: SimLease, start: int) -> None:
        """Undo the plan for jobs from `start` on: they will not run in this lease."""
        attempts = self.sim.batches[lease.batch].attempts
        keep = max(0, start - lease.first)
        for job in range(lease.first + keep, lease.first + len(lease.ends)):
            attempts[job] -= 1
        del lease.ends[keep:]
        del lease.failed[bisect_left(lease.failed, start) :]
        if lease.fatal is not None and lease.fatal >= start:
            lease.fatal = None

    def _cut(self, lease: SimLease, start: int) -> None:
        if start >= lease.stop:
            return
        lease.stop = start
        self._forget(lease, start)
        if lease is self.queue[0]:
            lease.plan += 1
            self._await(lease)

    # --- reports -------------------------------------------------------------------------------------------

    def _await(self, lease: SimLease) -> None:
        """Wait for the moment of the next report."""
        ends = lease.ends
        moment = self.sim.clock.now()
        if ends:
            boundary = bisect_left(ends, lease.flushed + settings.FLUSH_SECONDS)
            moment = min(ends[min(boundary, len(ends) - 1)], ends[0] + TICK_SECONDS)
        self.sim.at(moment, self._wake, lease, lease.plan)

    def _killed(self, lease: SimLease) -> bool:
        return lease.fatal is not None and lease.running(self.sim.clock.now()) > lease.fatal

    def _wake(self, lease: SimLease, plan: int) -> None:
        if not self.alive or plan != lease.plan:
            return
        if self._killed(lease):
            if self.sim.ends_all(lease.batch, lease.fatal or 0):
                self.host.end_all()
            else:
                self.die()
            return
        now = self.sim.clock.now()
        first, stop = lease.first, lease.running(now)
        ended = stop >= lease.stop
        count = stop - first
        seconds = lease.ends[count - 1] - lease.began if count else 0.0
        cut = bisect_left(lease.failed, stop)
        failed = tuple(lease.failed[:cut])
        self.host.tell(e.RunReported(self.number, lease.number, first, stop, failed, seconds, ended))
        lease.began += seconds
        lease.first, lease.flushed = stop, now
        del lease.ends[:count], lease.failed[:cut]
        if not ended:
            self._await(lease)
            return
        self.sim.batches[lease.batch].running.discard(self.number)
        self.queue.popleft()
        if self.queue:
            self._begin(now)
