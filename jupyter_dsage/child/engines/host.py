"""An engine that is reached by a link: a worker server, a host by ssh, an adapter of another scheduler.

Functions and segments go there once, and are shared by its workers; leases and reports go over the link. While it is
down the workers there run on and hold what they have to tell; after `AWAY_SECONDS` of silence their jobs run
elsewhere, and what they tell later is taken if it comes first. How the link is made is its `Way`'s.
"""

from __future__ import annotations

import importlib.metadata
import logging
import secrets
import sys
import time
from typing import TYPE_CHECKING, Protocol

from jupyter_dsage import settings
from jupyter_dsage.child import intake
from jupyter_dsage.child.engines.engine import heard
from jupyter_dsage.child.engines.local import run_jobs
from jupyter_dsage.core import events as e
from jupyter_dsage.core.pool import Abilities
from jupyter_dsage.net import squeeze
from jupyter_dsage.version import VERSION
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire import remote

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from jupyter_dsage.child.engines.engine import News
    from jupyter_dsage.child.payloads import Payloads
    from jupyter_dsage.core import commands as c
    from jupyter_dsage.core.events import Event
    from jupyter_dsage.net.transport import Source
    from jupyter_dsage.wire.codec import Frame
    from jupyter_dsage.wire.setup import EngineSetup

log = logging.getLogger(__name__)


class Outgoing(Protocol):
    """What is said over a link; see `net.talk.Talk`."""

    @property
    def got(self) -> int:
        """All up to this number has arrived whole; 0 where nothing is numbered."""

    def post(self, worker: int, message: m.Message, *frames: Frame) -> None:
        """Send a message now or when there is a link again. `worker`: whom it is for (0: the host)."""

    def restart(self) -> None:
        """Forget what was posted: the other side knows nothing of us any more."""


class Way(Protocol):
    """How a host is reached: makes the link, greets, and makes it anew when it drops. See `net.redialer.Redialer`."""

    @property
    def talk(self) -> Outgoing:
        """What is said to the other side."""

    up: bool
    """Whether the link stands and the other side has admitted us."""
    trouble: str
    """Why it is not up, in words; empty while nothing is known to be wrong."""
    refused: bool
    """Whether the last attempt ended for good reason: to try again soon is of little use."""
    heard_at: float
    """When the other side was heard last (monotonic seconds)."""
    latency: float
    """Seconds there and back."""
    patience: float
    """Seconds that the first dialling may take before the host counts as out of reach."""

    def next_due(self) -> float:
        """Return when to call `read` though nothing is ready."""

    def dial_now(self) -> None:
        """Do not wait until the next attempt is due."""

    def read(self, now: float) -> list[tuple[int, m.Message, list[Frame]]]:
        """Return what was heard, in order: (worker, message, payload). An `Admitted` stands before what follows."""

    def close(self, last: m.Message | None = None) -> None:
        """Let go of the other side; `last`: said before, if the link is up."""


