"""A session in memory: the real client and the real child, in a thread of this process, over fake engines.

For tests of what is built on `Session`, at a tenth of a real one's time. Everything that it starts ends with `die`.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.child.loop import Child
from jupyter_dsage.client.session import Session
from jupyter_dsage.net.url_parts import EngineURL, shared_options
from jupyter_dsage.process_identity import own_start
from jupyter_dsage.store.sessions import new_id
from jupyter_dsage.testing.fake_engine import FakeEngine
from jupyter_dsage.testing.fake_net import FakeNet
from jupyter_dsage.wire.setup import ChildSetup, EngineSetup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import IO, Any

    from jupyter_dsage.core.pool import Abilities
    from jupyter_dsage.net.transport import Network, Poller
    from jupyter_dsage.wire import messages as m


class FakeSession(Session):
    """A `Session` whose engines are `FakeEngine`; `engines`: names and slots, one called ``fake`` if left out.

    `can`: what the engines can do, by name (all of it, if left out); `registered`: services of the engines, name and
    ``module:function``; `services`: as of `spawn`; `options`: what is behind the ``?`` of the engines' URLs, by name.

    >>> with FakeSession({"here": 2}) as session:
    ...     session.map(abs, [-1, 2, -3]).results()
    [1, 2, 3]
    >>> [engine.name for engine in session.fakes.values()]
    ['here']
    """

    def __init__(
        self,
        engines: Mapping[str, int] | None = None,
        *,
        can: Mapping[str, Abilities] | None = None,
        registered: Iterable[tuple[str, str]] = (),
        services: Mapping[str, Callable[..., Any]] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        said = {name: shared_options(name, text)[1] for name, text in (options or {}).items()}
        named = (engines or {"fake": 2}).items()
        urls = [EngineURL(name, slots, options=said.get(name, ())) for name, slots in named]
        self.fakes: dict[str, FakeEngine] = {}
        """The engines by name, also those that were added and removed."""
        abilities, offered = dict(can or {}), tuple(registered)

        def make(setup: EngineSetup, _host: m.SupervisorSetup, _network: Network, poller: Poller) -> FakeEngine:
            made = FakeEngine(setup, poller, can=abilities.get(setup.name), services=offered)
            self.fakes[setup.name] = made
            return made

        super().__init__(_Started(urls, make), urls, services=services or {})


class _Started:
    """A child in a thread; see `client.child_process.Started`."""

    def __init__(self, urls: list[EngineURL], make: Callable[..., FakeEngine]) -> None:
        self.session = new_id()
        self.store = ""
        self.pid = os.getpid()
        self._folder = tempfile.mkdtemp(prefix="fake-dsage-")
        self.address = f"ipc://{self._folder}/client.sock"
        self._net = FakeNet()
        self._life, self._life_end = os.pipe()
        self._lifeline, self._lifeline_end = os.pipe()
        self.life: IO[bytes] = os.fdopen(self._life, "rb")
        self._child_life: IO[bytes] = os.fdopen(self._lifeline, "rb")
        self._log = _Lines()
        setup = ChildSetup(
            self.session, self._folder, os.getpid(), own_start(), tuple(url.setup() for url in urls), "", ()
        )
        self._child = Child(setup, self._net, self._child_life, make)
        self._exit_code = 1
        self._thread = threading.Thread(target=self._run, name="fake-child", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._child.run()
            self._exit_code = 0
        finally:
            os.close(self._life_end)

    def network(self) -> FakeNet:
        """See `Started`."""
        return self._net

    def log_tail(self, lines: int) -> str:
        """See `Started`."""
        return "\n".join(self._log.lines[-lines:])

    def look_after(self) -> None:
        """See `Started`. It is a thread, and cannot be stopped by itself."""

    def detach(self) -> None:
        """See `Started`. It cannot stay: it is a thread."""
        self.release()

    def release(self) -> str:
        """See `Started`."""
        os.close(self._lifeline_end)
        self._thread.join(settings.DIE_SECONDS)
        for file in (self.life, self._child_life):
            file.close()
        self._log.close()
        return f"exit code {self._exit_code}"


class _Lines(logging.Handler):
    """The log of the child, as lines."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []
        self._logger = logging.getLogger("jupyter_dsage.child")
        self._level = self._logger.level
        self._logger.addHandler(self)
        self._logger.setLevel(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(f"{record.levelname} {record.getMessage()}")

    def close(self) -> None:
        """Keep no more."""
        self._logger.removeHandler(self)
        self._logger.setLevel(self._level)
        super().close()
