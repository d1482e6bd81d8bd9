"""The child's loop: waits for messages and deadlines, asks the scheduler, performs. One thread."""

from __future__ import annotations

import logging
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from jupyter_dsage import private_files, settings
from jupyter_dsage.child import intake
from jupyter_dsage.child.clients import Clients, Idle
from jupyter_dsage.child.desk import Desk
from jupyter_dsage.child.engines.engine import ModulesEdited, OutputSeen, Reported
from jupyter_dsage.child.payloads import Payloads
from jupyter_dsage.child.perform import Performer
from jupyter_dsage.child.recorder import Entry, Recorder
from jupyter_dsage.child.revival import Revival, suspicious
from jupyter_dsage.child.sights import Sights
from jupyter_dsage.child.stories import killed_child, tell, trouble, untrue
from jupyter_dsage.core import events as e
from jupyter_dsage.core.scheduler import Scheduler
from jupyter_dsage.core.states import State
from jupyter_dsage.errors import EngineError, MissingError, ProtocolError
from jupyter_dsage.net.last_pages import take_noted_jobs
from jupyter_dsage.net.sweep import sweep as sweep_processes
from jupyter_dsage.process_identity import lives
from jupyter_dsage.store.journal import Journal
from jupyter_dsage.store.sessions import remove_runtime_folder, sweep, sweep_runtime, took_over, write_connection
from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire.setup import EngineSetup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jupyter_dsage.child.engines.engine import Engine, News
    from jupyter_dsage.core.events import Event
    from jupyter_dsage.net.transport import FileLike, Network, Poller, Source
    from jupyter_dsage.wire.codec import Frame
    from jupyter_dsage.wire.setup import ChildSetup

    MakeEngine = Callable[[EngineSetup, m.SupervisorSetup, Network, Poller], Engine]

log = logging.getLogger(__name__)


