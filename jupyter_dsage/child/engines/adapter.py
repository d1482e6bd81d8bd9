"""The engines ``dask:`` and ``ray:``: workers beside those of another scheduler, reached through an adapter process.

See `host.HostEngine` for most of it. Nothing outlasts the adapter: its workers end with it, and another is started.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jupyter_dsage.child.engines.host import HostEngine
from jupyter_dsage.core import events as e
from jupyter_dsage.net.adapter_link import AdapterLink
from jupyter_dsage.wire import adapted

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.child.engines.engine import News
    from jupyter_dsage.core.events import Event
    from jupyter_dsage.net.transport import Poller
    from jupyter_dsage.wire import messages as m
    from jupyter_dsage.wire import remote
    from jupyter_dsage.wire.setup import EngineSetup

log = logging.getLogger(__name__)

TITLES = {"dask": "Dask", "ray": "Ray"}


class AdapterEngine(HostEngine):
    """See `engine.Engine`."""

    def __init__(self, setup: EngineSetup, supervisor: m.SupervisorSetup, poller: Poller) -> None:
        def way(hello: Callable[[], remote.Dial]) -> AdapterLink:
            def greet(folder: str) -> adapted.Adapt:
                return adapted.Adapt(setup, hello(), supervisor.cwd, supervisor.path, folder)

            self._link = AdapterLink(supervisor.folder, greet, poller, log)
            return self._link

        super().__init__(setup, way)

    def _watch(self, now: float) -> list[Event | News]:
        """See `HostEngine`: that the adapter has ended means that its workers are gone, and others come."""
        news: list[Event | News] = []
        if self._link.ended:
            self._link.ended = False
            if self._open:
                if not self._away:
                    self._away = True
                    news.append(e.EngineAway(self.name))
                news += self._lost_workers(f"the end of its adapter ({self._link.trouble})")
        if self._link.starting and not self._open:
            self._down_since = now  # it has a time of its own: large libraries, or a whole cluster to start
        return news + super()._watch(now)

    def _trouble(self, silent: float) -> str:
        if self._link.trouble:
            return f"{self._link.trouble}; trying again"
        return super()._trouble(silent) if self._away else self._setup.note

    def _note_slots(self, slots: int) -> None:
        self.note = self._setup.note if slots else f"the {TITLES[self._setup.kind]} cluster has no workers"

    def wait_gone(self, seconds: float) -> None:
        """See `engine.Engine`."""
        self._link.wait_gone(seconds)
