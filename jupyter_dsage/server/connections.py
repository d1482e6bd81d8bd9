"""The operator's connections: one a session, made when somebody needs it, closed a moment after the last one left."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.server import registry
from jupyter_dsage.server.connection import Connection, seen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class _Shared:
    """A connection and how many use it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.users = 0
        self.timer: asyncio.TimerHandle | None = None


class Connections:
    """One server's; used on its event loop."""

    def __init__(self) -> None:
        self._shared: dict[str, _Shared] = {}
        self._opening: dict[str, asyncio.Lock] = {}
        self._closings: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def to(self, session: str) -> AsyncIterator[Connection]:
        """Lend the connection to a session; raises MissingError, SessionLost."""
        record = await asyncio.to_thread(registry.find, session)
        async with self._opening.setdefault(session, asyncio.Lock()):
            shared = self._shared.get(session)
            if shared is None or shared.connection.over:
                child = await asyncio.to_thread(seen, record)
                shared = self._shared[session] = _Shared(Connection(record, child))
            shared.users += 1
        if shared.timer is not None:
            shared.timer.cancel()
        try:
            yield shared.connection
        finally:
            shared.users -= 1
            if not shared.users:
                linger = 0.0 if shared.connection.over else settings.CONNECTION_SECONDS
                shared.timer = asyncio.get_running_loop().call_later(linger, self._expire, session, shared)

    def _expire(self, session: str, shared: _Shared) -> None:
        if shared.users:
            return
        if self._shared.get(session) is shared:
            del self._shared[session]
            self._opening.pop(session, None)
        closing = asyncio.ensure_future(shared.connection.close())
        self._closings.add(closing)
        closing.add_done_callback(self._closings.discard)

    async def close(self) -> None:
        """Close all that nobody uses, at once."""
        for session, shared in list(self._shared.items()):
            if shared.timer is not None:
                shared.timer.cancel()
            self._expire(session, shared)
        await asyncio.gather(*self._closings)
