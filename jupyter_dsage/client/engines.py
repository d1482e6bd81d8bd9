"""The engines and workers of a session as the client knows them: what the child told last, and waiting for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_dsage import settings
from jupyter_dsage.client.waiting import Reply, Waiters, deadline_of
from jupyter_dsage.errors import EngineError, UsageError
from jupyter_dsage.net.engine_url import engine_name, parse_urls
from jupyter_dsage.net.url_parts import MOST_SLOTS
from jupyter_dsage.services import SHIPPED
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire.quantities import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jupyter_dsage.net.url_parts import EngineURL
    from jupyter_dsage.wire.setup import Amounts

    Ask = Callable[[Callable[[int], m.Message]], Reply[str]]

_SETTLED = ("open", "failed", "away")
_TOLD_SECONDS = 10.0


def _amounts(resources: Amounts) -> str:
    return ", ".join(f"{name}={amount}" for name, amount in resources) or "none"


_LOCAL = "local"
"""The name of the engine whose workers the child itself starts."""


class Engines:
    """Used by `Session`; `took` is called by its I/O thread, the rest by any. `ask`: asks the child a question."""

    def __init__(self, urls: Sequence[EngineURL], ask: Ask) -> None:
        self._ask = ask
        self._waiters = Waiters()
        self.engines: tuple[m.EngineInfo, ...] = ()
        self.workers: tuple[m.WorkerInfo, ...] = ()
        self._names: dict[int, str] = {}
        """Worker -> engine, also of those that are gone: people ask who ran a job long after."""
        self._expected = {url.name for url in urls}
        self.over = False

    def took(self, message: m.PoolChanged) -> None:
        """Note what there is now."""
        self.engines, self.workers = message.engines, message.workers
        self._names.update((worker.worker, worker.engine) for worker in message.workers)
        self._expected = self._expected - {engine.name for engine in message.engines}
        self._waiters.wake()

    def ended(self) -> None:
        """Wake who waits: the session is over."""
        self.over = True
        self._waiters.wake()

    # --- changing them -------------------------------------------------------------------------------------

    def add(self, url: Any, timeout: float | None) -> str:
        """See `Session.add`."""
        engine = parse_urls([url])[0]
        if any(engine.name == known.name for known in self.engines):
            raise EngineError(f"The engine {engine.name!r} is there already: use session.scale to change its slots.")
        self._expected |= {engine.name}  # until the child tells of it, it is being connected to
        try:
            return self._ask(lambda ask: m.AddEngine(ask, engine.setup())).result(timeout)
        except EngineError:
            self._expected = self._expected - {engine.name}
            raise

    def remove(self, url: str, timeout: float | None, *, now: bool) -> str:
        """See `Session.remove`."""
        name = self._named(url)
        if len([engine for engine in self.engines if engine.state != "leaving"]) < 2:  # noqa: PLR2004
            raise UsageError(f"{name!r} is the only engine: add another first, or end the session with die().")
        return self._ask(lambda ask: m.RemoveEngine(ask, name, now)).result(timeout)

    def scale(self, url: str, slots: int, timeout: float | None) -> str:
        """See `Session.scale`."""
        number = whole(slots)
        if number is None or not 1 <= number <= MOST_SLOTS:
            raise UsageError(f"slots={slots!r} is no number of slots: give 1 to {MOST_SLOTS}.")
        name = self._named(url)
        return self._ask(lambda ask: m.ScaleEngine(ask, name, number)).result(timeout)

    def wanted(self, engines: Sequence[str], resources: Amounts) -> tuple[str, ...]:
        """Return the names of the engines that are named; raises EngineError where none of them could run such jobs.

        Waits for the child to tell of engines that it was only now started with.
        """
        if not engines and not resources:
            return ()
        self._wait(lambda: self.over or (self.engines and not self._expected), _TOLD_SECONDS)
        names = tuple(self._named(engine) for engine in engines)
        there = [engine for engine in self.engines if not names or engine.name in names]
        if not any(all(dict(e.resources).get(name, 0) >= each for name, each in resources) for e in there):
            wanted = ", ".join(f"{name}={each}" for name, each in resources)
            has = "; ".join(f"{e.name} has {_amounts(e.resources)}" for e in there)
            raise EngineError(
                f"No engine has {wanted} for a job: {has}; the URL says it, as in local:?resources=gpu:2."
            )
        return names

    def _named(self, url: str) -> str:
        """Return the name of the engine that a URL, or its name, means; raises EngineError if it is not there."""
        known = [engine.name for engine in self.engines]
        name = url if url in known else engine_name(url)
        if name not in known:
            raise EngineError(f"There is no engine {url!r}; there is {', '.join(known)}.")
        return name

    # --- asking about them ---------------------------------------------------------------------------------

    def all_here(self) -> bool:
        """Tell whether all workers are processes of this host that the session has started."""
        return {engine.name for engine in self.engines} == {_LOCAL}

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

        self._wait(found, settings.START_SECONDS)
        return self._services()

    def wait_for_workers(self, timeout: float | None) -> bool:
        """Wait until every engine's workers have joined, or have failed to; return whether that came in time."""
        return self._wait(lambda: self.over or self._all_joined(), timeout)

    def _wait(self, fact: Callable[[], object], timeout: float | None) -> bool:
        return self._waiters.wait(fact, deadline_of(timeout))

    def _services(self) -> set[str]:
        return {*SHIPPED, *(name for engine in self.engines for name in engine.services)}

    def _settled(self) -> bool:
        return bool(self.engines) and not self._expected and all(e.state in _SETTLED for e in self.engines)

    def _all_joined(self) -> bool:
        if not self._settled():
            return False
        for engine in self.engines:
            workers = [worker for worker in self.workers if worker.engine == engine.name]
            wanted = engine.slots - engine.resting
            joined = len(workers) >= wanted and all(worker.stage == "ready" for worker in workers)
            if engine.state == "open" and not joined:
                return False
        return True
