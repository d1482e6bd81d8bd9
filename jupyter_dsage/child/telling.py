"""What a new client is told of the past: the batches there are, and from the journal how their jobs ended.

The newest rows come first, so that of a job that was retried its last end counts; the payloads stay in the journal. A
long journal is told in parts, so that the child's loop goes on meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.core.ranges import Ranges
from jupyter_dsage.core.states import State
from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jupyter_dsage.core.job_table import JobTable
    from jupyter_dsage.core.ranges import Run
    from jupyter_dsage.core.scheduler import Scheduler
    from jupyter_dsage.store.journal import Journal

_TOLD = (State.FINISHED, State.FAILED, State.LOST)


def past(scheduler: Scheduler, journal: Journal | None, send: Callable[[m.Message], None]) -> Iterator[None]:
    """Tell a client what has ended, by `send`; each step tells a part."""
    seen: dict[int, Ranges] = {}
    for row in journal.told() if journal else ():
        message = codec.in_journal.header(row.header) if row.header else None
        if isinstance(message, (m.Outcomes, m.Lost)) and message.batch in scheduler.batches:
            told = seen.setdefault(message.batch, Ranges())
            runs = tuple(_news(scheduler.batches[message.batch].jobs, message.runs, told))
            if runs:
                send(_clipped(message, runs))
        if row.id % settings.SYNC_ROWS == 0:
            yield
    for batch in scheduler.batches.values():
        cancelled = tuple(batch.jobs[State.CANCELLED])
        if cancelled:
            send(m.Cancelled(batch.number, cancelled))
    send(m.Synced())


def _news(jobs: JobTable, runs: tuple[Run, ...], told: Ranges) -> list[Run]:
    """Return those of the runs that have ended and were not told by a newer row, and note them."""
    out = Ranges()
    for first, stop in runs:
        for state in _TOLD:
            for a, b in jobs[state].overlap(first, stop):
                out.add(a, b)
        for a, b in told.overlap(first, stop):
            for run in out.overlap(a, b):
                out.remove(*run)
    for first, stop in out:
        told.add(first, stop)
    return list(out)


def _clipped(message: m.Outcomes | m.Lost, runs: tuple[Run, ...]) -> m.Message:
    if isinstance(message, m.Lost):
        return m.Lost(message.batch, runs, message.story, message.attempts, message.failed, message.row)
    return m.Outcomes(
        message.batch,
        message.first,
        message.stop,
        runs,
        message.failed,
        message.seconds,
        message.worker,
        message.attempts,
        (),
        message.row,
    )
