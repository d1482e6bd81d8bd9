"""How engines come and go: opened, failed, silent and back, scaled, removed; and who is started when.

Called by `Scheduler.handle`; each function takes one fact into the state and orders what follows from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.core import commands as c
from jupyter_dsage.core import events as e
from jupyter_dsage.core.pool import Engine, Stage
from jupyter_dsage.core.ranges import Ranges
from jupyter_dsage.core.states import State

if TYPE_CHECKING:
    from jupyter_dsage.core.pool import Worker
    from jupyter_dsage.core.scheduler import Scheduler

Fact = (
    e.EngineAdded
    | e.EngineOpened
    | e.EngineFailed
    | e.EngineAway
    | e.EngineBack
    | e.EngineScaled
    | e.RemovalAsked
    | e.LatencyMeasured
)


def handle(s: Scheduler, event: Fact, now: float) -> None:
    """Carry one fact about an engine into the state; what is told of one that is not there changes nothing."""
    if isinstance(event, e.EngineAdded):
        made = Engine(event.engine, 0, opened=False, resources=dict(event.resources), idle=event.idle)
        s.pool.engines.setdefault(event.engine, made)
    elif isinstance(event, e.EngineOpened):
        before = s.pool.engines.get(event.engine, Engine(event.engine, 0))
        engine = s.pool.engines[event.engine] = Engine(
            event.engine, event.slots, event.can, event.latency, resources=before.resources, idle=before.idle
        )
        _start_missing(s, engine, now)
    elif isinstance(event, e.EngineFailed):
        engine = s.pool.engines.setdefault(event.engine, Engine(event.engine, 0))
        engine.opened = engine.away = False
        for worker in s.pool.of(engine.name):
            if worker.stage is Stage.STARTING:  # ordered when the others were lost; nobody will tell its end
                s.pool.remove(worker.number)
        failed(s, engine, event.story)
        _close_if_left(s, engine)
    elif event.engine in s.pool.engines:
        _known(s, s.pool.engines[event.engine], event, now)
    if not isinstance(event, e.LatencyMeasured):
        s.order(c.TellPool())


def _known(s: Scheduler, engine: Engine, event: Fact, now: float) -> None:
    match event:
        case e.EngineAway():
            _away(s, engine)
        case e.EngineBack():
            _back(s, engine, now)
        case e.EngineScaled():
            engine.slots = event.slots
            staying = [w for w in s.pool.of(engine.name) if w.stage in (Stage.STARTING, Stage.READY)]
            engine.resting = min(engine.resting, max(0, engine.slots - len(staying)))
            _retire(s, s.pool.of(engine.name), -s.pool.missing(engine))
            _start_missing(s, engine, now)
        case e.RemovalAsked():
            _remove(s, engine, at_once=event.now or engine.away or not engine.opened)
        case e.LatencyMeasured():
            engine.latency = event.seconds


def failed(s: Scheduler, engine: Engine, story: object) -> None:
    """Note why an engine cannot start workers."""
    engine.failure = story
    engine.due.clear()
    s.order(c.TellPool())


def proved(s: Scheduler, worker: Worker, now: float) -> None:
    """Note that a worker told something for the first time: its engine can start workers after all."""
    worker.proven = True
    engine = s.pool.engines[worker.engine]
    engine.loads = 0
    if engine.births >= settings.BIRTH_ATTEMPTS and engine.failure is not None:
        engine.failure = None
        _start_missing(s, engine, now)
    engine.births = 0


def died_at_birth(engine: Engine, now: float, *, together: bool) -> None:
    """Count a worker that died before it told anything; of those that died `together`, with their supervisor, one."""
    if not together:
        engine.births += 1
    elif now - engine.fell[0] > settings.OBITUARY_SECONDS:
        engine.fell = (now, engine.births)
        engine.births += 1


def died_of_a_job(engine: Engine, now: float) -> None:
    """Count none of the workers that die together now: what one of them ran is suspected of it."""
    if now - engine.fell[0] > settings.OBITUARY_SECONDS:
        engine.fell = (now, engine.births)
    engine.births = engine.fell[1]


def revive(s: Scheduler, now: float) -> None:
    """Give failed engines another chance: somebody wants something new, and the world may have changed."""
    for engine in s.pool.engines.values():
        if engine.failure is not None:
            engine.births = 0
            engine.failure = None
            if engine.opened:
                _start_missing(s, engine, now)
            else:
                s.order(c.ReopenEngine(engine.name))
            s.order(c.TellPool())


def replace(s: Scheduler, worker: Worker, now: float) -> None:
    """See to a successor for a worker that is gone, where its engine lacks one."""
    engine = s.pool.engines[worker.engine]
    if engine.births >= settings.BIRTH_ATTEMPTS:
        failed(s, engine, engine.last_story)
    elif engine.at_work and s.pool.missing(engine) > len(engine.due):
        engine.due.append(now + engine.backoff())
    _close_if_left(s, engine)


def start_due(s: Scheduler, now: float) -> None:
    """Start the workers that are due; kill those that did not join in time."""
    for engine in s.pool.engines.values():
        while engine.due and min(engine.due) <= now:
            engine.due.remove(min(engine.due))
            worker = s.pool.new_worker(engine.name, now + settings.JOIN_SECONDS)
            s.order(c.StartWorker(engine.name, worker.number))
    for worker in s.pool.starting.values():
        if worker.due <= now and not s.pool.engines[worker.engine].away:
            worker.due = now + settings.JOIN_SECONDS
            s.order(c.KillWorker(worker.engine, worker.number))


def retire(s: Scheduler, worker: Worker) -> None:
    """Give a worker no more leases; it leaves when it has none."""
    if worker.stage is Stage.READY:
        worker.stage = Stage.RETIRING
        s.no_room(worker)
    leave_if_done(s, worker)


def leave_if_done(s: Scheduler, worker: Worker) -> None:
    """Have a retiring worker leave that has nothing to do any more."""
    if worker.stage is Stage.RETIRING and not worker.leases and not worker.held:
        worker.stage = Stage.STOPPING
        s.order(c.StopWorker(worker.engine, worker.number))


def _start_missing(s: Scheduler, engine: Engine, now: float) -> None:
    if engine.at_work:
        engine.due = [now] * max(0, s.pool.missing(engine))


def _retire(s: Scheduler, workers: list[Worker], count: int) -> None:
    """Retire this many workers: the idle ones first, then those that came last."""
    staying = [worker for worker in workers if worker.stage in (Stage.STARTING, Stage.READY)]
    count -= len(workers) - len(staying)  # those are leaving already
    staying.sort(key=lambda worker: (len(worker.leases) + len(worker.held), -worker.number))
    for worker in staying[: max(0, count)]:
        if worker.stage is Stage.STARTING:
            worker.stage = Stage.STOPPING
            del s.pool.starting[worker.number]
            s.order(c.KillWorker(worker.engine, worker.number))
        else:
            retire(s, worker)


def _away(s: Scheduler, engine: Engine) -> None:
    """Move the jobs of a silent host elsewhere; nobody is charged, and nothing is forgotten."""
    if engine.away:
        return
    engine.away = True
    engine.due.clear()
    for worker in s.pool.of(engine.name):
        s.no_room(worker)
        staying = [number for number in worker.leases if s.batches[s.leases[number].batch].once]
        moving = [number for number in worker.leases if number not in staying]
        worker.held += moving
        for number in moving:
            s.lapse(number, keep=True)
        worker.leases = staying  # what may run only once waits for its worker, however long that is silent


def _back(s: Scheduler, engine: Engine, now: float) -> None:
    """Take a host's workers back with what they were running."""
    if not engine.away:
        return
    engine.away = False
    for worker in s.pool.of(engine.name):
        if worker.stage is Stage.STARTING:
            worker.due = now + settings.JOIN_SECONDS
        held, worker.held = worker.held, []
        for number in held:
            if number in s.lapsed:
                _reclaim(s, number, now)
        s.has_room(worker)
        leave_if_done(s, worker)
    _start_missing(s, engine, now)


