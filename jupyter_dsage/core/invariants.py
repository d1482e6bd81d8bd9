"""What must hold after every event. Tests call `Scheduler.check`, which calls this, after each step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.core.pool import Stage
from jupyter_dsage.core.ranges import Ranges
from jupyter_dsage.core.resting import unmet
from jupyter_dsage.core.states import ENDED, State
from jupyter_dsage.core.stock import Stock

if TYPE_CHECKING:
    from jupyter_dsage.core.batch import Batch
    from jupyter_dsage.core.pool import Engine
    from jupyter_dsage.core.scheduler import Scheduler


def check(s: Scheduler) -> None:
    """Raise AssertionError, with a sentence, for the first invariant that does not hold."""
    unended = s.unended()
    for batch in s.batches.values():
        _hold((batch in unended) == (not batch.ended()), f"batch {batch.number}: it is not known whether it has ended")
        _check_partition(batch)
        _check_segments(batch)
        _check_running(s, batch)
    _check_workers(s)
    _check_engines(s)
    _check_wants(s)
    _check_lapsed(s)
    _check_no_idling(s)


def _hold(fact: bool, sentence: str) -> None:  # noqa: FBT001
    if not fact:
        raise AssertionError(sentence)


def _check_partition(batch: Batch) -> None:
    """Every job is in exactly one state."""
    every = Ranges()
    for state in State:
        for first, stop in batch.jobs[state]:
            every.add(first, stop)
    total = sum(batch.jobs.count(state) for state in State)
    _hold(total == len(every) == batch.jobs.total, f"batch {batch.number}: jobs are missing or in two states")
    _hold(every.covers(0, batch.jobs.total), f"batch {batch.number}: job numbers have a gap")


def _check_segments(batch: Batch) -> None:
    """Segments tile the batch, and each one's count of jobs that may still run is right."""
    at = 0
    for segment in batch.segments:
        _hold(segment.first == at, f"segment {segment.number} begins at {segment.first}, not at {at}")
        at = segment.stop
        closed = sum(
            b - a
            for state in (State.FINISHED, State.CANCELLED)
            for a, b in batch.jobs[state].overlap(segment.first, segment.stop)
        )
        _hold(segment.open == segment.stop - segment.first - closed, f"segment {segment.number}: open is wrong")
    _hold(at == batch.jobs.total, f"batch {batch.number}: segments end at {at}, jobs at {batch.jobs.total}")


def _check_running(s: Scheduler, batch: Batch) -> None:
    """A job is running if and only if it is left in exactly one lease."""
    leased = Ranges()
    total = 0
    for lease in s.leases.values():
        if lease.batch == batch.number:
            total += len(lease.left)
            for first, stop in lease.left:
                leased.add(first, stop)
    _hold(total == len(leased), f"batch {batch.number}: a job is in two leases")
    _hold(leased == batch.jobs[State.RUNNING], f"batch {batch.number}: leases and running jobs differ")
    holders: dict[int, int] = {}
    for lease in s.leases.values():
        if lease.batch == batch.number:
            holders[lease.worker] = holders.get(lease.worker, 0) + 1
    _hold(holders == batch.workers, f"batch {batch.number}: its workers are {holders}, not {batch.workers}")


def _check_workers(s: Scheduler) -> None:
    """Leases and workers agree, and no worker holds too many."""
    for worker in s.pool.workers.values():
        _hold(len(worker.leases) <= settings.LEASES_IN_FLIGHT, f"worker {worker.number} has too many leases")
        _hold(worker.leases == sorted(worker.leases), f"worker {worker.number}: lease numbers do not rise")
        _hold(len(worker.segments) <= settings.SEGMENTS_HELD, f"worker {worker.number} holds too many segments")
        for number in worker.leases:
            _hold(s.leases[number].worker == worker.number, f"lease {number} is not worker {worker.number}'s")
        if worker.stage in (Stage.STARTING, Stage.STOPPING):
            _hold(not worker.leases, f"worker {worker.number} is {worker.stage.value} and has a lease")
        if s.pool.engines[worker.engine].away:
            once = all(s.batches[s.leases[number].batch].once for number in worker.leases)
            _hold(once, f"worker {worker.number} is away and has a lease of jobs that may be moved")
        else:
            _hold(not worker.held, f"worker {worker.number} is here and holds leases from before")
    held = sum(len(worker.leases) for worker in s.pool.workers.values())
    _hold(held == len(s.leases), "a lease belongs to no worker")
    shadowed = {number for number, lease in s.leases.items() if lease.late}
    _hold(shadowed <= s.shadowed <= set(s.leases), "a lease with late jobs is not noted, or one that is gone is")


