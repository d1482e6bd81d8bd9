"""What clients ask for: open, add, cancel, retry, pause, resume, limit. One small function each.

Called by `Scheduler.handle`. The batch must exist; the child's intake checks that before it makes an event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dsage.core import ends
from jupyter_dsage.core import events as e
from jupyter_dsage.core.batch import Batch
from jupyter_dsage.core.ranges import Ranges
from jupyter_dsage.core.states import State

if TYPE_CHECKING:
    from jupyter_dsage.core.scheduler import Scheduler

Request = (
    e.BatchOpened
    | e.JobsAdded
    | e.JobsSkipped
    | e.CancelAsked
    | e.RetryAsked
    | e.PauseAsked
    | e.ResumeAsked
    | e.LimitAsked
)


def handle(s: Scheduler, event: Request) -> None:
    """Carry one request into the state."""
    if isinstance(event, e.BatchOpened):
        batch = Batch(
            event.batch,
            event.name,
            event.retries,
            event.limit,
            served=0.0,
            timeout=event.timeout,
            memory=event.memory,
            once=event.once,
            priority=event.priority,
            wants=event.wants,
        )
        s.add_batch(batch)
        return
    batch = s.batches[event.batch]
    match event:
        case e.JobsAdded():
            batch.append(event.segment, event.function, event.count, event.service)
        case e.JobsSkipped():
            skipped = batch.append(0, "", event.count)
            ends.cancel(s, batch, ((skipped.first, skipped.stop),))
        case e.CancelAsked():
            ends.cancel(s, batch, event.runs if event.runs is not None else ((0, batch.jobs.total),))
        case e.RetryAsked():
            _retry(s, batch, event)
        case e.PauseAsked():
            batch.paused = True
            for lease in s.leases.values():
                if lease.batch == batch.number:
                    s.recall(lease)
        case e.ResumeAsked():
            batch.paused = False
        case e.LimitAsked():
            batch.limit = event.limit


def _retry(s: Scheduler, batch: Batch, event: e.RetryAsked) -> None:
    """Queue jobs for a new round; an outcome that comes late from an earlier one no longer counts."""
    batch.loads.clear()
    again = Ranges()
    for first, stop in event.runs:
        for source in (State.FAILED, State.LOST):
            for a, b in batch.jobs[source].overlap(first, stop):
                batch.jobs.move(a, b, source, State.QUEUED)
                again.add(a, b)
    for lease in (*s.lapsed.values(), *(s.leases[number] for number in s.shadowed)):
        if lease.batch == batch.number:
            for a, b in again.overlap(lease.first, lease.stop):
                (lease.take if lease.number in s.lapsed else lease.take_late)(a, b)
