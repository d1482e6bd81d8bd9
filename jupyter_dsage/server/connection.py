"""The operator's connection to one session's child, as coroutines: questions, and views as they come.

Used on the server's event loop; a thread of its own (`client.link`) reads the socket. Every question has a deadline, so
that a child that is stopped holds nobody up. When the child is followed by another (a client has revived it) the
connection goes on with that one. It never unpickles: what it gets is text.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.client.child_process import OtherChild
from jupyter_dsage.client.link import ChildLink
from jupyter_dsage.errors import DsageError, EngineError, MissingError, SessionLost
from jupyter_dsage.process_identity import own_start
from jupyter_dsage.server import registry
from jupyter_dsage.version import VERSION
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.store.sessions import Record
    from jupyter_dsage.wire.codec import Frame

    See = Callable[[int | None, str | None], None]
    """Told of views, on the event loop: (batch, None for the session; JSON, None: it is over)."""


log = logging.getLogger(__name__)


class Connection:
    """One session's. Made on the event loop; `close` must be called."""

    def __init__(self, record: Record, child: _Seen) -> None:
        self.record = record
        self._loop = asyncio.get_running_loop()
        self._asks: dict[int, asyncio.Future[str]] = {}
        self._numbers = itertools.count(1)
        self._seers: dict[int | None, set[See]] = {}
        """Batch (None: the session) -> who sees its views."""
        self._views: dict[int | None, str] = {}
        """The last ones, for those who come later."""
        self._closing = threading.Event()
        self._child = child
        self._welcomed = False
        self.over = ""
        """Why the session is over; empty while it is not."""
        self._link = ChildLink(child, self, m.WatchSession(on=True))
        self._link.start()

    # --- on the event loop ---------------------------------------------------------------------------------

    async def ask(self, question: Callable[[int], m.Message], seconds: float) -> str:
        """Return the child's answer; raises MissingError, EngineError (it says why not), SessionLost, TimeoutError."""
        self._check()
        number = next(self._numbers)
        answer = self._asks[number] = self._loop.create_future()
        try:
            self._link.post(question(number))
            return await asyncio.wait_for(answer, seconds)
        except TimeoutError:
            name = self.record.name
            text = f"The background process of session {name!r} has not answered within {seconds:g} s: it is stopped."
            raise EngineError(text) from None
        finally:
            self._asks.pop(number, None)

    def see(self, batch: int | None, see: See) -> None:
        """Have views of a batch, or of the session, told from now on; the last one at once."""
        self._check()
        seers = self._seers.setdefault(batch, set())
        if batch is not None and not seers:
            self._link.post(m.Watch(batch, on=True))
        seers.add(see)
        if batch in self._views:
            see(batch, self._views[batch])

    def unsee(self, batch: int | None, see: See) -> None:
        """Have them told no more."""
        seers = self._seers.get(batch, set())
        seers.discard(see)
        if batch is not None and not seers and self._seers.pop(batch, None) is not None:
            self._views.pop(batch, None)
            if not self.over:
                self._link.post(m.Watch(batch, on=False))

    async def die(self) -> None:
        """End the session, and wait until its child is gone."""
        self._check()
        self._link.post(m.Die())
        if not await asyncio.to_thread(self._link.wait_ended, settings.DIE_SECONDS + 1):
            raise EngineError(f"Session {self.record.name!r} has been told to end, and has not yet: it is stopped.")

    async def close(self) -> None:
        """Leave; the child stays."""
        self._closing.set()
        if not self.over:
            self._link.post(m.Part())
        await asyncio.to_thread(self._link.close)

    def _check(self) -> None:
        if self.over:
            raise SessionLost(f"Session {self.record.name!r} is over: {self.over}")

    def _take(self, message: m.Message, text: str) -> None:
        match message:
            case m.SessionView():
                self._show(None, text)
            case m.View():
                self._show(message.batch, text)
            case m.Answer():
                self._answered(message)
            case m.Refused() if self._welcomed:
                log.warning("Session %s refused a message: %s", self.record.id, message.reason)
            case m.Refused():
                self._fail(EngineError(message.reason))
            case m.Leaving():
                self.over = self.over or f"{message.reason}."
            case m.Welcome():
                self._welcomed = True
                for batch in self._seers:
                    if batch is not None:
                        self._link.post(m.Watch(batch, on=True))

    def _show(self, batch: int | None, text: str) -> None:
        self._views[batch] = text
        for see in list(self._seers.get(batch, ())):
            see(batch, text)

    def _answered(self, message: m.Answer) -> None:
        answer = self._asks.get(message.ask)
        if answer is None or answer.done():
            return
        if message.failed:
            answer.set_exception(MissingError(message.text) if message.missing else EngineError(message.text))
        else:
            answer.set_result(message.text)

    def _fail(self, error: DsageError) -> None:
        for answer in self._asks.values():
            if not answer.done():
                answer.set_exception(error)

    def _ended(self) -> None:
        self.over = self.over or "its background process has ended."
        self._fail(SessionLost(f"Session {self.record.name!r} is over: {self.over}"))
        for batch, seers in self._seers.items():
            for see in list(seers):
                see(batch, None)

    # --- link.Receiver: on the link's thread ---------------------------------------------------------------

    def hello(self) -> m.Hello:
        """See `link.Receiver`."""
        python = "{}.{}".format(*sys.version_info)
        return m.Hello(settings.PROTOCOL, VERSION, python, os.getpid(), own_start(), operator=True)

    def receive(self, message: m.Message, frames: list[Frame]) -> None:
        """See `link.Receiver`."""
        if isinstance(message, m.Leaving):
            self._closing.set()  # on purpose: nobody revives it
        self._loop.call_soon_threadsafe(self._take, message, bytes(frames[0]).decode() if frames else "")

    def connection_broken(self, reason: str) -> bool:
        """See `link.Receiver`."""
        log.warning("The connection to session %s has broken (%s); it is made anew.", self.record.id, reason)
        return not self._closing.wait(settings.CHILD_END_SECONDS)

    def child_gone(self) -> _Seen | None:
        """See `link.Receiver`: go on with the next child, if a client starts one soon."""
        before, deadline = self._child.connection, time.monotonic() + settings.REVIVED_SECONDS
        self._child.detach()
        while not self._closing.wait(0.1) and time.monotonic() < deadline:
            try:
                next_child = seen(registry.find(self.record.id))
            except DsageError:
                continue
            if next_child.connection != before:
                self._child = next_child
                return next_child
            next_child.detach()
        return None

    def broken(self, error: BaseException) -> None:
        """See `link.Receiver`."""
        self.over = self.over or f"the thread that sees it has ended by a defect: {error!r}."

    def ended(self) -> None:
        """See `link.Receiver`."""
        self._child.detach()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ended)


class _Seen(OtherChild):
    """A child that an operator sees: others see to it when it is stopped, and clear away what it leaves."""

    def look_after(self) -> None:
        """See `Started`."""

    def release(self) -> str:
        """See `Started`."""
        self.detach()
        return ""


def seen(record: Record) -> _Seen:
    """Return a session's child; raises SessionLost where there is none, or one of another version."""
    if not registry.of_this_version(record):
        raise SessionLost(
            f"Session {record.name!r} was made by jupyter_dsage {record.package}, and the Jupyter server has "
            f"{VERSION}: install the same version for both."
        )
    connection = registry.living(record)
    if connection is None:
        raise SessionLost(f"Session {record.name!r} does not run: revive it from its journal, or delete that.")
    return _Seen(record.id, Path(record.setup.folder), connection, str(record.store))
