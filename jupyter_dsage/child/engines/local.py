"""The ``local:`` engine: workers on the child's own host, forked by a supervisor that the child starts.

The workers call the child directly: no further hop for each lease.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from jupyter_dsage.child import intake
from jupyter_dsage.child.engines.engine import heard
from jupyter_dsage.core import events as e
from jupyter_dsage.core.pool import Abilities
from jupyter_dsage.net.local_host import LocalHost
from jupyter_dsage.services import SHIPPED
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Collection

    from jupyter_dsage.child.engines.engine import News
    from jupyter_dsage.child.payloads import Payloads
    from jupyter_dsage.core import commands as c
    from jupyter_dsage.core.events import Event
    from jupyter_dsage.net.transport import Network, Poller, Source
    from jupyter_dsage.wire.setup import EngineSetup

log = logging.getLogger(__name__)


class LocalEngine:
    """See `engine.Engine`."""

    def __init__(self, setup: EngineSetup, supervisor: m.SupervisorSetup, network: Network, poller: Poller) -> None:
        self.name = setup.name
        self.host = os.uname().nodename
        self.note = setup.note
        self._slots = setup.slots
        self._workers = LocalHost(supervisor, network, poller, log)

    def open(self) -> list[Event]:
        """See `engine.Engine`."""
        return [e.EngineOpened(self.name, self._slots, Abilities(services=frozenset(SHIPPED)))]

    def reopen(self) -> None:
        """See `engine.Engine`. This host is always there; the next `start` starts a supervisor if need be."""

    def scale(self, slots: int) -> list[Event]:
        """See `engine.Engine`."""
        return [e.EngineScaled(self.name, slots)]

    def set_environment(self, variables: tuple[tuple[str, str], ...]) -> None:
        """See `engine.Engine`."""
        self._workers.set_environment(variables)

    def start(self, worker: int) -> None:
        """See `engine.Engine`."""
        self._workers.spawn(worker)

    def stop(self, worker: int) -> None:
        """See `engine.Engine`."""
        self._workers.send(worker, m.Leave())

    def kill(self, worker: int) -> None:
        """See `engine.Engine`."""
        self._workers.order(m.KillWorker(worker))

    def grant(self, lease: c.SendLease, payloads: Payloads) -> None:
        """See `engine.Engine`."""
        if lease.with_function:
            message, frames = payloads.function(lease.function)
            self._workers.send(lease.worker, message, *frames)
        segment = [payloads.segment(lease.segment)] if lease.with_segment else []
        self._workers.send(lease.worker, run_jobs(lease), *segment)

    def forget(self, segment: int) -> None:
        """See `engine.Engine`. Workers are told with a lease what to drop."""

    def recall(self, order: c.RecallLease) -> None:
        """See `engine.Engine`."""
        self._workers.order(m.Recall(order.worker, order.lease, order.first, order.stop))

    def end_job(self, order: c.EndJob) -> None:
        """See `engine.Engine`."""
        self._workers.order(m.EndJob(order.worker, order.lease, order.first, order.stop))

    def look(self, ask: int, worker: int, lease: int, job: int) -> None:
        """See `engine.Engine`."""
        self._workers.order(m.ReadOutput(ask, worker, lease, job))

    def pid(self, worker: int) -> int:
        """See `engine.Engine`."""
        return self._workers.pids.get(worker, 0)

    def read(self, ready: Collection[Source], now: float) -> list[Event | News]:  # noqa: ARG002
        """See `engine.Engine`."""
        news: list[Event | News] = []
        for worker, message, frames in self._workers.read(ready):
            if (other := heard(worker, message, frames)) is not None:
                news.append(other)
            elif (event := intake.from_host(message)) is not None:
                news.append(event)
        return news

    def next_due(self) -> float | None:
        """See `engine.Engine`."""
        return self._workers.next_due()

    def leave(self) -> None:
        """See `engine.Engine`."""
        self._workers.leave()

    def wait_gone(self, seconds: float) -> None:
        """See `engine.Engine`."""
        self._workers.wait_gone(seconds)


def run_jobs(lease: c.SendLease) -> m.RunJobs:
    """Return a lease as workers are told of it."""
    run = (lease.lease, lease.function, lease.segment, lease.offset, lease.first, lease.stop, lease.drop)
    return m.RunJobs(*run, lease.timeout, lease.memory, lease.once, lease.batch)
