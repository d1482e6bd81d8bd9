"""The engines and workers of a session as the client knows them: what the child told last, and waiting for it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.services import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dsage.net.engine_url import EngineURL
    from jupyter_dsage.wire import messages as m

_SETTLED = ("open", "failed", "away")


class Engines:
    """Used by `Session`; `took` is called by its I/O thread, the rest by any."""

    def __init__(self, urls: Sequence[EngineURL]) -> None:
        self._changed = threading.Condition()
        self.engines: tuple[m.EngineInfo, ...] = ()
        self.workers: tuple[m.WorkerInfo, ...] = ()
        self._names: dict[int, str] = {}
        """Worker -> engine, also of those that are gone: people ask who ran a job long after."""
        self._expected = {url.name for url in urls}
        self.over = False

    def took(self, message: m.PoolChanged) -> None:
        """Note what there is now."""
        with self._changed:
            self.engines, self.workers = message.engines, message.workers
            self._names.update((worker.worker, worker.engine) for worker in message.workers)
            self._expected -= {engine.name for engine in message.engines}
            self._changed.notify_all()

    def ended(self) -> None:
        """Wake who waits: the session is over."""
        with self._changed:
            self.over = True
            self._changed.notify_all()

    def expect(self, name: str) -> None:
        """Note that an engine was added: until the child tells of it, it is being connected to."""
        with self._changed:
            self._expected.add(name)

    @property
    def slots(self) -> int:
        """Jobs that can run at once."""
        return sum(engine.slots for engine in self.engines if engine.state == "open")

    @property
    def failures(self) -> tuple[str, ...]:
        """Why engines do not work, one sentence each."""
        return tuple(f"The engine {e.name!r}: {e.note}" for e in self.engines if e.state in ("failed", "away"))

    def worker_name(self, number: int) -> str:
        """Return a worker's name as the view shows it."""
        engine = self._names.get(number, "worker")
        return f"{engine.partition('://')[2] or engine}/{number}"

    def offered(self, name: str) -> set[str]:
        """Return the services that may be called, waiting for engines still being connected to if `name` is unknown."""

        def found() -> bool:
            return self.over or name in self._services() or self._settled()

        with self._changed:
            self._changed.wait_for(found, settings.START_SECONDS)
            return self._services()

    def wait_for_workers(self, timeout: float | None) -> bool:
        """Wait until every engine's workers have joined, or have failed to; return whether that came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self.over or self._all_joined(), timeout)

    def _services(self) -> set[str]:
        return {*SHIPPED, *(name for engine in self.engines for name in engine.services)}

    def _settled(self) -> bool:
        return bool(self.engines) and not self._expected and all(e.state in _SETTLED for e in self.engines)

    def _all_joined(self) -> bool:
        if not self._settled():
            return False
        for engine in self.engines:
            workers = [worker for worker in self.workers if worker.engine == engine.name]
            joined = len(workers) >= engine.slots and all(worker.stage == "ready" for worker in workers)
            if engine.state == "open" and not joined:
                return False
        return True
