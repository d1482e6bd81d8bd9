"""From commands to messages: carries out what the scheduler orders, and decides nothing."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from jupyter_dsage.child.stories import tale, tell, trouble
from jupyter_dsage.core import commands as c
from jupyter_dsage.errors import PeerGoneError
from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jupyter_dsage.child.engines.engine import Engine
    from jupyter_dsage.child.payloads import Payloads
    from jupyter_dsage.child.view import Views
    from jupyter_dsage.core.commands import Command
    from jupyter_dsage.core.scheduler import Scheduler
    from jupyter_dsage.net.transport import Listener, Peer
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
        to_clients: Listener,
        views: Views,
        close: Callable[[str], None],
    ) -> None:
        self._scheduler = scheduler
        self._payloads = payloads
        self._engines = engines
        self._to_clients = to_clients
        self._views = views
        self._close = close
        """Lets go of an engine that was removed."""
        self.clients: set[Peer] = set()
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
                self._views.leased(command.worker, time.monotonic())
                self._engines[self._scheduler.pool.workers[command.worker].engine].grant(command, self._payloads)
            case c.TellOutcomes():
                self._tell_outcomes(command)
            case c.TellLost():
                story = tale(command.story)
                self._views.failed(command.batch, command.runs, tell(story))
                self.tell_clients(m.Lost(command.batch, command.runs, story, command.attempts, command.failed))
            case c.TellCancelled():
                self.tell_clients(m.Cancelled(command.batch, command.runs))
            case c.TellPool():
                self.tell_clients(self.pool())
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
            self._payloads.drop(segment)
            for engine in self._engines.values():
                engine.forget(segment)
        self._drops.clear()

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
        seconds = self._scheduler.batches[order.batch].seconds or 0.0
        outcomes = m.Outcomes(
            order.batch, report.first, report.stop, order.runs, order.failed, seconds, worker, order.attempts
        )
        self.tell_clients(outcomes, *frames)

    def tell_clients(self, message: m.Message, *frames: Frame) -> None:
        """Send a message to every client; one that is gone is forgotten."""
        data = codec.encode(message, *frames)
        for peer in list(self.clients):
            try:
                self._to_clients.send(peer, data)
            except PeerGoneError:
                self.clients.discard(peer)

    def send_views(self, now: float) -> None:
        """Send the views that are due."""
        for peers, batch, data in self._views.due(now):
            message = codec.encode(m.View(batch), data)
            for peer in peers:
                try:
                    self._to_clients.send(peer, message)
                except PeerGoneError:
                    self._views.forget(peer)

    def pool(self) -> m.PoolChanged:
        """Return the engines and workers as clients see them."""
        snapshot = self._scheduler.snapshot()
        engines = tuple(
            m.EngineInfo(
                e.engine,
                self._engines[e.engine].host,
                e.state,
                e.slots,
                trouble(e.failure) or self._engines[e.engine].note,
                e.can.functions,
                tuple(sorted(e.can.services)),
            )
            for e in snapshot.engines
        )
        workers = tuple(
            m.WorkerInfo(w.worker, w.engine, self._engines[w.engine].pid(w.worker), w.stage) for w in snapshot.workers
        )
        return m.PoolChanged(engines, workers)
