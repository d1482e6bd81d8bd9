"""The child's loop: waits for messages and deadlines, asks the scheduler, performs. One thread.

A dead worker's obituary waits `OBITUARY_SECONDS`, while its last messages are read: what it told before it died
counts.
"""

from __future__ import annotations

import collections
import importlib.metadata
import logging
import os
import shutil
import sys
import time
from typing import TYPE_CHECKING

import psutil

from jupyter_dsage import settings
from jupyter_dsage.child import intake
from jupyter_dsage.child.engines.local import LocalEngine
from jupyter_dsage.child.payloads import Payloads
from jupyter_dsage.child.perform import Performer, tell
from jupyter_dsage.child.view import Views
from jupyter_dsage.core import events as e
from jupyter_dsage.core.scheduler import Scheduler
from jupyter_dsage.errors import PeerGoneError, ProtocolError
from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from jupyter_dsage.core.events import Event
    from jupyter_dsage.net.transport import FileLike, Network, Peer, Source
    from jupyter_dsage.wire.codec import Frame

log = logging.getLogger(__name__)


class Child:
    """One session's background process."""

    def __init__(self, setup: m.ChildSetup, network: Network, lifeline: FileLike) -> None:
        self._setup = setup
        self._network = network
        self._lifeline = lifeline
        self._clients = network.listen(f"ipc://{setup.folder}/client.sock")
        self._workers = network.listen(f"ipc://{setup.folder}/worker.sock")
        self._poller = network.poller()
        for source in (self._clients, self._workers, lifeline):
            self._poller.watch(source)
        self._scheduler = Scheduler()
        self._payloads = Payloads()
        self._engines: dict[str, LocalEngine] = {}
        self._views = Views(self._scheduler, setup.session)
        self._performer = Performer(
            self._scheduler, self._payloads, self._engines, self._clients, self._workers, self._views, self._watch
        )
        self._names: dict[Peer, int] = {}
        """Worker peers -> worker numbers."""
        self._obituaries: collections.deque[tuple[float, e.WorkerLost]] = collections.deque()
        self._leaving = ""
        self._next_owner_check = 0.0
        self._owner = _process(setup.owner, setup.owner_started)

    def run(self) -> None:
        """Serve until told to die, or until the owner is gone; leaves nothing behind."""
        log.info("session %s: child %d started in %s", self._setup.session, os.getpid(), self._setup.folder)
        try:
            for engine in self._setup.engines:
                self._open_engine(engine)
            while not self._leaving:
                self._step()
        except Exception:  # logged for the user, then raised again
            log.exception("the child ends because of a defect in jupyter_dsage; please report it")
            raise
        finally:
            self._clean_up()

    def _open_engine(self, engine: m.EngineSetup) -> None:
        setup = m.SupervisorSetup(self._workers.address, self._setup.folder, self._setup.cwd, self._setup.path)
        self._engines[engine.name] = LocalEngine(engine.name, setup)
        self._watch(self._engines[engine.name])
        log.info("engine %s: %d slots%s", engine.name, engine.slots, f" ({engine.note})" if engine.note else "")
        self._handle(e.EngineOpened(engine.name, engine.slots))

    def _watch(self, engine: LocalEngine) -> None:
        self._poller.watch(engine.link)

    def _step(self) -> None:
        ready = self._poller.wait(self._timeout())
        if self._workers in ready:
            self._read_workers()
        for engine in list(self._engines.values()):
            if engine.link in ready:
                self._read_supervisor(engine)
        if self._clients in ready:
            self._read_clients()
        self._read_lifeline(ready)
        now = time.monotonic()
        while self._obituaries and self._obituaries[0][0] <= now:
            self._bury(self._obituaries.popleft()[1])
        deadline = self._scheduler.next_deadline()
        if deadline is not None and deadline <= now:
            self._handle(e.TimePassed())
        self._performer.send_views(now)

    def _timeout(self) -> float:
        now = time.monotonic()
        times = [self._next_owner_check]
        if self._obituaries:
            times.append(self._obituaries[0][0])
        deadline = self._scheduler.next_deadline()
        times += [due for due in (deadline, self._views.next_due()) if due is not None]
        return max(0.0, min(times) - now)

    def _handle(self, event: Event) -> None:
        self._performer.perform(self._scheduler.handle(event, time.monotonic()))
        self._views.changed()

    # --- workers -------------------------------------------------------------------------------------------

    def _read_workers(self) -> None:
        while (got := self._workers.receive()) is not None:
            peer, frames = got
            try:
                self._from_worker(peer, *codec.from_worker(frames))
            except ProtocolError as error:
                log.warning("a worker's message was dropped: %s", error)

    def _from_worker(self, peer: Peer, message: m.Message, frames: list[Frame]) -> None:
        if isinstance(message, m.WorkerHello):
            self._names[peer] = message.worker
            self._performer.workers[message.worker] = (peer, message.pid)
            self._views.joined(message.worker, message.pid)
            self._handle(e.WorkerJoined(message.worker))
        elif isinstance(message, m.Report):
            if peer not in self._names:
                raise ProtocolError("A report came from a worker that has not joined.")
            self._report(self._names[peer], message, frames)

    def _report(self, worker: int, message: m.Report, frames: list[Frame]) -> None:
        event = intake.from_worker(worker, message)
        lease = self._scheduler.leases.get(message.lease)
        if lease is not None and lease.worker == worker:
            self._views.reported(worker, lease.batch, message, time.monotonic())
        self._performer.report = (worker, message, frames)
        self._handle(event)
        self._performer.report = None
        known = self._scheduler.pool.workers.get(worker)
        if known is not None and not known.leases:
            self._views.idle(worker)

    # --- supervisors ---------------------------------------------------------------------------------------

    def _read_supervisor(self, engine: LocalEngine) -> None:
        try:
            while (message := engine.receive()) is not None:
                event = intake.from_supervisor(message)
                if isinstance(event, e.WorkerLost):
                    self._obituaries.append((time.monotonic() + settings.OBITUARY_SECONDS, event))
                elif event is not None:
                    self._handle(event)
        except (PeerGoneError, ProtocolError) as error:
            self._supervisor_gone(engine, error)

    def _supervisor_gone(self, engine: LocalEngine, error: Exception) -> None:
        """Take every worker of a dead supervisor for lost: they die with it.

        The scheduler orders others in their place, and the first such order starts another supervisor.
        """
        self._poller.unwatch(engine.link)
        engine.leave()
        ending = engine.ending()
        log.error("engine %s: its supervisor ended with %s (%s)", engine.name, ending, error)
        story = m.Story(0, os.uname().nodename, 0, f"the end of its supervisor ({ending})", 0.0, 0, "")
        for worker in [w.number for w in self._scheduler.pool.workers.values() if w.engine == engine.name]:
            self._bury(e.WorkerLost(worker, None, None, story))

    def _bury(self, event: e.WorkerLost) -> None:
        if isinstance(event.story, m.Story) and event.story.ending != "exit code 0":
            log.warning("%s", tell(event.story))
        self._views.lost(event.worker)
        peer, _ = self._performer.workers.pop(event.worker, (None, 0))
        if peer is not None:
            self._names.pop(peer, None)
        self._handle(event)

    # --- clients -------------------------------------------------------------------------------------------

    def _read_clients(self) -> None:
        while not self._leaving and (got := self._clients.receive()) is not None:
            peer, frames = got
            try:
                self._from_client(peer, *codec.from_client(frames))
            except ProtocolError as error:
                log.warning("a client's message was refused: %s", error)
                self._answer(peer, m.Refused(str(error)))

    def _from_client(self, peer: Peer, message: m.Message, frames: list[Frame]) -> None:
        if isinstance(message, m.Hello):
            self._greet(peer, message)
            return
        if peer not in self._performer.clients:
            raise ProtocolError("The first message of a client is its hello.")
        if isinstance(message, m.Die):
            self._leaving = "die: the session ends, with its workers"
            return
        if isinstance(message, (m.Watch, m.Expect)):
            intake.check_batch(message.batch, self._scheduler)
            if isinstance(message, m.Watch):
                self._views.watch(message, peer)
            else:
                self._views.expect(message)
            return
        event = intake.from_client(message, frames, self._scheduler, self._payloads)
        if event is not None:
            self._handle(event)
        if isinstance(message, m.OpenBatch):
            self._views.opened(message.batch, time.monotonic())
        if isinstance(message, m.Refresh):
            count = len(self._scheduler.pool.workers)
            text = f"refresh: {count} workers are being replaced, busy ones when their jobs are done"
            log.info("%s", text)
            self._answer(peer, m.Answer(message.ask, text))

    def _greet(self, peer: Peer, hello: m.Hello) -> None:
        package = importlib.metadata.version("jupyter_dsage")
        python = "{}.{}".format(*sys.version_info)
        if (hello.package, hello.python) != (package, python):
            raise ProtocolError(
                f"The client runs jupyter_dsage {hello.package} on Python {hello.python}, the child {package} on "
                f"{python}: use the same on both sides."
            )
        self._performer.clients.add(peer)
        self._answer(peer, m.Welcome(self._setup.session, os.getpid(), package, python))
        self._answer(peer, self._performer.pool())

    def _answer(self, peer: Peer, message: m.Message) -> None:
        try:
            self._clients.send(peer, codec.encode(message))
        except PeerGoneError:
            self._performer.clients.discard(peer)

    # --- the end -------------------------------------------------------------------------------------------

    def _read_lifeline(self, ready: list[Source]) -> None:
        """Leave when the process that started this one is gone: by end-of-file, or by a look at the process.

        A fork of the owner keeps the pipe open beyond the owner's end; hence the look.
        """
        if self._lifeline in ready:
            self._leaving = "the process that started this session has ended"
        elif time.monotonic() >= self._next_owner_check:
            self._next_owner_check = time.monotonic() + settings.OWNER_CHECK_SECONDS
            if self._owner is None or not self._owner.is_running():
                self._leaving = "the process that started this session has ended"

    def _clean_up(self) -> None:
        log.info("%s", self._leaving or "leaving")
        for engine in self._engines.values():
            if not engine.gone:
                self._poller.unwatch(engine.link)
                engine.leave()
        deadline = time.monotonic() + settings.DIE_SECONDS - 0.5
        for engine in self._engines.values():
            engine.wait_gone(max(0.0, deadline - time.monotonic()))
        for listener in (self._clients, self._workers):
            self._poller.unwatch(listener)
            listener.close()
        self._poller.close()
        self._network.close()
        shutil.rmtree(self._setup.folder, ignore_errors=True)
        log.info("session %s: gone", self._setup.session)


def _process(pid: int, started: float) -> psutil.Process | None:
    """Return the process with this pid and start time (seconds since the epoch), or None if it is gone."""
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None
    return process if abs(process.create_time() - started) < 1 else None