class Child:
    """One session's background process."""

    def __init__(
        self,
        setup: ChildSetup,
        network: Network,
        lifeline: FileLike,
        make_engine: MakeEngine,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._setup = setup
        self._clock = clock
        self._network = network
        self._lifeline = lifeline
        self._make_engine = make_engine
        self._journal = Journal(setup.store) if setup.store else None
        self._listener = network.listen(f"ipc://{setup.folder}/client.sock")
        self._poller = network.poller()
        for source in (self._listener, lifeline) if not setup.stay else (self._listener,):
            self._poller.watch(source)
        self._recorder = Recorder(self._journal, self._poller.wake)
        self._clients = Clients(self._listener, setup.session, self._recorder)
        self._scheduler = Scheduler()
        self._payloads = Payloads(self._journal.payload if self._journal else None)
        self._engines: dict[str, Engine] = {}
        self._setups: dict[str, EngineSetup] = {}
        """How each engine was set up, for a child that may come after this one."""
        self._environment: tuple[tuple[str, str], ...] = ()
        """What a client had its workers get; empty: what this process has."""
        self._removed: list[Engine] = []
        """Engines that were let go of, and may still be ending."""
        self._sights = Sights(
            setup, self._scheduler, self._payloads, self._clients, self._engines, self._poller, self._is_here
        )
        self._views = self._sights.views
        self._edits = self._sights.edits
        self._performer = Performer(
            self._scheduler,
            self._payloads,
            self._engines,
            self._clients,
            self._recorder,
            self._views,
            self._edits,
            self._close_engine,
            self._handle,
        )
        self._desk = Desk(
            setup,
            self._scheduler,
            self._payloads,
            self._clients,
            self._recorder,
            self._performer,
            self._sights,
            self._handle,
            self.about_engine,
            self.set_environment,
            self.leave,
        )
        self._deadline: float | None = None
        """The scheduler's, as it was before this step: what came up since is the next step's."""
        self._notes: list[str] = []
        self._leaving = ""
        self._idle = Idle(setup.idle)
        self._revive()
        write_connection(setup.folder)
        self._touch_at = self._clock() + settings.TOUCH_SECONDS
        if setup.store and (before := took_over(setup)):
            sweep_processes(before)
            remove_runtime_folder(before)
            self._suspect()

    def run(self) -> None:
        """Serve until told to die, or until nobody needs it; leaves nothing behind but its journal."""
        log.info("session %s: child %d started in %s", self._setup.session, os.getpid(), self._setup.folder)
        try:
            self.open()
            for session in sweep() if self._journal else ():
                log.info("the journal of session %s was removed: it was too old, or all together too large", session)
            while not self._leaving:
                self.step()
        except Exception:  # logged for the user, then raised again
            log.exception("the child ends because of a defect in jupyter_dsage; please report it")
            raise
        finally:
            self._clean_up()

    def open(self) -> None:
        """Open the engines."""
        self._open_engines(self._wanted_engines())

    def step(self) -> None:
        """Wait for what is next, and do it."""
        ready = self._poller.wait(self._timeout())
        now = self._clock()
        for engine in list(self._engines.values()):
            for news in engine.read(ready, now):
                if self._engines.get(engine.name) is engine:  # the news before may have been its last
                    self._hear(engine, news)
        while self._listener in ready and not self._leaving and (got := self._listener.receive()) is not None:
            self._desk.take(*got)
        self._flush(now)  # somebody may wait for what this tells: the rest comes after it
        self._tell_notes()
        self._sights.read(ready, now)
        self._look_after_clients(ready)
        now = self._clock()
        if self._deadline is not None and self._deadline <= now:
            self._handle(e.TimePassed())
        self._desk.tell_past()
        self._desk.additions.look_after(now)
        self._flush(now)
        self._clients.acknowledge(self._recorder.take_stored(), now)
        self._performer.settle()
        self._performer.send_views(now)
        self._sights.session.send(self._clients, now)

    def _flush(self, now: float) -> None:
        """Commit and tell what is due; before a client is told of the past, all."""
        if self._desk.telling:
            self._recorder.flush()
        else:
            self._recorder.flush_due(now)
        self._clients.flush()

    def _revive(self) -> None:
        """Take up what an earlier child of this session left in the journal."""
        if self._journal is None:
            return
        if not self._journal.meta("lineage"):
            self._recorder.note("lineage", os.urandom(16).hex())
        revival = Revival(self._journal, self._scheduler, self._payloads, self._handle, self._desk.opened)
        rows = revival.replay()
        for told in revival.errors:
            self._views.restored(told)
        self._performer.settle()
        self._recorder.flush()
        if rows:
            log.info("session %s: revived from %d rows of its journal", self._setup.session, rows)

    def _suspect(self) -> None:
        """Suspect the jobs that ran when the child before this one was killed: one of them may have done it.

        That is written down: one that does it again and again is found out, though no child outlives it.
        """
        for batch, job, at in take_noted_jobs(self._setup.store):
            if batch in self._scheduler.batches and suspicious(at):
                log.warning("job %d of batch %d ran when the background process was killed", job, batch)
                self._recorder.put(Entry(0, codec.encode(m.Suspected(batch, job, at))[0]))
                self._handle(e.JobSuspected(batch, job, killed_child()))
        self._performer.settle()
        self._recorder.flush()

    def _tell_notes(self) -> None:
        """Tell the clients what is to be said of engines, when that has changed though no worker has."""
        notes = [engine.note for engine in self._engines.values()] + [self._edits.note()]
        if notes != self._notes:
            self._notes = notes
            self._clients.tell(self._performer.pool())

    def _timeout(self) -> float:
        """Return how long to wait at most, for the scheduler's deadline among others."""
        self._deadline = self._scheduler.next_deadline()
        if self._desk.telling:
            return 0.0
        times = [self._clients.next_due()]
        dues = [engine.next_due() for engine in self._engines.values()]
        dues += [self._deadline, self._idle.next_due(), self._recorder.next_due()]
        dues += [*self._sights.dues(), self._desk.additions.next_due()]
        times += [due for due in dues if due is not None]
        return max(0.0, min(times) - self._clock())

    def _wanted_engines(self) -> tuple[EngineSetup, ...]:
        """Return the engines that the session has: those it was started with, or had when its last child ended."""
        kept = self._journal.meta("engines") if self._journal else ""
        return msgspec.json.decode(kept, type=tuple[EngineSetup, ...]) if kept else self._setup.engines

    def _keep_engines(self) -> None:
        if self._journal:
            self._recorder.note("engines", msgspec.json.encode(tuple(self._setups.values())).decode())

    def _handle(self, event: Event) -> None:
        self._performer.perform(self._scheduler.handle(event, self._clock()))
        self._views.changed()

    # --- engines -------------------------------------------------------------------------------------------

    def _open_engines(self, setups: Iterable[EngineSetup]) -> None:
        """Open engines; the scheduler is told of all of them first, for what one cannot run waits for another."""
        made = [(self._made(setup), setup) for setup in setups]
        for engine, setup in made:
            self._handle(e.EngineAdded(engine.name, setup.resources, setup.idle))
        for engine, _ in made:
            for event in engine.open():
                self._handle(event)

    def _made(self, setup: EngineSetup) -> Engine:
        place = (self._setup.cwd, self._setup.path)
        host = m.SupervisorSetup("", self._setup.folder, *place, keep=self._setup.store, follow=True)
        lineage = self._journal.meta("lineage") if self._journal else ""
        engine = self._make_engine(msgspec.structs.replace(setup, lineage=lineage), host, self._network, self._poller)
        if self._environment:
            engine.set_environment(self._environment)
        self._engines[engine.name] = engine
        self._setups[engine.name] = setup
        self._keep_engines()
        log.info("engine %s: %d slots%s", engine.name, setup.slots, f" ({setup.note})" if setup.note else "")
        return engine

    def _is_here(self, engine: str) -> bool:
        """Tell whether an engine's workers are processes of this host, started for this session."""
        return not self._setups[engine].host

    def _close_engine(self, name: str) -> None:
        engine = self._engines.pop(name)
        engine.leave()
        self._removed.append(engine)
        self._setups.pop(name, None)
        self._keep_engines()
        log.info("engine %s: removed", name)

    def _hear(self, engine: Engine, news: Event | News) -> None:
        if isinstance(news, Reported):
            try:
                self._report(news.worker, news.report, news.frames)
            except ProtocolError as error:
                log.warning("worker %d of engine %s is ended: %s", news.worker, engine.name, error)
                story = untrue(news.worker, engine.host, engine.pid(news.worker), str(error))
                self._handle(e.ReportRefused(news.worker, news.report.lease, story))
            return
        if isinstance(news, OutputSeen):
            self._sights.looks.seen(news)
            return
        if isinstance(news, ModulesEdited):
            self._edits.seen(news)
            self._views.changed()
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
        event = intake.from_report(worker, message, frames)
        lease = self._scheduler.leases.get(message.lease)
        if lease is not None and lease.worker != worker:
            raise ProtocolError(f"Worker {worker} sent a report on a lease of worker {lease.worker}.")
        if lease is not None and not lease.first <= message.first <= message.stop <= lease.stop:
            raise ProtocolError(f"Worker {worker} sent a report on jobs that are not in its lease.")
        if lease is not None:
            self._views.reported(worker, lease.batch, message, self._clock())
        self._performer.report = (worker, message, frames)
        self._handle(event)
        self._performer.report = None
        known = self._scheduler.pool.workers.get(worker)
        if known is not None and not known.leases:
            self._views.idle(worker)

    def set_environment(self, variables: Iterable[tuple[str, str]]) -> None:
        """Have workers of this host that start from now on get an environment; what `spawn` was given stays in it."""
        self._environment = tuple({**dict(variables), **dict(self._setup.env)}.items())
        for engine in self._engines.values():
            engine.set_environment(self._environment)

    def about_engine(self, message: m.AddEngine | m.RemoveEngine | m.ScaleEngine) -> str:
        """Add, remove or scale an engine; return what was done, in one sentence."""
        name = message.engine.name if isinstance(message, m.AddEngine) else message.engine
        if (name in self._engines) == isinstance(message, m.AddEngine):
            if isinstance(message, m.AddEngine):
                raise EngineError(f"The engine {name!r} is there already.")
            raise MissingError(f"There is no engine {name!r}; there is {', '.join(self._engines) or 'none'}.")
        match message:
            case m.AddEngine():
                self._open_engines([message.engine])
                return f"The engine {name} was added."
            case m.RemoveEngine():
                if not any(one.state != "leaving" for one in self._scheduler.pool.engines.values() if one.name != name):
                    text = f"{name!r} is the only engine: add another first, or end the session with die()."
                    raise EngineError(text)
                self._handle(e.RemovalAsked(name, message.now))
                return f"The engine {name} goes {'now' if message.now else 'when its running jobs have ended'}."
            case m.ScaleEngine():
                if not self._scheduler.pool.engines[name].can.scale:
                    raise EngineError(f"The engine {name!r} keeps its number of slots.")
                self._setups[name] = msgspec.structs.replace(self._setups[name], slots=message.slots)
                self._keep_engines()
                for event in self._engines[name].scale(message.slots):
                    self._handle(event)
                return f"The engine {name} is to run {message.slots} job{'' if message.slots == 1 else 's'} at once."

    # --- the end -------------------------------------------------------------------------------------------

    def _look_after_clients(self, ready: list[Source]) -> None:
        """Let go of clients that are gone, and leave when nobody needs this child any more.

        The owner's end shows by end-of-file, or, since a fork of the owner may keep the pipe open, by a look at it.
        """
        now = self._clock()
        looking = self._clients.check_due(now)
        for peer in self._clients.check(now):
            self._desk.part(peer)
        if looking:
            self._desk.note_undrawn()
            self._recorder.tidy(now)
            self._keep_reachable(now)
        if self._setup.stay:
            busy = self._clients.staying or self._working() or not self._recorder.idle
            if self._idle.over(busy=busy, now=now):
                self._leaving = f"it had neither work nor a client for {self._setup.idle:.0f} s"
        elif self._lifeline in ready or (looking and not lives(self._setup.owner, self._setup.owner_started)):
            self._leaving = "the process that started this session has ended"

    def _keep_reachable(self, now: float) -> None:
        """Let others find this child though its folder was cleaned, as systems do with what is old in /tmp."""
        folder = Path(self._setup.folder)
        try:
            if now >= self._touch_at or not (folder / "connection.json").exists():
                self._touch_at = now + settings.TOUCH_SECONDS
                private_files.make_folder(folder)
                write_connection(self._setup.folder)
                for path in folder.rglob("*"):
                    os.utime(path, follow_symlinks=False)
            self._listener.keep()
        except OSError as error:
            log.warning("%s cannot be kept as it was: %s", folder, error)

    def leave(self, why: str) -> None:
        """End with this step; one sentence says why."""
        self._leaving = why

    def _working(self) -> bool:
        """Tell whether jobs run, or wait and may run."""
        return any(b.jobs.count(State.RUNNING) or b.hungry() for b in self._scheduler.batches.values())

    def _clean_up(self) -> None:
        log.info("%s", self._leaving or "leaving")
        self._sights.spares.close()
        for engine in self._engines.values():
            engine.leave()
        deadline = self._clock() + settings.DIE_SECONDS - 0.5
        for engine in (*self._engines.values(), *self._removed):
            engine.wait_gone(max(0.0, deadline - self._clock()))
        self._recorder.close()
        self._clients.flush()
        if self._leaving:  # else it is a defect, and the clients have another child try it
            self._clients.tell_all(m.Leaving(self._leaving))
        self._poller.unwatch(self._listener)
        self._listener.close()
        self._poller.close()
        self._network.close()
        shutil.rmtree(self._setup.folder, ignore_errors=True)
        sweep_runtime(os.path.dirname(self._setup.folder))  # noqa: PTH120
        log.info("session %s: gone", self._setup.session)