class HostEngine:
    """See `engine.Engine`. `way`: makes the way there, given what makes the greeting; `certificate`: said in it."""

    def __init__(
        self, setup: EngineSetup, way: Callable[[Callable[[], remote.Dial]], Way], certificate: str = ""
    ) -> None:
        self.name = setup.name
        self.host = setup.host
        self.note = setup.note
        self._setup = setup
        self._slots = setup.slots
        self._token = secrets.token_hex(16)
        self._certificate = certificate
        self._way = way(self._hello)
        self._open = False
        """Whether the scheduler takes it for open: its workers are known there."""
        self._granted = 0
        self._away = False
        self._latency = 0.0
        self._failed = False
        self._down_since = time.monotonic()
        self._workers: dict[int, int] = {}
        """Worker -> pid on its host, 0 until it has joined."""
        self._functions: set[str] = set()
        """Those that the host has."""
        self._segments: set[int] = set()

    def _hello(self) -> remote.Dial:
        return remote.Dial(
            settings.PROTOCOL,
            VERSION,
            "{}.{}".format(*sys.version_info),
            importlib.metadata.version("cloudpickle"),
            self._token,
            self._slots,
            self._setup.linger,
            self._way.talk.got,
            self._certificate,
            self._setup.lineage,
            squeeze.present(),
        )

    # --- out -----------------------------------------------------------------------------------------------

    def open(self) -> list[Event]:
        """See `engine.Engine`."""
        return [e.EngineAdded(self.name)]

    def reopen(self) -> None:
        """See `engine.Engine`."""
        self._failed = self._way.refused = False
        self._down_since = time.monotonic()
        self._way.dial_now()

    def scale(self, slots: int) -> list[Event]:
        """See `engine.Engine`. The server answers with what it has to give."""
        self._slots = slots
        self._order(remote.WantSlots(slots))
        return []

    def set_environment(self, variables: tuple[tuple[str, str], ...]) -> None:
        """See `engine.Engine`. Workers there have the environment of their own host."""

    def start(self, worker: int) -> None:
        """See `engine.Engine`."""
        self._workers[worker] = 0
        self._order(m.SpawnWorker(worker))

    def stop(self, worker: int) -> None:
        """See `engine.Engine`."""
        self._way.talk.post(worker, m.Leave())

    def kill(self, worker: int) -> None:
        """See `engine.Engine`."""
        self._order(m.KillWorker(worker))

    def grant(self, lease: c.SendLease, payloads: Payloads) -> None:
        """See `engine.Engine`."""
        if lease.function not in self._functions:
            self._functions.add(lease.function)
            message, frames = payloads.function(lease.function)
            self._way.talk.post(remote.DEPOSIT, message, *frames)
        if lease.segment not in self._segments:
            self._segments.add(lease.segment)
            segment = payloads.segment(lease.segment)
            self._way.talk.post(remote.DEPOSIT, remote.Segment(lease.segment), segment)
        grant = remote.Grant(run_jobs(lease), lease.with_function, lease.with_segment)
        self._way.talk.post(lease.worker, grant)

    def forget(self, segment: int) -> None:
        """See `engine.Engine`."""
        if segment in self._segments:
            self._segments.remove(segment)
            self._order(remote.Forget((segment,)))

    def recall(self, order: c.RecallLease) -> None:
        """See `engine.Engine`."""
        self._order(m.Recall(order.worker, order.lease, order.first, order.stop))

    def end_job(self, order: c.EndJob) -> None:
        """See `engine.Engine`."""
        self._order(m.EndJob(order.worker, order.lease, order.first, order.stop))

    def look(self, ask: int, worker: int, lease: int, job: int) -> None:
        """See `engine.Engine`."""
        self._order(m.ReadOutput(ask, worker, lease, job))

    def _order(self, message: m.Message) -> None:
        self._way.talk.post(0, message)

    def pid(self, worker: int) -> int:
        """See `engine.Engine`."""
        return self._workers.get(worker, 0)

    # --- in ------------------------------------------------------------------------------------------------

    def next_due(self) -> float | None:
        """See `engine.Engine`."""
        due = self._way.next_due()
        if self._open and not self._way.up:
            due = min(due, self._way.heard_at + (self._setup.linger if self._away else settings.AWAY_SECONDS))
        return due

    def read(self, ready: Collection[Source], now: float) -> list[Event | News]:  # noqa: ARG002
        """See `engine.Engine`."""
        news: list[Event | News] = []
        for worker, message, frames in self._way.read(now):
            if isinstance(message, remote.Admitted):
                news += self._admitted(message)
            elif isinstance(message, m.Refused):
                news += self._lose(f"{self.name} refuses: {message.reason}")
            elif isinstance(message, remote.Granted):
                self._note_slots(message.slots)
                news.append(e.EngineScaled(self.name, message.slots))
            elif worker and worker not in self._workers:
                log.warning("engine %s: news of worker %d, which is not there, were dropped", self.name, worker)
            elif (other := heard(worker, message, frames)) is not None:
                news.append(other)
            else:
                news += self._told(worker, message)
        return news + self._measured() + self._watch(now)

    def _measured(self) -> list[Event | News]:
        """Tell how far away the host is, when that has changed."""
        latency = self._way.latency
        if not self._open or abs(latency - self._latency) <= max(settings.LATENCY_STEP * self._latency, 0.001):
            return []
        self._latency = latency
        return [e.LatencyMeasured(self.name, latency)]

    def _told(self, worker: int, message: m.Message) -> list[Event | News]:
        """Return what news of a worker stand for. A server speaks for its own workers only."""
        event = intake.from_host(message)
        about = getattr(message, "worker", worker)
        if event is None or about not in self._workers:
            return []
        if isinstance(message, m.WorkerHello):
            self._workers[about] = message.pid
        elif isinstance(message, m.WorkerGone):
            del self._workers[about]
        return [event]

    def _watch(self, now: float) -> list[Event | News]:
        """Tell what silence means: away after a while, failed after a longer one."""
        way = self._way
        if way.up:
            self._down_since = now
            return []
        silent = now - (way.heard_at if self._open else self._down_since)
        self.note = self._trouble(silent)
        if self._open:
            if silent >= self._setup.linger:
                return self._lose(f"{self.name} has not answered for {silent:.0f} s ({way.trouble})")
            if silent >= settings.AWAY_SECONDS and not self._away:
                self._away = True
                return [e.EngineAway(self.name)]
        elif (silent >= way.patience or way.refused) and not self._failed:
            return self._lose(f"{self.name} cannot be reached: {way.trouble or 'no answer'}")
        return []

    def _trouble(self, silent: float) -> str:
        why = self._way.trouble
        if self._away:
            return f"no answer for {silent:.0f} s ({why}); its jobs were moved; dialling again"
        return f"{why}; dialling again" if why else self._setup.note

    def _admitted(self, message: remote.Admitted) -> list[Event | News]:
        self.host = message.host
        was_open, was_away = self._open, self._away
        self._open, self._away, self._failed = True, False, False
        self._note_slots(message.slots)
        if was_open and message.resumed:
            return [e.EngineBack(self.name)] if was_away else []
        news = self._lost_workers("its server was started anew, or had given it up")
        self._functions.clear()
        self._segments.clear()
        self._know()
        can = Abilities(functions=message.functions, services=frozenset(message.services))
        return [*news, e.EngineOpened(self.name, message.slots, can, self._way.latency)]

    def _note_slots(self, slots: int) -> None:
        self._granted = slots
        self.note = self._setup.note if slots else "all of its slots are taken by others"

    def _know(self) -> None:
        """Do what is to be done when the host has answered anew."""

    @property
    def slots(self) -> int:
        """How many jobs run there at once, as it answered last; 0 while it is not open."""
        return self._granted if self._open else 0

    @property
    def workers(self) -> Collection[int]:
        """The workers that are there, or on their way."""
        return self._workers.keys()

    def give_up(self, why: str) -> list[Event | News]:
        """Lose its workers at once, for somebody knows that they are gone."""
        return self._lose(why)

    def _lose(self, why: str) -> list[Event | News]:
        """Give the engine up, until it answers after all or somebody wants it again."""
        if self._failed:
            return []
        self._open, self._away, self._failed = False, False, True
        news = self._lost_workers(why)
        self._token = secrets.token_hex(16)
        self._way.talk.restart()
        return [*news, e.EngineFailed(self.name, self._story(0, why))]

    def _lost_workers(self, why: str) -> list[Event | News]:
        gone, self._workers = self._workers, {}
        return [e.WorkerLost(worker, None, None, self._story(worker, why), known=False) for worker in gone]

    def _story(self, worker: int, why: str) -> m.Story:
        return m.Story(worker, self.host, 0, why, 0.0, 0, "")

    # --- the end -------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """See `engine.Engine`. A server that cannot be told keeps its workers for `linger`."""
        self._way.close(remote.Part())

    def wait_gone(self, seconds: float) -> None:
        """See `engine.Engine`. Nothing of it is on this host but the way there."""
