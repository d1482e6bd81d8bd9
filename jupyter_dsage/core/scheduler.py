"""The scheduler: ``handle(event, now) -> commands``. It decides everything and does nothing.

The child's shell turns messages into events, calls `handle`, and carries the commands out; `now` is the
shell's monotonic clock in seconds. Here stand the events of workers and engines and the granting of leases;
the events of clients are in `core.requests`, the bookkeeping of ends in `core.ends`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.core import commands as c
from jupyter_dsage.core import ends, engines, invariants, placement, requests, resting, restore
from jupyter_dsage.core import events as e
from jupyter_dsage.core.job_table import JobTable
from jupyter_dsage.core.leases import Lease
from jupyter_dsage.core.pool import Pool, Stage
from jupyter_dsage.core.ranges import Ranges
from jupyter_dsage.core.retry import attempts, retry_after_exception, retry_after_loss, retry_after_suspicion
from jupyter_dsage.core.snapshot import Snapshot, take
from jupyter_dsage.core.states import State
from jupyter_dsage.core.stock import Stock

if TYPE_CHECKING:
    from jupyter_dsage.core.batch import Batch
    from jupyter_dsage.core.commands import Command
    from jupyter_dsage.core.events import Event
    from jupyter_dsage.core.pool import Engine, Worker


class Scheduler:
    """Batches, leases, engines and workers of one session."""

    def __init__(self) -> None:
        self.pool = Pool()
        self.batches: dict[int, Batch] = {}
        self._unended: dict[int, Batch] = {}
        """Those with jobs that are queued or run: an event costs nothing for those that have ended."""
        self.leases: dict[int, Lease] = {}
        self.lapsed: dict[int, Lease] = {}
        """Leases of lost workers, in case an outcome comes late; the oldest go first."""
        self.dropped = 0
        """Outcomes that came for jobs that had one."""
        self._next_lease = 1
        self._virtual = 0.0
        """Where the account of the batch that was granted last began: a newcomer starts there, not at 0."""
        self._out: list[Command] = []
        self.shadowed: set[int] = set()
        """Leases with jobs that were moved while their host was silent, and run elsewhere too."""
        self._room: dict[int, None] = {}
        """Ready workers with fewer than two leases, in the order they got room."""

    # --- the door ------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take one fact in and return the orders that follow from it, in the order to carry them out."""
        self._out = []
        match event:
            case e.RunReported():
                self._reported(event, now)
            case e.BatchOpened() | e.RetryAsked():
                requests.handle(self, event)
                engines.revive(self, now)
            case e.JobsAdded() | e.JobsSkipped() | e.CancelAsked() | e.PauseAsked() | e.ResumeAsked() | e.LimitAsked():
                requests.handle(self, event)
            case (
                e.EngineAdded()
                | e.EngineOpened()
                | e.EngineFailed()
                | e.EngineAway()
                | e.EngineBack()
                | e.EngineScaled()
                | e.RemovalAsked()
                | e.LatencyMeasured()
            ):
                engines.handle(self, event, now)
            case e.WorkerJoined():
                self._joined(event.worker)
            case e.WorkerLost():
                self._lost(event, now)
            case e.ReportRefused():
                self._refused(event)
            case e.LeaseRecalled():
                self._recalled(event)
            case e.EndsRestored() | e.LeasesRestored() | e.JobSuspected() | e.EndsUnstored():
                restore.handle(self, event)
            case e.RefreshAsked():
                self._refresh(now)
            case e.TimePassed():
                pass
        engines.start_due(self, now)
        self._fill(now)
        self._rebalance(now)
        resting.handle(self, now)
        ends.give_up(self)
        self._unended = {number: batch for number, batch in self._unended.items() if not batch.ended()}
        return self._out

    def next_deadline(self) -> float | None:
        """Return when `TimePassed` is due at the latest, or None while only events matter."""
        times = [due for engine in self.pool.engines.values() for due in engine.due]
        times += [w.due for w in self.pool.starting.values() if not self.pool.engines[w.engine].away]
        times += resting.dues(self)
        times += [due for due, _ in self._recallable()]
        return min(times, default=None)

    def snapshot(self) -> Snapshot:
        """Return the counts that people see; its size goes with batches and workers, not with jobs."""
        return take(self)

    def check(self) -> None:
        """Check every invariant; raises AssertionError with the first that does not hold."""
        invariants.check(self)

    def add_batch(self, batch: Batch) -> None:
        """Have one more batch."""
        self.batches[batch.number] = batch
        batch.jobs = JobTable(lambda: self._unended.setdefault(batch.number, batch))

    def unended(self) -> list[Batch]:
        """Return the batches that may have jobs which have not ended, by number."""
        return [batch for _, batch in sorted(self._unended.items())]

    def order(self, command: Command) -> None:
        """Add a command to what this event leads to."""
        self._out.append(command)

    # --- workers -------------------------------------------------------------------------------------------

    def has_room(self, worker: Worker) -> None:
        """Note that a worker may take leases, if it may."""
        if worker.stage is Stage.READY and worker.refused is None and len(worker.leases) < settings.LEASES_IN_FLIGHT:
            self._room[worker.number] = None

    def no_room(self, worker: Worker) -> None:
        """Note that a worker takes no leases."""
        self._room.pop(worker.number, None)

    def _joined(self, number: int) -> None:
        worker = self.pool.workers.get(number)
        if worker is None or worker.stage is not Stage.STARTING:
            return
        worker.stage = Stage.READY
        del self.pool.starting[number]
        if worker.outdated:
            engines.retire(self, worker)
        elif not self.pool.engines[worker.engine].away:
            self.has_room(worker)
        self.order(c.TellPool())

    def _lost(self, event: e.WorkerLost, now: float) -> None:
        worker = self.pool.remove(event.worker)
        if worker is None:
            return
        if worker.refused is not None:
            number, job, story = worker.refused
            event = replace(event, lease=number, job=job, story=story, limit=False, loading=False)
        self.no_room(worker)
        self.shadowed.difference_update(worker.leases)  # there is no attempt left to end
        for number in worker.leases:
            lease = self.leases[number]
            self._charge(lease, event)
            self.lapse(number, story=None if event.known else event.story)
            if event.loading and event.lease == number:
                ends.not_loaded(self, self.batches[lease.batch], lease.first, event.story, failed=event.limit)
        engine = self.pool.engines[worker.engine]
        engine.last_story = event.story
        if event.loading and not worker.proven:
            engine.loads += 1
        if worker.stage is Stage.STARTING or (worker.leases and not worker.proven and event.job is None):
            engines.died_at_birth(engine, now, together=not event.known)
        elif event.job is not None and not event.known:
            engines.died_of_a_job(engine, now)
        engines.replace(self, worker, now)
        self.order(c.TellPool())

    def _refused(self, event: e.ReportRefused) -> None:
        """End a worker that told what cannot be true; what it told counts for nothing.

        The first job of that lease without an outcome is charged: outcomes come in order, so that one is where it went
        wrong.
        """
        worker = self.pool.workers.get(event.worker)
        if worker is None or worker.refused is not None:
            return
        lease = self.leases.get(event.lease if event.lease in worker.leases else next(iter(worker.leases), 0))
        first = lease.left.first_run() if lease is not None else None
        worker.refused = (lease.number if lease else 0, first[0] if first else None, event.story)
        self.no_room(worker)
        self.order(c.KillWorker(worker.engine, worker.number))

    def _charge(self, lease: Lease, event: e.WorkerLost) -> None:
        """Charge the job that was running on a lost worker, and no other; end it if it has cost too many."""
        batch = self.batches[lease.batch]
        job = event.job if event.lease == lease.number else None
        if job is None or job not in lease.left or (event.loading and not event.limit):
            return  # where its function was loaded, all jobs of that are concerned alike
        if event.known:
            again = (retry_after_exception if event.limit else retry_after_loss)(batch, job)
        else:
            again = batch.once or retry_after_suspicion(batch, job)  # what may run only once is lost with its lease
        if not again:
            spent = attempts(batch, job) + event.limit
            lease.take(job, job + 1)
            ends.lost(self, batch, ((job, job + 1),), State.RUNNING, event.story, spent, failed=event.limit)

    def lapse(self, number: int, *, keep: bool = False, story: object = None) -> None:
        """Queue the jobs of a lease again; an outcome that comes late is still welcome.

        `keep`: note the lease even if nothing is left of it: its worker may be busy with what was cancelled. `story`:
        nobody knows which of them have begun, and why; those that may run only once are lost with it.
        """
        lease = self.leases.pop(number)
        self.shadowed.discard(number)
        batch = self.batches[lease.batch]
        if batch.once and story is not None:
            runs = tuple(lease.left)
            for run in runs:
                lease.take(*run)
            if runs:
                ends.lost(self, batch, runs, State.RUNNING, story, 1)
        batch.released(lease.worker)
        for first, stop in lease.left:
            batch.jobs.move(first, stop, State.RUNNING, State.QUEUED)
        for first, stop in lease.late:
            lease.left.add(first, stop)
        lease.late = Ranges()
        if lease.left or keep:
            self.lapsed[lease.number] = lease
            while len(self.lapsed) > settings.LAPSED_LEASES:
                self.lapsed.pop(next(iter(self.lapsed)))

    def _refresh(self, now: float) -> None:
        engines.revive(self, now)
        for worker in self.pool.workers.values():
            worker.outdated = worker.stage is Stage.STARTING
            if worker.stage is Stage.READY:
                engines.retire(self, worker)
        self.order(c.TellPool())

    # --- reports -------------------------------------------------------------------------------------------

    def _reported(self, event: e.RunReported, now: float) -> None:
        lease = self.leases.get(event.lease) or self.lapsed.get(event.lease)
        worker = self.pool.workers.get(event.worker)
        if lease is None or lease.worker != event.worker or (worker is not None and worker.refused is not None):
            self.dropped += event.stop - event.first
            return
        batch = self.batches[lease.batch]
        if lease.number in self.lapsed:
            runs = ends.late(self, batch, lease.take(event.first, event.stop))
            if event.ended or not lease.left:
                self.lapsed.pop(lease.number, None)
        else:
            worker = self.pool.workers[lease.worker]
            if not worker.proven:
                engines.proved(self, worker, now)
            if batch.loads and event.stop > event.first:
                batch.loads.pop(batch.segment_of(event.first).function, None)
            if event.stop > event.first:
                leased = lease.stop - lease.first
                batch.observe(event.stop - event.first, event.seconds, worker.engine, leased)
                batch.served += event.seconds - lease.each * (event.stop - event.first)
            runs = [(State.RUNNING, run) for run in lease.take(event.first, event.stop)]
            if lease.late:
                runs += ends.late(self, batch, lease.take_late(event.first, event.stop))
                runs.sort(key=lambda part: part[1])
        self.dropped += event.stop - event.first - sum(stop - first for _, (first, stop) in runs)
        ends.told(self, batch, runs, event.failed)
        if event.ended and lease.number in self.leases:
            self._end_lease(lease, now)

    def _end_lease(self, lease: Lease, now: float) -> None:
        batch, worker = self.batches[lease.batch], self.pool.workers[lease.worker]
        for first, stop in lease.left:
            batch.jobs.move(first, stop, State.RUNNING, State.QUEUED)
        del self.leases[lease.number]
        self.shadowed.discard(lease.number)
        batch.released(worker.number)
        worker.leases.remove(lease.number)
        if worker.leases:
            self.leases[worker.leases[0]].granted = now
        else:
            worker.place = (lease.batch, lease.stop)
        self.has_room(worker)
        engines.leave_if_done(self, worker)

    def _recalled(self, event: e.LeaseRecalled) -> None:
        lease = self.leases.get(event.lease)
        if lease is None or lease.worker != event.worker or event.start >= lease.stop:
            return
        start = max(event.start, lease.first)
        for first, stop in lease.take(start, lease.stop):
            self.batches[lease.batch].jobs.move(first, stop, State.RUNNING, State.QUEUED)
        lease.take_late(start, lease.stop)
        lease.stop = start

    # --- granting ------------------------------------------------------------------------------------------

    def _fill(self, now: float) -> None:
        """Grant leases until nobody has room or nothing is queued: idle workers first."""
        hungry = [batch for batch in self.unended() if batch.hungry()]
        stock = Stock(self)
        for depth in range(settings.LEASES_IN_FLIGHT):
            for number in list(self._room):
                if not hungry:
                    return
                worker = self.pool.workers[number]
                if len(worker.leases) == depth and self._has_room(worker, now):
                    self._grant(worker, hungry, stock, now)

    def _has_room(self, worker: Worker, now: float) -> bool:
        """Tell whether a worker may have one more: a second lease only behind a first that is short."""
        if not worker.leases:
            return True
        running = self.leases[worker.leases[0]]
        short = max(settings.DEPTH_SECONDS, settings.DEPTH_LATENCIES * running.latency)
        return 0 < running.estimate <= short and not running.recalled and now < running.due

    def _grant(self, worker: Worker, hungry: list[Batch], stock: Stock, now: float) -> None:
        chosen = placement.choose(hungry, worker, self.pool, stock)
        if chosen is None or (worker.leases and (chosen[0].seconds is None or chosen[0].once)):
            return
        batch, segment, first, stop = chosen
        if not worker.leases:
            stock.granted(worker, batch.wants)
        batch.jobs.move(first, stop, State.QUEUED, State.RUNNING)
        lease = Lease(
            self._next_lease, worker.number, batch.number, segment.number, first, stop, now,
            batch.seconds_on(worker.engine) or 0.0, Ranges([(first, stop)]),
            latency=self.pool.engines[worker.engine].latency, trial=first in batch.suspects,
            alone=batch.suspects.get(first, 0) > 1,
        )  # fmt: skip
        self._next_lease += 1
        self.leases[lease.number] = lease
        worker.leases.append(lease.number)
        worker.place = (batch.number, stop)
        batch.granted(worker.number)
        self._virtual = max(batch.served, self._virtual)
        batch.served = self._virtual + max(lease.estimate, 1e-6)
        leased = [self.leases[number].segment for number in worker.leases]
        had, drop = worker.holds(segment.number, lone=segment.stop - segment.first == 1, leased=leased)
        knows = segment.function in worker.functions
        worker.functions.add(segment.function)
        self.order(
            c.SendLease(
                worker.number,
                lease.number,
                batch.number,
                segment.function,
                segment.number,
                segment.first,
                first,
                stop,
                not knows,
                not had,
                drop,
                batch.timeout,
                batch.memory,
                batch.once,
            )
        )
        if len(worker.leases) >= settings.LEASES_IN_FLIGHT:
            self._room.pop(worker.number, None)
        if not batch.hungry():
            hungry.remove(batch)

    # --- handing back --------------------------------------------------------------------------------------

    def _rebalance(self, now: float) -> None:
        """Recall what has not started from leases that run long, while others idle."""
        for due, lease in self._recallable():
            if due <= now:
                self.recall(lease)

    def _recallable(self) -> list[tuple[float, Lease]]:
        """Return the leases with jobs that have not started and could run elsewhere now, each with when it is due."""
        idle = {self.pool.workers[n].engine for n in self._room if not self.pool.workers[n].leases}
        idle |= {engine.name for engine in self.pool.engines.values() if engine.resting and engine.at_work}
        if not idle:
            return []
        waiting = [
            lease
            for worker in self.pool.workers.values()
            for at, lease in enumerate(map(self.leases.__getitem__, worker.leases))
            if not lease.recalled and lease.unstarted(begun=at == 0)
        ]
        if not waiting:
            return []
        able, stock = [self.pool.engines[name] for name in idle], Stock(self)
        return [(lease.due, lease) for lease in waiting if self._runs_elsewhere(lease, able, stock)]

    def _runs_elsewhere(self, lease: Lease, able: list[Engine], stock: Stock) -> bool:
        batch = self.batches[lease.batch]
        if batch.limit is not None and len(batch.workers) >= batch.limit:
            return False
        service = batch.segment_of(lease.first).service
        return any(engine.can.take(service) and stock.times(engine, batch) for engine in able)

    def recall(self, lease: Lease) -> None:
        """Ask for what has not started of a lease, once."""
        if lease.recalled or not lease.left:
            return
        lease.recalled = True
        engine = self.pool.workers[lease.worker].engine
        self.order(c.RecallLease(engine, lease.worker, lease.number, lease.first, lease.stop))
