"""From commands to messages: carries out what the scheduler orders, and decides nothing."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from jupyter_dsage.core import commands as c
from jupyter_dsage.errors import PeerGoneError
from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jupyter_dsage.child.engines.local import LocalEngine
    from jupyter_dsage.child.payloads import Payloads
    from jupyter_dsage.child.view import Views
    from jupyter_dsage.core.commands import Command
    from jupyter_dsage.core.scheduler import Scheduler
    from jupyter_dsage.net.transport import Listener, Peer
    from jupyter_dsage.wire.codec import Frame

log = logging.getLogger(__name__)


class Performer:
    """Knows which peer each worker is and who the clients are."""

    def __init__(
        self,
        scheduler: Scheduler,
        payloads: Payloads,
        engines: dict[str, LocalEngine],
        to_clients: Listener,
        to_workers: Listener,
        views: Views,
        opened: Callable[[LocalEngine], None],
    ) -> None:
        self._opened = opened
        """Told of an engine whose supervisor had died and was started anew."""
        self._views = views
        self._scheduler = scheduler
        self._payloads = payloads
        self._engines = engines
        self._to_clients = to_clients
        self._to_workers = to_workers
        self.clients: set[Peer] = set()
        self.workers: dict[int, tuple[Peer, int]] = {}
        """Worker -> (peer, pid)."""
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
                self._views.failed(command.batch, command.runs, tell(command.story))
                self.tell_clients(m.Lost(command.batch, command.runs, command.story, command.attempts))
            case c.TellCancelled():
                self.tell_clients(m.Cancelled(command.batch, command.runs))
            case c.TellPool():
                self.tell_clients(self.pool())
            case c.DropSegment():
                self._payloads.drop(command.segment)
            case c.StartWorker():
                self._start(command)
            case c.StopWorker():
                self._to_worker(command.worker, m.Leave())
            case c.KillWorker():
                self._engines[command.engine].kill(command.worker)
            case c.RecallLease():
                self._engines[command.engine].recall(command)
            case c.EndJob():
                self._engines[command.engine].end_job(command)

    def _start(self, order: c.StartWorker) -> None:
        engine = self._engines[order.engine]
        if engine.gone:
            engine.open()
            self._opened(engine)
        engine.start(order)

    def _to_worker(self, worker: int, message: m.Message, *frames: Frame) -> None:
        if worker not in self.workers:
            raise PeerGoneError(f"Worker {worker} is not connected.")
        self._to_workers.send(self.workers[worker][0], codec.encode(message, *frames))

    def _send_lease(self, order: c.SendLease) -> None:
        if order.with_function:
            function, frames = self._payloads.function(order.function)
            self._to_worker(order.worker, function, *frames)
        self._views.leased(order.worker, time.monotonic())
        segment = [self._payloads.segment(order.segment)] if order.with_segment else []
        self._to_worker(
            order.worker,
            m.RunJobs(order.lease, order.function, order.segment, order.offset, order.first, order.stop, order.drop),
            *segment,
        )

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
        """Return the workers and slots as clients see them."""
        snapshot = self._scheduler.snapshot()
        workers = tuple(
            m.WorkerInfo(w.worker, w.engine, self.workers.get(w.worker, (b"", 0))[1], w.stage) for w in snapshot.workers
        )
        failures = tuple(
            f"The engine {engine.engine!r} cannot start workers: {tell(engine.failure)}"
            for engine in snapshot.engines
            if isinstance(engine.failure, m.Story)
        )
        return m.PoolChanged(workers, sum(engine.slots for engine in snapshot.engines), failures)


def tell(story: m.Story) -> str:
    """Return a story as one sentence."""
    lines = story.output.strip().splitlines()
    last = f"; its last line: {lines[-1]}" if lines else ""
    return f"worker {story.worker} (pid {story.pid}) on {story.host} ended with {story.ending}{last}"
