"""The child's loop: waits for messages and deadlines, asks the scheduler, performs. One thread."""

from __future__ import annotations

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
from jupyter_dsage.child.engines.engine import Reported
from jupyter_dsage.child.payloads import Payloads
from jupyter_dsage.child.perform import Performer
from jupyter_dsage.child.stories import tell, trouble
from jupyter_dsage.child.view import Views
from jupyter_dsage.core import events as e
from jupyter_dsage.core.scheduler import Scheduler
from jupyter_dsage.errors import DsageError, EngineError, PeerGoneError, ProtocolError
from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.child.engines.engine import Engine
    from jupyter_dsage.core.events import Event
    from jupyter_dsage.net.transport import FileLike, Network, Peer, Poller, Source
    from jupyter_dsage.wire.codec import Frame
    from jupyter_dsage.wire.setup import ChildSetup, EngineSetup

    MakeEngine = Callable[[EngineSetup, m.SupervisorSetup, Network, Poller], Engine]

log = logging.getLogger(__name__)


class Child:
    """One session's background process."""

    def __init__(self, setup: ChildSetup, network: Network, lifeline: FileLike, make_engine: MakeEngine) -> None:
        self._setup = setup
        self._network = network
        self._lifeline = lifeline
        self._make_engine = make_engine
        self._clients = network.listen(f"ipc://{setup.folder}/client.sock")
        self._poller = network.poller()
        for source in (self._clients, lifeline):
            self._poller.watch(source)
        self._scheduler = Scheduler()
        self._payloads = Payloads()
        self._engines: dict[str, Engine] = {}
        self._removed: list[Engine] = []
        """Engines that were let go of, and may still be ending."""
        self._views = Views(self._scheduler, setup.session, self._engines)
        self._performer = Performer(
            self._scheduler, self._payloads, self._engines, self._clients, self._views, self._close_engine
        )
        self._notes: list[str] = []
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

    def _step(self) -> None:
        ready = self._poller.wait(self._timeout())
        now = time.monotonic()
        for engine in list(self._engines.values()):
            for news in engine.read(ready, now):
                if self._engines.get(engine.name) is engine:  # the news before may have been its last
                    self._hear(engine, news)
        self._tell_notes()
        if self._clients in ready:
            self._read_clients()
        self._read_lifeline(ready)
        now = time.monotonic()
        deadline = self._scheduler.next_deadline()
        if deadline is not None and deadline <= now:
            self._handle(e.TimePassed())
        self._performer.settle()
        self._performer.send_views(now)

    def _tell_notes(self) -> None:
        """Tell the clients what is to be said of engines, when that has changed though no worker has."""
        notes = [engine.note for engine in self._engines.values()]
        if notes != self._notes:
            self._notes = notes
            self._performer.tell_clients(self._performer.pool())

    def _timeout(self) -> float:
        times = [self._next_owner_check]
        dues = [engine.next_due() for engine in self._engines.values()]
        dues += [self._scheduler.next_deadline(), self._views.next_due()]
        times += [due for due in dues if due is not None]
        return max(0.0, min(times) - time.monotonic())

    def _handle(self, event: Event) -> None:
        self._performer.perform(self._scheduler.handle(event, time.monotonic()))
        self._views.changed()

    # --- engines -------------------------------------------------------------------------------------------

    def _open_engine(self, setup: EngineSetup) -> None:
        host = m.SupervisorSetup("", self._setup.folder, self._setup.cwd, self._setup.path)
        engine = self._make_engine(setup, host, self._network, self._poller)
        self._engines[engine.name] = engine
        log.info("engine %s: %d slots%s", engine.name, setup.slots, f" ({setup.note})" if setup.note else "")
        for event in engine.open():
            self._handle(event)

    def _close_engine(self, name: str) -> None:
        engine = self._engines.pop(name)
        engine.leave()
        self._removed.append(engine)
        log.info("engine %s: removed", name)

    def _hear(self, engine: Engine, news: Event | Reported) -> None:
        if isinstance(news, Reported):
            try:
                self._report(news.worker, news.report, news.frames)
            except ProtocolError as error:
                log.warning("a report of engine %s was dropped: %s", engine.name, error)
            return
        if isinstance(news, e.WorkerLost):
            if isinstance(news.story, m.Story) and news.story.ending != "exit code 0":
                log.warning("%s", tell(news.story))
            self._views.lost(news.worker)
        elif isinstance(news, e.EngineFailed):
            log.error("engine %s: %s", engine.name, trouble(news.story))
        elif isinstance(news, e.EngineOpened):
            log.info("engine %s is open: %d slots on %s", engine.name, news.slots, engine.host)
        elif isinstance(news, e.EngineAway):
            log.warning("engine %s does not answer: its jobs are moved, and it is dialled again", engine.name)
        elif isinstance(news, e.EngineBack):
            log.info("engine %s is back", engine.name)
        self._handle(news)

    def _report(self, worker: int, message: m.Report, frames: list[Frame]) -> None:
        event = intake.from_report(worker, message)
        lease = self._scheduler.leases.get(message.lease)
        if lease is not None and lease.worker == worker:
            self._views.reported(worker, lease.batch, message, time.monotonic())
        self._performer.report = (worker, message, frames)
        self._handle(event)
        self._performer.report = None
        known = self._scheduler.pool.workers.get(worker)
        if known is not None and not known.leases:
            self._views.idle(worker)

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
        if isinstance(message, (m.AddEngine, m.RemoveEngine, m.ScaleEngine)):
            try:
                answer = m.Answer(message.ask, self._about_engine(message))
            except DsageError as error:
                answer = m.Answer(message.ask, str(error), failed=True)
            self._answer(peer, answer)
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

    def _about_engine(self, message: m.AddEngine | m.RemoveEngine | m.ScaleEngine) -> str:
        """Add, remove or scale an engine; return what was done, in one sentence."""
        name = message.engine.name if isinstance(message, m.AddEngine) else message.engine
        if (name in self._engines) == isinstance(message, m.AddEngine):
            raise EngineError(f"The engine {name!r} is {'there already' if name in self._engines else 'not there'}.")
        match message:
            case m.AddEngine():
                self._open_engine(message.engine)
                return f"The engine {name} was added."
            case m.RemoveEngine():
                self._handle(e.RemovalAsked(name, message.now))
                return f"The engine {name} goes {'now' if message.now else 'when its running jobs have ended'}."
            case m.ScaleEngine():
                if not self._scheduler.pool.engines[name].can.scale:
                    raise EngineError(f"The engine {name!r} keeps its number of slots.")
                for event in self._engines[name].scale(message.slots):
                    self._handle(event)
                return f"The engine {name} is to run {message.slots} job{'' if message.slots == 1 else 's'} at once."

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
            engine.leave()
        deadline = time.monotonic() + settings.DIE_SECONDS - 0.5
        for engine in (*self._engines.values(), *self._removed):
            engine.wait_gone(max(0.0, deadline - time.monotonic()))
        self._poller.unwatch(self._clients)
        self._clients.close()
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