def _reclaim(s: Scheduler, number: int, now: float) -> None:
    """Restore a lapsed lease: what is queued again it keeps, what runs elsewhere it may still win, the rest ends."""
    lease = s.lapsed.pop(number)
    batch, worker = s.batches[lease.batch], s.pool.workers[lease.worker]
    lease.granted, lease.recalled = now, False
    stale, lease.left = lease.left, Ranges()
    for first, stop in list(stale):
        for a, b in batch.jobs[State.RUNNING].overlap(first, stop):
            lease.late.add(a, b)
            stale.remove(a, b)
        for a, b in batch.jobs[State.QUEUED].overlap(first, stop):
            batch.jobs.move(a, b, State.QUEUED, State.RUNNING)
            lease.left.add(a, b)
            stale.remove(a, b)
    s.leases[number] = lease
    worker.leases.append(number)
    batch.granted(worker.number)
    if lease.late:
        s.shadowed.add(number)
    if stale or lease.late:
        s.order(c.RecallLease(worker.engine, worker.number, number, lease.first, lease.stop))
    for first, stop in stale:
        s.order(c.EndJob(worker.engine, worker.number, number, first, stop))


def _remove(s: Scheduler, engine: Engine, *, at_once: bool) -> None:
    """Drain an engine, or take it out as it is: its jobs are queued again, uncharged."""
    engine.leaving = True
    engine.slots = engine.resting = 0
    engine.due.clear()
    workers = s.pool.of(engine.name)
    if at_once:
        for worker in workers:
            for number in worker.leases:
                s.lapse(number, story=c.Removed(engine.name))
            s.no_room(worker)
            s.pool.remove(worker.number)
    else:
        for worker in workers:
            for number in worker.leases:
                s.recall(s.leases[number])
        _retire(s, workers, len(workers))
    _close_if_left(s, engine)


def _close_if_left(s: Scheduler, engine: Engine) -> None:
    if engine.leaving and not s.pool.of(engine.name):
        del s.pool.engines[engine.name]
        s.order(c.CloseEngine(engine.name))
