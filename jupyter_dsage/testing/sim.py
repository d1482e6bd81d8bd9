"""A whole session in memory: a client, the scheduler, and workers that run jobs in simulated time.

For tests of scheduling, ours and other people's: a million jobs on a hundred workers take seconds, and the
same arguments give the same history every time. Nothing here touches a process, a socket or a real clock.
How a simulated worker behaves is in `testing.sim_worker`; it holds to what the real one promises.
"""

from __future__ import annotations

from heapq import heappop, heappush
from math import inf
from typing import TYPE_CHECKING, Any

from jupyter_dsage import settings
from jupyter_dsage.core import commands as c
from jupyter_dsage.core import events as e
from jupyter_dsage.core.pool import Abilities
from jupyter_dsage.core.ranges import Ranges
from jupyter_dsage.core.scheduler import Scheduler
from jupyter_dsage.testing.clock import FakeClock
from jupyter_dsage.testing.sim_batch import SimBatch
from jupyter_dsage.testing.sim_host import SimHost
from jupyter_dsage.testing.sim_worker import SimWorker

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.core.ranges import Run

ENGINE = "sim:"


def _never(*_: int) -> bool:
    return False


class Sim:
    """A simulation of one session with one engine; `host` adds more.

    `duration(batch, job)`: seconds a job takes; `fails(batch, job, attempt)`: whether it raises;
    `kills(batch, job, attempt)`: whether its worker dies at its end, outcomes not yet flushed with it;
    `ends_all(batch, job)`: whether a job that kills takes its supervisor with it, and so all workers of its host;
    `poisons(function)`: whether a worker dies that loads it;
    `stillborn(worker)`: whether a worker dies while it starts; `latency`: seconds one message takes, each way.
    With `check`, every invariant is checked after every event.

    >>> sim = Sim(slots=2, duration=lambda batch, job: 1.0)
    >>> batch = sim.open(10)
    >>> sim.run()
    >>> batch.done, len(batch.finished), set(batch.attempts), round(sim.clock.now(), 1)
    (True, 10, {1}, 5.2)
    """

    def __init__(
        self,
        slots: int,
        duration: Callable[[int, int], float] = lambda _batch, _job: 0.001,
        *,
        fails: Callable[[int, int, int], bool] = _never,
        kills: Callable[[int, int, int], bool] = _never,
        ends_all: Callable[[int, int], bool] = lambda _batch, _job: False,
        poisons: Callable[[str], bool] = lambda _: False,
        stillborn: Callable[[int], bool] = _never,
        latency: float = 0.00025,
        start_seconds: float = 0.2,
        end_seconds: float = 0.01,
        check: bool = True,
    ) -> None:
        self.clock = FakeClock()
        self.scheduler = Scheduler()
        self.duration, self.fails, self.kills, self.stillborn = duration, fails, kills, stillborn
        self.poisons, self.ends_all = poisons, ends_all
        self.faulty = fails is not _never or kills is not _never
        self.latency, self.start_seconds, self.end_seconds = latency, start_seconds, end_seconds
        self.check = check
        self.batches: dict[int, SimBatch] = {}
        self.workers: dict[int, SimWorker] = {}
        """Workers that the scheduler counts on."""
        self.hosts: dict[str, SimHost] = {}
        self.events = 0
        """Events the scheduler has handled."""
        self.started = 0
        """Workers that were started."""
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._sequence = 0
        self._deadline: float | None = None
        self._segments: dict[int, tuple[SimBatch, Run]] = {}
        """Payloads the child keeps."""
        self._next_segment = 1
        self._dropped: list[int] = []
        self._last: e.Event = e.TimePassed()
        self._obey: dict[type[c.Command], Callable[[Any], None]] = {
            c.SendLease: self._send_lease,
            c.TellOutcomes: self._tell_outcomes,
            c.TellLost: lambda command: self._tell_ends("lost", command),
            c.TellCancelled: lambda command: self._tell_ends("cancelled", command),
            c.DropSegment: self._drop_segment,
            c.RecallLease: lambda command: self._order(command.worker, SimWorker.recall, command),
            c.EndJob: lambda command: self._order(command.worker, SimWorker.end_job, command),
            c.StartWorker: self._start_worker,
            c.StopWorker: lambda command: self._order(command.worker, SimWorker.leave),
            c.KillWorker: lambda command: self._order(command.worker, SimWorker.die),
            c.CloseEngine: self._close_engine,
            c.TellPool: lambda _: None,
        }
        self.host(ENGINE, slots)

    # --- what a client does --------------------------------------------------------------------------------

    def open(
        self, jobs: int = 0, *, segment: int = settings.SEGMENT_JOBS, retries: int = 0, limit: int | None = None
    ) -> SimBatch:
        """Open a batch, add `jobs` to it in segments of `segment`, and return its record."""
        batch = SimBatch(len(self.batches) + 1)
        self.batches[batch.number] = batch
        self.handle(e.BatchOpened(batch.number, f"batch-{batch.number}", retries, limit))
        self.add(batch, jobs, segment=segment)
        return batch

    def add(
        self, batch: SimBatch, jobs: int, *, segment: int = settings.SEGMENT_JOBS, service: str | None = None
    ) -> None:
        """Add jobs at the end of a batch, calls of a service or of a function."""
        for at in range(0, jobs, segment):
            count = min(segment, jobs - at)
            number, self._next_segment = self._next_segment, self._next_segment + 1
            self._segments[number] = (batch, batch.append(count))
            function = f"{service or 'function'}-{batch.number}"
            self.handle(e.JobsAdded(batch.number, number, function, count, service))

    def cancel(self, batch: SimBatch, *runs: Run) -> None:
        """Cancel some jobs of a batch, or without `runs` all that have not ended."""
        self.handle(e.CancelAsked(batch.number, runs or None))

    def retry(self, batch: SimBatch) -> None:
        """Queue again what failed or was lost."""
        runs = batch.again()
        self.handle(e.RetryAsked(batch.number, runs))

    def pause(self, batch: SimBatch) -> None:
        """Grant the batch no more leases."""
        self.handle(e.PauseAsked(batch.number))

    def resume(self, batch: SimBatch) -> None:
        """Grant it leases again."""
        self.handle(e.ResumeAsked(batch.number))

    def limit(self, batch: SimBatch, limit: int | None) -> None:
        """Run at most this many jobs of the batch at once."""
        self.handle(e.LimitAsked(batch.number, limit))

    def refresh(self) -> None:
        """Replace the workers and try failed engines again."""
        self.handle(e.RefreshAsked())

    # --- engines -------------------------------------------------------------------------------------------

    def host(
        self,
        name: str,
        slots: int,
        *,
        slowness: float = 1.0,
        latency: float | None = None,
        can: Abilities = Abilities(),  # noqa: B008  (frozen)
    ) -> SimHost:
        """Add an engine, and return its host."""
        host = self.hosts[name] = SimHost(self, name, slots, slowness, latency or self.latency, can)
        host.open()
        return host

    def scale(self, host: SimHost, slots: int) -> None:
        """Have an engine run this many jobs at once."""
        host.slots = slots
        self.handle(e.EngineScaled(host.name, slots))

    def remove(self, host: SimHost, *, now: bool = False) -> None:
        """Do without an engine, when its running jobs have ended or at once."""
        self.handle(e.RemovalAsked(host.name, now))

    # --- what befalls the workers --------------------------------------------------------------------------

    def kill(self, worker: int) -> None:
        """Kill a worker now, in the middle of whatever it runs."""
        self.workers[worker].die()

    def lose(self, worker: int) -> None:
        """Declare a worker lost that in truth goes on: its outcomes come late."""
        lost = self.workers.pop(worker)
        self.handle(e.WorkerLost(worker, *lost.page(), "silence"))

    # --- time ----------------------------------------------------------------------------------------------

    def run(self, until: float = inf) -> None:
        """Let time pass up to `until`, or until nothing more will happen by itself."""
        while True:
            moment = self._heap[0][0] if self._heap else inf
            due = inf if self._deadline is None else self._deadline
            if min(moment, due) > until or min(moment, due) == inf:
                break
            if due < moment:
                self.clock.advance_to(max(due, self.clock.now()))
                self.handle(e.TimePassed())
                if self._deadline is not None and self._deadline <= due:
                    raise AssertionError(f"the deadline {due} has come and does not go away")
            else:
                _, _, action, arguments = heappop(self._heap)
                self.clock.advance_to(moment)
                action(*arguments)
        if until < inf:
            self.clock.advance_to(max(until, self.clock.now()))

    def at(self, moment: float, action: Callable[..., None], *arguments: Any) -> None:
        """Have something done at a moment; what was asked for first is done first."""
        self._sequence += 1
        heappush(self._heap, (moment, self._sequence, action, arguments))

    def after(self, seconds: float, action: Callable[..., None], *arguments: Any) -> None:
        """Have something done some seconds from now."""
        self.at(self.clock.now() + seconds, action, *arguments)

    def handle(self, event: e.Event) -> None:
        """Have the scheduler handle an event now, and carry out its orders."""
        self.events += 1
        self._last = event
        if isinstance(event, e.WorkerLost):
            self.workers.pop(event.worker, None)
        commands = self.scheduler.handle(event, self.clock.now())
        for command in commands:
            self._obey[type(command)](command)
        self._let_go()
        self._deadline = self.scheduler.next_deadline()
        if self.check:
            self.scheduler.check()

    # --- orders --------------------------------------------------------------------------------------------

    def _start_worker(self, command: c.StartWorker) -> None:
        self.started += 1
        worker = SimWorker(self, self.hosts[command.engine], command.worker)
        self.workers[worker.number] = worker
        if self.stillborn(worker.number):
            self.after(self.start_seconds, worker.die)
        else:
            self.after(self.start_seconds, worker.join)

    def _send_lease(self, command: c.SendLease) -> None:
        if command.segment not in self._segments:
            raise AssertionError(f"{command}: its segment was dropped before")
        self._order(command.worker, SimWorker.receive, command)

    def _order(self, number: int, act: Callable[..., None], *arguments: Any) -> None:
        worker = self.workers[number]
        worker.host.order(act, worker, *arguments)

    def _close_engine(self, command: c.CloseEngine) -> None:
        host = self.hosts.pop(command.engine)
        host.vanish()
        self.workers = {number: worker for number, worker in self.workers.items() if worker.host is not host}

    def _tell_outcomes(self, command: c.TellOutcomes) -> None:
        report = self._last
        if not isinstance(report, e.RunReported):
            raise AssertionError(f"{command} without a report to pass on")  # noqa: TRY004  (a broken promise, not a type)
        for first, stop in command.runs:
            if first < report.first or stop > report.stop:
                raise AssertionError(f"{command} tells more than {report}")
        batch = self.batches[command.batch]
        batch.tell_outcomes(self.clock.now(), command.runs, command.failed)

    def _tell_ends(self, kind: str, command: c.TellLost | c.TellCancelled) -> None:
        self.batches[command.batch].tell(self.clock.now(), kind, command.runs)

    def _drop_segment(self, command: c.DropSegment) -> None:
        self._dropped.append(command.segment)

    def _let_go(self) -> None:
        """Drop payloads, once everything is told; none may go that a job might still need."""
        for number in self._dropped:
            batch, (first, stop) = self._segments.pop(number)
            ended = len(Ranges([*batch.finished.overlap(first, stop), *batch.cancelled.overlap(first, stop)]))
            if ended < stop - first:
                raise AssertionError(f"segment {number} is dropped, but only {ended} of {stop - first} jobs have ended")
        self._dropped.clear()
