"""What a child that was started anew learns from its journal, and what could not be written into it.

Called by `Scheduler.handle`. The requests of clients are replayed as they came; between them stand, in the same order,
the ends that were told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dsage.core import commands as c
from jupyter_dsage.core import ends
from jupyter_dsage.core import events as e
from jupyter_dsage.core.ranges import Ranges
from jupyter_dsage.core.retry import attempts, forgive, retry_after_suspicion
from jupyter_dsage.core.states import State

if TYPE_CHECKING:
    from jupyter_dsage.core.batch import Batch
    from jupyter_dsage.core.scheduler import Scheduler

Fact = e.EndsRestored | e.LeasesRestored | e.JobSuspected | e.EndsUnstored


def handle(s: Scheduler, event: Fact) -> None:
    """Carry one fact of the journal into the state."""
    batch = s.batches[event.batch]
    match event:
        case e.EndsRestored():
            _restore(s, batch, event)
        case e.LeasesRestored():
            runs = tuple(run for first, stop in event.runs for run in batch.jobs[State.QUEUED].overlap(first, stop))
            if runs:
                ends.lost(s, batch, runs, State.QUEUED, event.story, 1)
        case e.JobSuspected():
            _suspect(s, batch, event)
        case e.EndsUnstored():
            _unstore(s, batch, event)


def _restore(s: Scheduler, batch: Batch, event: e.EndsRestored) -> None:
    raised = Ranges.of(event.failed)
    for first, stop in event.runs:
        for a, b in raised.overlap(first, stop):
            for run in batch.jobs[State.QUEUED].overlap(a, b):
                batch.jobs.move(*run, State.QUEUED, State.FAILED)
        forgive(batch, first, stop)
        for a, b in batch.jobs[State.QUEUED].overlap(first, stop):
            state = State(event.state)
            batch.jobs.move(a, b, State.QUEUED, state)
            if state in (State.FINISHED, State.CANCELLED):
                ends.close(s, batch, a, b)


def _suspect(s: Scheduler, batch: Batch, event: e.JobSuspected) -> None:
    """Note a suspect that is to run again; it is lost the third time, which the journal tells by itself."""
    if not batch.jobs[State.QUEUED].overlap(event.job, event.job + 1):
        return
    if not retry_after_suspicion(batch, event.job) and not event.restored:
        spent = attempts(batch, event.job)
        ends.lost(s, batch, ((event.job, event.job + 1),), State.QUEUED, event.story, spent)


def _unstore(s: Scheduler, batch: Batch, event: e.EndsUnstored) -> None:
    """Take back the ends of jobs, or the jobs themselves: they are lost, and their payload stays for a retry."""
    for first, stop in event.runs:
        for state in (State.FINISHED, State.FAILED, State.QUEUED, State.RUNNING):
            for a, b in batch.jobs[state].overlap(first, stop):
                batch.jobs.move(a, b, state, State.LOST)
                if state is State.FINISHED:
                    _reopen(s, batch, a, b)
                elif state is State.RUNNING:
                    ends.end_attempts(s, batch, a, b)
    s.order(c.TellLost(batch.number, event.runs, event.story, 1))


def _reopen(s: Scheduler, batch: Batch, first: int, stop: int) -> None:
    for segment, (a, b) in batch.segments_over(first, stop):
        segment.open += b - a
        if segment.function:
            s.order(c.KeepSegment(segment.number))
