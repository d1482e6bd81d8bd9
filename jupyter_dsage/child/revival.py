"""What a child that is started anew takes from its session's journal.

The requests of clients are replayed in order, and between them the ends that were told. What was leased and did not end
runs again, or is lost where it may run only once.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from jupyter_dsage import clock, settings
from jupyter_dsage.child import intake
from jupyter_dsage.core import events as e
from jupyter_dsage.core.ranges import Ranges
from jupyter_dsage.errors import ProtocolError
from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.child.payloads import Payloads
    from jupyter_dsage.core.events import Event
    from jupyter_dsage.core.scheduler import Scheduler
    from jupyter_dsage.store.journal import Journal, Row

_LOST = "the end of the session's background process while it may have been running, and it runs only once"
_TORN = "the loss of its arguments: the journal was torn when the machine went down"


def suspicious(at: float) -> bool:
    """Tell whether a child was killed so lately (on the monotonic clock) that the jobs that ran then are suspects.

    Who kills a child again and again does it soon after; a job of hours that saw three kills from outside did not.
    """
    return 0 <= clock.monotonic() - at < settings.REVIVAL_SECONDS


class Revival:
    """Replays a journal.

    `handle`: has the scheduler handle an event, and its orders carried out; `opened`: takes note of a batch and
    the client that opened it.
    """

    def __init__(
        self,
        journal: Journal,
        scheduler: Scheduler,
        payloads: Payloads,
        handle: Callable[[Event], None],
        opened: Callable[[m.OpenBatch, int], None],
    ) -> None:
        self._journal = journal
        self._scheduler = scheduler
        self._payloads = payloads
        self._handle = handle
        self._opened = opened
        self._leased: dict[int, Ranges] = {}
        """Batch -> jobs of it that may run only once, were leased, and have not ended."""
        self._torn: dict[int, Ranges] = {}
        self.errors: list[m.Outcomes | m.Lost] = []
        """What was told of jobs that failed, for the view."""

    def replay(self) -> int:
        """Bring the scheduler to where the journal ends; return how many rows there were."""
        rows = 0
        for row in self._journal.rows():
            rows += 1
            try:
                self._told(row) if row.client == 0 else self._asked(row)
            except ProtocolError:
                continue  # it was refused when it came, too
        for lost, why in ((self._torn, _TORN), (self._leased, _LOST)):
            for batch, runs in lost.items():
                if runs:
                    story = m.Story(0, os.uname().nodename, 0, why, 0.0, 0, "")
                    self._handle(e.LeasesRestored(batch, tuple(runs), story))
        return rows

    def _asked(self, row: Row) -> None:
        frames: list[codec.Frame] = []
        message = codec.from_client.header(row.header)
        if isinstance(message, m.Function):
            frames.append(self._journal.payload(row.id) if row.whole else b"")
        elif message.frames != (0,):
            frames.append(b"")
        event = intake.from_client(message, frames, self._scheduler, self._payloads)
        if isinstance(event, e.JobsAdded):
            self._payloads.on_disk(event.segment, row.id, only=True)
            first = self._scheduler.batches[event.batch].jobs.total
            if not row.whole:
                self._torn.setdefault(event.batch, Ranges()).add(first, first + event.count)
        if isinstance(message, m.OpenBatch):
            self._opened(message, row.client)
        if event is not None:
            self._handle(event)

    def _told(self, row: Row) -> None:
        message = codec.in_journal.header(row.header)
        if isinstance(message, m.Outcomes) and not row.whole:
            return  # torn: its jobs run again
        if isinstance(message, m.Leased):
            self._leased.setdefault(message.batch, Ranges()).add(message.first, message.stop)
        elif isinstance(message, m.Suspected):
            if suspicious(message.at):
                self._handle(e.JobSuspected(message.batch, message.job, None, restored=True))
        elif isinstance(message, m.Outcomes):
            self._handle(e.EndsRestored(message.batch, message.runs, message.failed))
            self._ended(message)
        elif isinstance(message, m.Lost):
            word = "failed" if message.failed else "lost"
            self._handle(e.EndsRestored(message.batch, message.runs, (), word))
            self._ended(message)

    def _ended(self, message: m.Outcomes | m.Lost) -> None:
        if isinstance(message, m.Lost) or message.errors:
            self.errors.append(message)
        for first, stop in message.runs:
            for jobs in (self._leased, self._torn):
                if message.batch in jobs:
                    for run in jobs[message.batch].overlap(first, stop):
                        jobs[message.batch].remove(*run)
