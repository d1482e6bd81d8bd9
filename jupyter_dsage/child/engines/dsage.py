"""The ``dsage://`` engine: a worker server on another host, or on this one, that somebody started.

The child dials out. Functions and segments go to the host once, and are shared by its workers; leases and reports go
through the server. While the link is down the server's workers run on and hold what they have to tell; after
`AWAY_SECONDS` of silence their jobs run elsewhere, and what they tell later is taken if it comes first.
"""

from __future__ import annotations

import importlib.metadata
import logging
import secrets
import sys
import time
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.child import intake
from jupyter_dsage.child.engines.engine import heard
from jupyter_dsage.child.engines.local import run_jobs
from jupyter_dsage.core import events as e
from jupyter_dsage.core.pool import Abilities
from jupyter_dsage.net.dialer import Dialer
from jupyter_dsage.net.keys import Keys, parse_key
from jupyter_dsage.net.tls import make_identity
from jupyter_dsage.net.zmq_transport import ZmqNetwork
from jupyter_dsage.version import VERSION
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire import remote

if TYPE_CHECKING:
    from collections.abc import Collection

    from jupyter_dsage.child.engines.engine import News
    from jupyter_dsage.child.payloads import Payloads
    from jupyter_dsage.core import commands as c
    from jupyter_dsage.core.events import Event
    from jupyter_dsage.net.transport import Poller, Source
    from jupyter_dsage.wire.setup import EngineSetup

log = logging.getLogger(__name__)


class DsageEngine:
    """See `engine.Engine`."""

    def __init__(self, setup: EngineSetup, poller: Poller) -> None:
        self.name = setup.name
        self.host = setup.host
        self.note = setup.note
        self._setup = setup
        self._slots = setup.slots
        self._keys = Keys()
        self._token = secrets.token_hex(16)
        self._certificate = make_identity()
        address = (setup.host, setup.port, parse_key(setup.key))
        self._network = ZmqNetwork()
        self._dialer = Dialer(address, self._keys.client(), self._certificate, self._hello, self._network, poller)
        self._open = False
        """Whether the scheduler takes it for open: its workers are known there."""
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
            self._dialer.talk.got,
            self._certificate.cert_pem,
            self._setup.lineage,
        )

    # --- out -----------------------------------------------------------------------------------------------

    def open(self) -> list[Event]:
        """See `engine.Engine`."""
        return [e.EngineAdded(self.name)]

    def reopen(self) -> None:
        """See `engine.Engine`."""
        self._failed = self._dialer.refused = False
        self._down_since = time.monotonic()
        self._dialer.dial_now()

    def scale(self, slots: int) -> list[Event]:
        """See `engine.Engine`. The server answers with what it has to give."""
        self._slots = slots
        self._order(remote.WantSlots(slots))
        return []

    def start(self, worker: int) -> None:
        """See `engine.Engine`."""
        self._workers[worker] = 0
        self._order(m.SpawnWorker(worker))

    def stop(self, worker: int) -> None:
        """See `engine.Engine`."""
        self._dialer.talk.post(worker, m.Leave())

    def kill(self, worker: int) -> None:
        """See `engine.Engine`."""
        self._order(m.KillWorker(worker))

    def grant(self, lease: c.SendLease, payloads: Payloads) -> None:
        """See `engine.Engine`."""
        if lease.function not in self._functions:
            self._functions.add(lease.function)
            message, frames = payloads.function(lease.function)
            self._dialer.talk.post(remote.DEPOSIT, message, *frames)
        if lease.segment not in self._segments:
            self._segments.add(lease.segment)
            segment = payloads.segment(lease.segment)
            self._dialer.talk.post(remote.DEPOSIT, remote.Segment(lease.segment), segment)
        grant = remote.Grant(run_jobs(lease), lease.with_function, lease.with_segment)
        self._dialer.talk.post(lease.worker, grant)

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
        self._dialer.talk.post(0, message)

    def pid(self, worker: int) -> int:
        """See `engine.Engine`."""
        return self._workers.get(worker, 0)

    # --- in ------------------------------------------------------------------------------------------------

    def next_due(self) -> float | None:
        """See `engine.Engine`."""
        due = self._dialer.next_due()
        if self._open and not self._dialer.up:
            due = min(due, self._dialer.heard_at + (self._setup.linger if self._away else settings.AWAY_SECONDS))
        return due

    def read(self, ready: Collection[Source], now: float) -> list[Event | News]:  # noqa: ARG002
        """See `engine.Engine`."""
        news: list[Event | News] = []
        for worker, message, frames in self._dialer.read(now):
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
        latency = self._dialer.latency
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
        dialer = self._dialer
        if dialer.up:
            self._down_since = now
            return []
        silent = now - (dialer.heard_at if self._open else self._down_since)
        self.note = self._trouble(silent)
        if self._open:
            if silent >= self._setup.linger:
                return self._lose(f"{self.name} has not answered for {silent:.0f} s ({dialer.trouble})")
            if silent >= settings.AWAY_SECONDS and not self._away:
                self._away = True
                return [e.EngineAway(self.name)]
        elif (silent >= settings.UNREACHABLE_SECONDS or dialer.refused) and not self._failed:
            return self._lose(f"{self.name} cannot be reached: {dialer.trouble or 'no answer'}")
        return []

    def _trouble(self, silent: float) -> str:
        why = self._dialer.trouble
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
        return [*news, e.EngineOpened(self.name, message.slots, can, self._dialer.latency)]

    def _note_slots(self, slots: int) -> None:
        self.note = self._setup.note if slots else "all of its slots are taken by others"

    def _know(self) -> None:
        """Remember the server's key: that it has changed is noticed the next time."""
        host, port = self._setup.host, self._setup.port
        if self._keys.known(host, port) != parse_key(self._setup.key):
            self._keys.trust(host, port, self._setup.key)

    def _lose(self, why: str) -> list[Event | News]:
        """Give the engine up, until it answers after all or somebody wants it again."""
        if self._failed:
            return []
        self._open, self._away, self._failed = False, False, True
        news = self._lost_workers(why)
        self._token = secrets.token_hex(16)
        self._dialer.talk.restart()
        return [*news, e.EngineFailed(self.name, self._story(0, why))]

    def _lost_workers(self, why: str) -> list[Event | News]:
        gone, self._workers = self._workers, {}
        return [e.WorkerLost(worker, None, None, self._story(worker, why), known=False) for worker in gone]

    def _story(self, worker: int, why: str) -> m.Story:
        return m.Story(worker, self.host, 0, why, 0.0, 0, "")

    # --- the end -------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """See `engine.Engine`. A server that cannot be told keeps its workers for `linger`."""
        self._dialer.close(remote.Part())

    def wait_gone(self, seconds: float) -> None:  # noqa: ARG002
        """See `engine.Engine`. Nothing of it is on this host but the way there."""
        self._network.close()
