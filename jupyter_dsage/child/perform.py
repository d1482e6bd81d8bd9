"""From commands to messages: carries out what the scheduler orders, and decides nothing."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.child.recorder import Entry
from jupyter_dsage.child.stories import note_of, tale, tell, unstored
from jupyter_dsage.core import commands as c
from jupyter_dsage.core import events as e
from jupyter_dsage.errors import PeerGoneError
from jupyter_dsage.wire import codec, segments
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jupyter_dsage.child.clients import Clients
    from jupyter_dsage.child.engines.engine import Engine
    from jupyter_dsage.child.looks import Edits
    from jupyter_dsage.child.payloads import Payloads
    from jupyter_dsage.child.recorder import Recorder
    from jupyter_dsage.child.view import Views
    from jupyter_dsage.core.commands import Command
    from jupyter_dsage.core.events import Event
    from jupyter_dsage.core.scheduler import Scheduler
    from jupyter_dsage.core.snapshot import EngineState
    from jupyter_dsage.wire.codec import Frame

    EngineCommand = c.StartWorker | c.StopWorker | c.KillWorker | c.RecallLease | c.EndJob | c.ReopenEngine

log = logging.getLogger(__name__)


class Performer:
    """Knows the engines and who the clients are."""

    def __init__(
        self,
        scheduler: Scheduler,
        payloads: Payloads,
        engines: dict[str, Engine],
        clients: Clients,
        recorder: Recorder,
        views: Views,
        edits: Edits,
        close: Callable[[str], None],
        handle: Callable[[Event], None],
    ) -> None:
        self._scheduler = scheduler
        self._payloads = payloads
        self._engines = engines
        self._clients = clients
        self._recorder = recorder
        self._views = views
        self._edits = edits
        self._handle = handle
        self._close = close
        """Lets go of an engine that was removed."""
        self._waiting: dict[int, list[c.SendLease]] = {}
        """Worker -> leases that wait until the first of them is in the journal: a worker's leases stay in order."""
        self._drops: dict[int, None] = {}
        """Segments that can go once it is settled that their jobs have ended."""
        self.report: tuple[int, m.Report, list[Frame]] | None = None
        """The worker's report that is being handled: `TellOutcomes` passes its payload on."""

    def perform(self, commands: Iterable[Command]) -> None:
        """Carry out commands in order. A peer that is gone is no error: its loss is an event of its own."""
        for command in commands:
            try:
                self._one(command)
            except PeerGoneError as error:
                log.info("%s: %s", type(command).__name__, error)

    def _one(self, command: Command) -> None:
        match command:
            case c.SendLease():
                self._send_lease(command)
            case c.TellOutcomes():
                self._tell_outcomes(command)
            case c.TellLost():
                self._tell_lost(command)
            case c.TellCancelled():
                self._clients.tell(m.Cancelled(command.batch, command.runs))
            case c.TellPool():
                self._clients.tell(self.pool())
            case c.DropSegment():
                self._drops[command.segment] = None
            case c.KeepSegment():
                self._drops.pop(command.segment, None)
            case c.CloseEngine():
                self._close(command.engine)
            case _:
                self._have_engine(command)

    def settle(self) -> None:
        """Let go of what is not needed any more, now that what was ordered is done."""
        for segment in self._drops:
            row = self._payloads.drop(segment)
            if row:
                self._recorder.forget(row)
            for engine in self._engines.values():
                engine.forget(segment)
        self._drops.clear()

    def _send_lease(self, lease: c.SendLease) -> None:
        """Grant a lease; one whose jobs may run only once when that is written down, and what comes behind it too."""
        waiting = self._waiting.get(lease.worker)
        if waiting is not None:
            waiting.append(lease)
        elif not lease.once:
            self._grant(lease)
        else:
            self._waiting[lease.worker] = [lease]
            self._write_lease(lease)

    def _write_lease(self, lease: c.SendLease) -> None:
        leased = codec.encode(m.Leased(lease.batch, lease.first, lease.stop))[0]
        self._recorder.put(Entry(0, leased, done=lambda: self._written(lease.worker)))

    def _written(self, worker: int) -> None:
        """Grant the lease that was written down, and those behind it up to the next that must be."""
        waiting = self._waiting.pop(worker)
        self._grant(waiting.pop(0))
        while waiting and not waiting[0].once:
            self._grant(waiting.pop(0))
        if waiting:
            self._waiting[worker] = waiting
            self._write_lease(waiting[0])

    def _grant(self, lease: c.SendLease) -> None:
        worker = self._scheduler.pool.workers.get(lease.worker)
        if worker is None:
            return  # lost while its lease was being written down; its jobs were lost with it
        self._views.leased(lease.worker, time.monotonic())
        try:
            self._engines[worker.engine].grant(lease, self._payloads)
        except PeerGoneError as error:
            log.info("a lease was not sent: %s", error)

    def _have_engine(self, command: EngineCommand) -> None:
        engine = self._engines[command.engine]
        match command:
            case c.StartWorker():
                engine.start(command.worker)
            case c.StopWorker():
                engine.stop(command.worker)
            case c.KillWorker():
                engine.kill(command.worker)
            case c.RecallLease():
                engine.recall(command)
            case c.EndJob():
                engine.end_job(command)
            case c.ReopenEngine():
                engine.reopen()

    def _tell_outcomes(self, order: c.TellOutcomes) -> None:
        if self.report is None:
            raise RuntimeError("outcomes are told only while a worker's report is handled")
        worker, report, frames = self.report
        self._views.told(worker, order.batch, order.runs, order.failed)
        row = self._recorder.next_row()
        outcomes = m.Outcomes(
            order.batch,
            report.first,
            report.stop,
            order.runs,
            order.failed,
            self._scheduler.batches[order.batch].seconds or 0.0,
            worker,
            order.attempts,
            report.errors,
            row,
        )
        header = codec.encode(outcomes, *frames)[0]
        entry = Entry(0, header, frames[0] if frames else None)
        large = entry.size > settings.UNSENT_PAYLOAD_BYTES and not any(segments.of(frame) for frame in frames)
        sent = [] if row and large else frames
        entry.patient = self._may_wait(order.batch, report, entry.size)
        entry.done = lambda: self._clients.pass_on([header, *sent])
        entry.unstored = lambda why: self._handle(e.EndsUnstored(order.batch, order.runs, self.unstored(why)))
        self._recorder.put(entry)

    def _may_wait(self, batch: int, report: m.Report, size: int) -> bool:
        """Tell whether outcomes may wait for others: little work, and there is more of the batch to do meanwhile.

        Not those of jobs that may run only once: were the child killed before they are written, they would be lost.
        """
        one = self._scheduler.batches[batch]
        little = report.seconds <= settings.GROUP_WORK_SECONDS and size <= settings.UNSENT_PAYLOAD_BYTES
        return little and one.hungry() and not one.once

    def _tell_lost(self, order: c.TellLost) -> None:
        story = tale(order.story)
        self._views.failed(order.batch, order.runs, tell(story))
        row = self._recorder.next_row()
        lost = m.Lost(order.batch, order.runs, story, order.attempts, order.failed, row)
        told = codec.encode(lost)
        self._recorder.put(Entry(0, told[0], done=lambda: self._clients.pass_on(told)))

    def unstored(self, why: str) -> m.Story:
        """Return the story of jobs whose outcome, or arguments, could not be stored."""
        return unstored(str(self._recorder.journal and self._recorder.journal.folder), why)

    def send_views(self, now: float) -> None:
        """Send the views that are due."""
        for peers, batch, data in self._views.due(now):
            for peer in peers:
                self._clients.send(peer, m.View(batch), data)
                if peer not in self._clients:
                    self._views.forget(peer)

    def _note(self, engine: EngineState) -> str:
        note = self._engines[engine.engine].note or self._edits.note(engine.engine)
        return note_of(engine.failure, note, engine.slots, engine.resting, engine.resources)

    def pool(self) -> m.PoolChanged:
        """Return the engines and workers as clients see them."""
        snapshot = self._scheduler.snapshot()
        engines = tuple(
            m.EngineInfo(
                e.engine,
                self._engines[e.engine].host,
                e.state,
                e.slots,
                self._note(e),
                e.can.functions,
                tuple(sorted(e.can.services)),
                e.resources,
                e.resting,
            )
            for e in snapshot.engines
        )
        workers = tuple(
            m.WorkerInfo(w.worker, w.engine, self._engines[w.engine].pid(w.worker), w.stage) for w in snapshot.workers
        )
        return m.PoolChanged(engines, workers)