def _check_no_idling(s: Scheduler) -> None:
    """No ready worker idles while a batch would grant it something (the scheduler conserves work)."""
    stock = Stock(s)
    for worker in s.pool.workers.values():
        engine = s.pool.engines[worker.engine]
        if worker.stage is Stage.READY and not worker.leases and not engine.away and worker.refused is None:
            for batch in s.batches.values():
                if stock.suspicion:
                    continue  # suspects run one at a time, and some while nothing else does
                idle = batch.hungry() and batch.admits(worker.number) and _takes_some(engine, batch)
                idle = idle and stock.serves(engine, worker, batch)
                _hold(not idle, f"worker {worker.number} idles while batch {batch.number} has queued jobs")


def _takes_some(engine: Engine, batch: Batch) -> bool:
    """Tell whether an engine can run one of a batch's queued jobs."""
    queued = batch.jobs[State.QUEUED]
    runs = [s for s in batch.segments if engine.can.take(s.service) and queued.overlap(s.first, s.stop)]
    return bool(runs)


def _check_engines(s: Scheduler) -> None:
    """Nobody starts workers at an engine that is not at work, and nobody waits for what no engine can do (P1)."""
    for worker in s.pool.workers.values():
        _hold(worker.engine in s.pool.engines, f"worker {worker.number} is at {worker.engine}, which is gone")
    for engine in s.pool.engines.values():
        _hold(not engine.due or engine.at_work, f"{engine.name} is {engine.state}, and workers are due there")
        _hold(not (engine.resting and engine.at_work and unmet(s, engine) > 0), f"{engine.name} rests, and has work")
        _hold(not engine.leaving or bool(s.pool.of(engine.name)), f"{engine.name} is leaving and has no workers left")
    for batch in s.batches.values():
        queued = batch.jobs[State.QUEUED]
        for segment in batch.segments:
            waits = bool(segment.function) and bool(queued.overlap(segment.first, segment.stop))
            vain = waits and s.pool.hopeless(segment.service, batch.wants)
            _hold(not vain, f"segment {segment.number} waits for no engine")


def _check_wants(s: Scheduler) -> None:
    """No engine gives more than it has, and none runs what is wanted elsewhere."""
    stock = Stock(s)
    for engine in s.pool.engines.values():
        short = [name for name, amount in stock.free(engine).items() if amount < 0]
        _hold(not short, f"{engine.name} has given more than it has of {short}")
    for lease in s.leases.values():
        engine = s.pool.engines[s.pool.workers[lease.worker].engine]
        _hold(engine.suits(s.batches[lease.batch].wants), f"lease {lease.number} is at {engine.name}: it is not wanted")


def _check_lapsed(s: Scheduler) -> None:
    """What a silent host's workers may still run is remembered, and no lease is both granted and lapsed."""
    _hold(not s.lapsed.keys() & s.leases.keys(), "a lease has lapsed and has not")
    for number, lease in s.lapsed.items():
        _hold(not lease.late, f"lease {number} has lapsed, and jobs of it count as running elsewhere")
    for number, lease in s.leases.items():
        twice = [run for first, stop in lease.left for run in lease.late.overlap(first, stop)]
        _hold(not twice, f"lease {number} has jobs that are left, and late")
        ended = [
            run for a, b in lease.late for state in ENDED for run in s.batches[lease.batch].jobs[state].overlap(a, b)
        ]
        _hold(not ended, f"lease {number} still runs jobs that have ended elsewhere")
