"""How jobs end: told by a worker, late, lost, cancelled. The scheduler's bookkeeping of outcomes.

Each function moves jobs in the table, orders what the client is to be told, and lets payloads go.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any

from jupyter_dsage.core import commands as c
from jupyter_dsage.core.ranges import Ranges, Run
from jupyter_dsage.core.retry import forgive, retry_after_exception
from jupyter_dsage.core.states import State

if TYPE_CHECKING:
    from jupyter_dsage.core.batch import Batch
    from jupyter_dsage.core.events import RunReported
    from jupyter_dsage.core.leases import Lease
    from jupyter_dsage.core.scheduler import Scheduler


def told(s: Scheduler, batch: Batch, runs: list[Run], failed: tuple[int, ...], source: State) -> None:
    """End jobs by the outcomes a worker told; those that raised may be queued again instead."""
    accepted: list[Run] = []
    raised: list[int] = []
    for first, stop in runs:
        at = first
        for job in failed[bisect_left(failed, first) : bisect_right(failed, stop - 1)]:
            _finish(s, batch, at, job, source, accepted)
            at = job + 1
            if retry_after_exception(batch, job):
                if source is not State.QUEUED:
                    batch.jobs.move(job, job + 1, source, State.QUEUED)
                continue
            batch.jobs.move(job, job + 1, source, State.FAILED)
            accepted.append((job, job + 1))
            raised.append(job)
        _finish(s, batch, at, stop, source, accepted)
    if accepted:
        s.order(c.TellOutcomes(batch.number, tuple(Ranges(accepted)), tuple(raised)))


def _finish(s: Scheduler, batch: Batch, first: int, stop: int, source: State, accepted: list[Run]) -> None:
    if first >= stop:
        return
    batch.jobs.move(first, stop, source, State.FINISHED)
    accepted.append((first, stop))
    for job in [job for job in (*batch.losses, *batch.failures) if first <= job < stop]:
        forgive(batch, job)
    close(s, batch, first, stop)


def close(s: Scheduler, batch: Batch, first: int, stop: int) -> None:
    """Note that jobs can never run again; let go of each segment none of whose jobs can."""
    for segment, (a, b) in batch.segments_over(first, stop):
        segment.open -= b - a
        if segment.open == 0 and segment.function:  # a skipped run has no function and no payload
            s.order(c.DropSegment(segment.number))


def late(s: Scheduler, lease: Lease, event: RunReported) -> None:
    """Take a late first outcome of a lost worker; a second attempt under way is ended."""
    batch = s.batches[lease.batch]
    runs = lease.take(event.first, event.stop)
    taken = 0
    for first, stop in runs:
        for job in range(first, stop):
            if batch.reborn.get(job, 0) > lease.round:
                continue
            state = batch.jobs.state_of(job)
            if state is State.RUNNING:
                _supersede(s, batch, job)
            elif state is not State.QUEUED:
                continue
            taken += 1
            told(s, batch, [(job, job + 1)], tuple(n for n in event.failed if n == job), state)
    s.dropped += event.stop - event.first - taken
    if event.ended or not lease.left:
        s.lapsed.pop(lease.number, None)


def _supersede(s: Scheduler, batch: Batch, job: int) -> None:
    """Take a job out of the lease it is running under now, and end that attempt."""
    for lease in s.leases.values():
        if lease.batch == batch.number and job in lease.left:
            lease.take(job, job + 1)
            s.order(c.EndJob(s.pool.workers[lease.worker].engine, lease.worker, lease.number, job, job + 1))
            return


def lost(s: Scheduler, batch: Batch, first: int, stop: int, source: State, story: Any) -> None:
    """End jobs as lost; a retry by the user may bring them back, so their payload stays."""
    batch.jobs.move(first, stop, source, State.LOST)
    s.order(c.TellLost(batch.number, ((first, stop),), story, batch.losses.get(first, 0)))


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
            _end_attempts(s, batch, a, b)
    for first, stop in gone:
        close(s, batch, first, stop)
    if gone:
        s.order(c.TellCancelled(batch.number, tuple(gone)))


def _end_attempts(s: Scheduler, batch: Batch, first: int, stop: int) -> None:
    """Take cancelled jobs out of their leases: recall what has not started, end the one that runs."""
    for lease in list(s.leases.values()):
        if lease.batch != batch.number:
            continue
        worker = s.pool.workers[lease.worker]
        for a, b in lease.take(first, stop):
            s.order(c.RecallLease(worker.engine, worker.number, lease.number, a, lease.stop))
            s.order(c.EndJob(worker.engine, worker.number, lease.number, a, b))


def give_up(s: Scheduler) -> None:
    """End everything queued as lost when no engine can run anything (P1: nothing hangs)."""
    story = s.pool.hopeless()
    if story is None:
        return
    for batch in s.batches.values():
        for first, stop in batch.jobs[State.QUEUED]:
            lost(s, batch, first, stop, State.QUEUED, story)
