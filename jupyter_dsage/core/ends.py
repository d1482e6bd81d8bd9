"""How jobs end: told by a worker, late, lost, cancelled. The scheduler's bookkeeping of outcomes.

Each function moves jobs in the table, orders what the client is to be told, and lets payloads go.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any

from jupyter_dsage.core import commands as c
from jupyter_dsage.core.ranges import Ranges, Run
from jupyter_dsage.core.retry import attempts, charged, forgive, retry_after_exception, retry_after_load
from jupyter_dsage.core.states import State

if TYPE_CHECKING:
    from jupyter_dsage.core.batch import Batch
    from jupyter_dsage.core.scheduler import Scheduler


def told(s: Scheduler, batch: Batch, runs: list[tuple[State, Run]], failed: tuple[int, ...]) -> None:
    """End jobs, which are in the states given, by the outcomes a worker told.

    Those that raised may be queued again instead.
    """
    accepted: list[Run] = []
    raised: list[int] = []
    spent = _attempts(batch, runs) if batch.losses or batch.failures or batch.suspects else ()
    for source, (first, stop) in runs:
        at = first
        for job in failed[bisect_left(failed, first) : bisect_right(failed, stop - 1)]:
            _finish(s, batch, at, job, source, accepted)
            at = job + 1
            if retry_after_exception(batch, job):
                if source is not State.QUEUED:
                    batch.jobs.move(job, job + 1, source, State.QUEUED)
                continue
            batch.jobs.move(job, job + 1, source, State.FAILED)
            forgive(batch, job, job + 1)
            accepted.append((job, job + 1))
            raised.append(job)
        _finish(s, batch, at, stop, source, accepted)
    if accepted:
        _end_shadows(s, batch, accepted)
        s.order(c.TellOutcomes(batch.number, tuple(Ranges(accepted)), tuple(raised), spent))


def _attempts(batch: Batch, runs: list[tuple[State, Run]]) -> tuple[tuple[int, int], ...]:
    """Return (job, attempts) for the jobs of these runs that were tried before."""
    jobs = [job for _, (first, stop) in runs for job in charged(batch, first, stop)]
    return tuple((job, 1 + attempts(batch, job)) for job in jobs)


def _end_shadows(s: Scheduler, batch: Batch, ended: list[Run]) -> None:
    """End the attempts at hosts that were away, now that the jobs have ended elsewhere."""
    for number in list(s.shadowed):
        lease = s.leases[number]
        worker = s.pool.workers[lease.worker]
        if lease.batch == batch.number:
            for run in ended:
                for first, stop in lease.take_late(*run):
                    s.order(c.EndJob(worker.engine, worker.number, number, first, stop))
        if not lease.late:
            s.shadowed.discard(number)


def _finish(s: Scheduler, batch: Batch, first: int, stop: int, source: State, accepted: list[Run]) -> None:
    if first >= stop:
        return
    batch.jobs.move(first, stop, source, State.FINISHED)
    accepted.append((first, stop))
    forgive(batch, first, stop)
    close(s, batch, first, stop)


def close(s: Scheduler, batch: Batch, first: int, stop: int) -> None:
    """Note that jobs can never run again; let go of each segment none of whose jobs can."""
    for segment, (a, b) in batch.segments_over(first, stop):
        segment.open -= b - a
        if segment.open == 0 and segment.function:  # a skipped run has no function and no payload
            s.order(c.DropSegment(segment.number))


def late(s: Scheduler, batch: Batch, told: list[Run]) -> list[tuple[State, Run]]:
    """Return which late outcomes are first ones, with the states of their jobs; second attempts under way are ended."""
    runs: list[tuple[State, Run]] = []
    for first, stop in told:
        for source in (State.QUEUED, State.RUNNING):
            runs += [(source, run) for run in batch.jobs[source].overlap(first, stop)]
    runs.sort(key=lambda part: part[1])
    for source, (first, stop) in runs:
        if source is State.RUNNING:
            end_attempts(s, batch, first, stop)
    return runs


def lost(
    s: Scheduler,
    batch: Batch,
    runs: tuple[Run, ...],
    source: State,
    story: Any,
    attempts: int = 0,
    *,
    failed: bool = False,
) -> None:
    """End jobs as lost, or as `failed`; a retry by the user may bring them back, so their payload stays."""
    for first, stop in runs:
        batch.jobs.move(first, stop, source, State.FAILED if failed else State.LOST)
        forgive(batch, first, stop)
    _end_shadows(s, batch, list(runs))
    s.order(c.TellLost(batch.number, runs, story, attempts, failed))


def cancel(s: Scheduler, batch: Batch, runs: tuple[Run, ...]) -> None:
    """Cancel what is queued or running among these jobs; running ones are interrupted."""
    gone = Ranges()
    for first, stop in runs:
        for a, b in batch.jobs[State.QUEUED].overlap(first, stop):
            batch.jobs.move(a, b, State.QUEUED, State.CANCELLED)
            gone.add(a, b)
        for a, b in batch.jobs[State.RUNNING].overlap(first, stop):
            batch.jobs.move(a, b, State.RUNNING, State.CANCELLED)
            gone.add(a, b)
            end_attempts(s, batch, a, b)
    for first, stop in gone:
        forgive(batch, first, stop)
        close(s, batch, first, stop)
    if gone:
        _end_shadows(s, batch, list(gone))
        s.order(c.TellCancelled(batch.number, tuple(gone)))


def end_attempts(s: Scheduler, batch: Batch, first: int, stop: int) -> None:
    """Take jobs that have ended otherwise out of their leases: recall what has not started, end what runs."""
    for lease in list(s.leases.values()):
        if lease.batch != batch.number:
            continue
        worker = s.pool.workers[lease.worker]
        for a, b in lease.take(first, stop):
            s.order(c.RecallLease(worker.engine, worker.number, lease.number, a, lease.stop))
            s.order(c.EndJob(worker.engine, worker.number, lease.number, a, b))


def not_loaded(s: Scheduler, batch: Batch, job: int, story: Any, *, failed: bool) -> None:
    """Charge the function of a job with the loss of a worker that was loading it; after too many its jobs are lost.

    Those that run elsewhere, where it may have been loaded, are left alone.
    """
    function = batch.segment_of(job).function
    if retry_after_load(batch, function):
        return
    queued = [
        run
        for segment in batch.segments
        if segment.function == function and segment.open
        for run in batch.jobs[State.QUEUED].overlap(segment.first, segment.stop)
    ]
    if queued:
        lost(s, batch, tuple(Ranges(queued)), State.QUEUED, story, batch.loads[function], failed=failed)


def give_up(s: Scheduler) -> None:
    """End everything queued as lost that no engine can run (P1: nothing hangs)."""
    for batch in s.unended():
        if not batch.jobs.count(State.QUEUED):
            continue
        for kind in [kind for kind in batch.kinds if s.pool.hopeless(kind, batch.wants)]:
            able = s.pool.able(kind, batch.wants)
            story = able[0].failure if able else c.NoEngine(kind, batch.wants)
            runs = [
                run
                for segment in batch.segments
                if segment.function and segment.service == kind
                for run in batch.jobs[State.QUEUED].overlap(segment.first, segment.stop)
            ]
            if runs:
                lost(s, batch, tuple(Ranges(runs)), State.QUEUED, story)
