"""The scheduler: ``handle(event, now) -> commands``. It decides everything and does nothing.

The child's shell turns messages into events, calls `handle`, and carries the commands out; `now` is the
shell's monotonic clock in seconds. Here stand the events of workers and engines and the granting of leases;
the events of clients are in `core.requests`, the bookkeeping of ends in `core.ends`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_dsage import settings
from jupyter_dsage.core import commands as c
from jupyter_dsage.core import ends, invariants, placement, requests
from jupyter_dsage.core import events as e
from jupyter_dsage.core.leases import Lease
from jupyter_dsage.core.pool import Engine, Pool, Stage, Worker
from jupyter_dsage.core.ranges import Ranges
from jupyter_dsage.core.retry import retry_after_loss
from jupyter_dsage.core.snapshot import Snapshot, take
from jupyter_dsage.core.states import State

if TYPE_CHECKING:
    from jupyter_dsage.core.batch import Batch
    from jupyter_dsage.core.commands import Command
    from jupyter_dsage.core.events import Event


class Scheduler:
    """Batches, leases, engines and workers of one session."""

    def __init__(self) -> None:
        self.pool = Pool()
        self.batches: dict[int, Batch] = {}
        self.leases: dict[int, Lease] = {}
        self.lapsed: dict[int, Lease] = {}
        """Leases of lost workers, in case an outcome comes late; the oldest go first."""
        self.dropped = 0
        """Outcomes that came for jobs that had one."""
        self._next_lease = 1
        self._virtual = 0.0
        """Where the account of the batch that was granted last began: a newcomer starts there, not at 0."""
        self._out: list[Command] = []
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
                self._revive(now)
            case e.JobsAdded() | e.JobsSkipped() | e.CancelAsked():
                requests.handle(self, event)
            case e.PauseAsked() | e.ResumeAsked() | e.LimitAsked():
                requests.handle(self, event)
            case e.EngineOpened():
                self._engine_opened(Engine(event.engine, event.slots), now)
            case e.EngineFailed():
                engine = self.pool.engines.setdefault(event.engine, Engine(event.engine, 0))
                self._engine_failed(engine, event.story)
            case e.WorkerJoined():
                self._joined(event.worker)
            case e.WorkerLost():
                self._lost(event, now)
            case e.LeaseRecalled():
                self._recalled(event)
            case e.RefreshAsked():
                self._refresh(now)
            case e.TimePassed():
                pass
        self._start_due(now)
        self._fill(now)
        self._rebalance(now)
        ends.give_up(self)
        return self._out

    def next_deadline(self) -> float | None:
        """Return when `TimePassed` is due at the latest, or None while only events matter."""
        times = [due for engine in self.pool.engines.values() for due in engine.due]
        times += [worker.due for worker in self.pool.starting.values()]
        times += [due for due, _ in self._recallable()]
        return min(times, default=None)

    def snapshot(self) -> Snapshot:
        """Return the counts that people see; its size goes with batches and workers, not with jobs."""
        return take(self)

    def check(self) -> None:
        """Check every invariant; raises AssertionError with the first that does not hold."""
        invariants.check(self)

    def order(self, command: Command) -> None:
        """Add a command to what this event leads to."""
        self._out.append(command)

    # --- engines and workers -------------------------------------------------------------------------------

    def _joined(self, number: int) -> None:
        worker = self.pool.workers.get(number)
        if worker is None or worker.stage is not Stage.STARTING:
            return
        worker.stage = Stage.READY
        del self.pool.starting[number]
        self._room[number] = None
        self.order(c.TellPool())

    def _lost(self, event: e.WorkerLost, now: float) -> None:
        worker = self.pool.remove(event.worker)
        if worker is None:
            return
        self._room.pop(event.worker, None)
        for number in worker.leases:
            self._lapse(self.leases.pop(number), event)
        engine = self.pool.engines[worker.engine]
        engine.last_story = event.story
        if worker.stage is Stage.STARTING or (worker.leases and not worker.proven and event.job is None):
            engine.births += 1
        if engine.births >= settings.BIRTH_ATTEMPTS:
            self._engine_failed(engine, event.story)
        elif engine.failure is None:
            engine.due.append(now + engine.backoff())
        self.order(c.TellPool())

    def _lapse(self, lease: Lease, event: e.WorkerLost) -> None:
        """Queue the jobs of a lost worker's lease again; charge only the one that was running."""
        batch = self.batches[lease.batch]
        batch.released(lease.worker)
        job = event.job if event.lease == lease.number else None
        if job is not None and job in lease.left and not retry_after_loss(batch, job):
            lease.take(job, job + 1)
            ends.lost(self, batch, ((job, job + 1),), State.RUNNING, event.story, batch.losses[job])
        for first, stop in lease.left:
            batch.jobs.move(first, stop, State.RUNNING, State.QUEUED)
        if lease.left:
            self.lapsed[lease.number] = lease
            while len(self.lapsed) > settings.LAPSED_LEASES:
                self.lapsed.pop(next(iter(self.lapsed)))

    def _engine_opened(self, engine: Engine, now: float) -> None:
        """Start what an engine lacks: all its workers, or on its return those that are gone."""
        self.pool.engines[engine.name] = engine
        engine.due = [now] * self.pool.missing(engine)
        self.order(c.TellPool())

    def _proved(self, worker: Worker, now: float) -> None:
        """A worker told something for the first time: its engine can start workers after all."""
        worker.proven = True
        engine = self.pool.engines[worker.engine]
        if engine.births >= settings.BIRTH_ATTEMPTS and engine.failure is not None:
            engine.failure = None
            engine.due = [now] * self.pool.missing(engine)
        engine.births = 0

    def _engine_failed(self, engine: Engine, story: Any) -> None:
        engine.failure = story
        engine.due.clear()
        self.order(c.TellPool())

    def _start_due(self, now: float) -> None:
        for engine in self.pool.engines.values():
            while engine.due and min(engine.due) <= now:
                engine.due.remove(min(engine.due))
                worker = self.pool.new_worker(engine.name, now + settings.JOIN_SECONDS)
                self.order(c.StartWorker(engine.name, worker.number))
        for worker in self.pool.starting.values():
            if worker.due <= now:
                worker.due = now + settings.JOIN_SECONDS
                self.order(c.KillWorker(worker.engine, worker.number))

    def _refresh(self, now: float) -> None:
        self._revive(now)
        for worker in self.pool.workers.values():
            if worker.stage is Stage.READY:
                worker.stage = Stage.RETIRING
                self._room.pop(worker.number, None)
                self._leave_if_done(worker)
        self.order(c.TellPool())

    def _revive(self, now: float) -> None:
        """Give failed engines another chance: somebody wants something new, and the world may have changed."""
        for engine in self.pool.engines.values():
            if engine.failure is not None:
                engine.births = 0
                engine.failure = None
                engine.due = [now] * self.pool.missing(engine)
                self.order(c.TellPool())

    def _leave_if_done(self, worker: Worker) -> None:
        if worker.stage is Stage.RETIRING and not worker.leases:
            worker.stage = Stage.STOPPING
            self.order(c.StopWorker(worker.engine, worker.number))

    # --- reports -------------------------------------------------------------------------------------------

    def _reported(self, event: e.RunReported, now: float) -> None:
        lease = self.leases.get(event.lease) or self.lapsed.get(event.lease)
        if lease is None or lease.worker != event.worker:
            self.dropped += event.stop - event.first
            return
        if lease.number in self.lapsed:
            ends.late(self, lease, event)
            return
        worker = self.pool.workers[lease.worker]
        if not worker.proven:
            self._proved(worker, now)
        batch = self.batches[lease.batch]
        if event.stop > event.first:
            batch.observe(event.stop - event.first, event.seconds)
            batch.served += event.seconds - lease.each * (event.stop - event.first)
        runs = lease.take(event.first, event.stop)
        self.dropped += event.stop - event.first - sum(b - a for a, b in runs)
        ends.told(self, batch, [(State.RUNNING, run) for run in runs], event.failed)
        if event.ended:
            self._end_lease(lease, now)

    def _end_lease(self, lease: Lease, now: float) -> None:
        batch, worker = self.batches[lease.batch], self.pool.workers[lease.worker]
        for first, stop in lease.left:
            batch.jobs.move(first, stop, State.RUNNING, State.QUEUED)
        del self.leases[lease.number]
        batch.released(worker.number)
        worker.leases.remove(lease.number)
        if worker.leases:
            self.leases[worker.leases[0]].granted = now
        else:
            worker.place = (lease.batch, lease.stop)
        if worker.stage is Stage.READY:
            self._room[worker.number] = None
        self._leave_if_done(worker)

    def _recalled(self, event: e.LeaseRecalled) -> None:
        lease = self.leases.get(event.lease)
        if lease is None or lease.worker != event.worker or event.start >= lease.stop:
            return
        start = max(event.start, lease.first)
        for first, stop in lease.take(start, lease.stop):
            self.batches[lease.batch].jobs.move(first, stop, State.RUNNING, State.QUEUED)
        lease.stop = start

    # --- granting ------------------------------------------------------------------------------------------

    def _fill(self, now: float) -> None:
        """Grant leases until nobody has room or nothing is queued: idle workers first."""
        hungry = [batch for batch in self.batches.values() if batch.hungry()]
        slots = self.pool.slots()
        for depth in range(settings.LEASES_IN_FLIGHT):
            for number in list(self._room):
                if not hungry:
                    return
                worker = self.pool.workers[number]
                if len(worker.leases) == depth and self._has_room(worker, now):
                    self._grant(worker, hungry, slots, now)

    def _has_room(self, worker: Worker, now: float) -> bool:
        """Tell whether a worker may have one more: a second lease only behind a first that is short."""
        if not worker.leases:
            return True
        running = self.leases[worker.leases[0]]
        return 0 < running.estimate <= settings.DEPTH_SECONDS and not running.recalled and now < running.due

    def _grant(self, worker: Worker, hungry: list[Batch], slots: int, now: float) -> None:
        batch = placement.choose_batch(hungry, worker.number)
        if batch is None or (worker.leases and batch.seconds is None):
            return
        segment, first, stop = placement.choose_run(batch, worker, slots)
        batch.jobs.move(first, stop, State.QUEUED, State.RUNNING)
        lease = Lease(
            self._next_lease, worker.number, batch.number, segment.number, first, stop, now,
            batch.seconds or 0.0, Ranges([(first, stop)]),
        )  # fmt: skip
        self._next_lease += 1
        self.leases[lease.number] = lease
        worker.leases.append(lease.number)
        worker.place = (batch.number, stop)
        batch.granted(worker.number)
        self._virtual = max(batch.served, self._virtual)
        batch.served = self._virtual + max(lease.estimate, 1e-6)
        had, drop = worker.holds(segment.number)
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
        if not any(not self.pool.workers[number].leases for number in self._room):
            return []
        out = []
        for worker in self.pool.workers.values():
            begun = True
            for number in worker.leases:
                lease = self.leases[number]
                batch = self.batches[lease.batch]
                others = batch.limit is None or len(batch.workers) < batch.limit
                if others and not lease.recalled and lease.unstarted(begun=begun):
                    out.append((lease.due, lease))
                begun = False
        return out

    def recall(self, lease: Lease) -> None:
        """Ask for what has not started of a lease, once."""
        if lease.recalled or not lease.left:
            return
        lease.recalled = True
        engine = self.pool.workers[lease.worker].engine
        self.order(c.RecallLease(engine, lease.worker, lease.number, lease.first, lease.stop))
