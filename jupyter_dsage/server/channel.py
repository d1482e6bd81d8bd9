"""The WebSocket of a session: its view and the snapshots of watched batches as they come, and commands back.

A browser that is slow gets the newest of each kind, not all. What is wrong with a command is answered in the view.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import msgspec
from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado import web
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from jupyter_dsage import settings
from jupyter_dsage.errors import DsageError, MissingError, UsageError
from jupyter_dsage.server import commands as c
from jupyter_dsage.server.panel import whole

if TYPE_CHECKING:
    from jupyter_dsage.server.connection import Connection
    from jupyter_dsage.server.panel import Panel

OVER, MISSING = 4001, 4404
"""Codes with which a channel is closed: the session is over; there is no such session."""
_NOTED = (c.Refresh, c.EngineAdd, c.EngineRemove, c.EngineScale, c.Revive, c.Delete)
"""Commands whose answer is shown: what the others do is seen."""


class SessionChannel(WebSocketMixin, WebSocketHandler, JupyterHandler):
    """One browser's view of one session."""

    auth_resource = "dsage"

    def initialize(self, panel: Panel) -> None:
        """Take what the route gives."""
        self._panel = panel
        self._connection: Connection | None = None
        self._stack = AsyncExitStack()
        self._watched: set[int] = set()
        self._outbox = _Outbox(self)
        self._tasks: set[asyncio.Task[None]] = set()

    async def _may(self, action: str) -> bool:
        allowed = self.authorizer.is_authorized(self, self.current_user, action, self.auth_resource)
        return bool(await ensure_async(allowed))

    @ws_authenticated
    async def get(self, session: str) -> None:
        """Open the channel, for who may look."""
        if not await self._may("read"):
            raise web.HTTPError(403, "User is not authorized to read on resource: dsage.")
        self._session = session
        await super().get()

    async def open(self, *_: str) -> None:
        """Begin to show the session."""
        try:
            self._connection = await self._stack.enter_async_context(self._panel.connections.to(self._session))
            self._connection.see(None, self._see)
        except MissingError as error:
            self.close(MISSING, _short(str(error)))
        except DsageError as error:
            self._over(str(error))

    def _see(self, batch: int | None, view: str | None) -> None:
        """Show a view; called when there is a new one, with None when the session is over."""
        connection = self._connection
        if connection is None:
            return
        if view is None:
            self._over(connection.over)
        elif batch is None:
            self._outbox.put(None, f'{{"kind":"session","session":{whole(connection.record, view)}}}')
        else:
            self._outbox.put(batch, f'{{"kind":"batch","batch":{batch},"snapshot":{view}}}')

    def _over(self, text: str) -> None:
        self._outbox.put("gone", _json({"kind": "gone", "text": text}), last=True)

    # --- from the browser ----------------------------------------------------------------------------------

    def on_message(self, message: str | bytes) -> None:
        """Take what the browser says; what takes time is done beside."""
        if len(self._tasks) >= settings.CHANNEL_COMMANDS:
            self._reply(None, "note", "Too much is asked at once: wait for the answers.")
            return
        task = asyncio.ensure_future(self._take(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take(self, data: str | bytes) -> None:
        try:
            message = c.from_browser(data)
        except UsageError as error:
            self._reply(None, "note", str(error))
            return
        if isinstance(message, c.Told):
            await self._told(message)
        elif message.on:
            await self._watch(message.batch)
        else:
            self._unwatch(message.batch)

    async def _watch(self, batch: int) -> None:
        """Show a batch from now on, if there is one."""
        connection = self._connection
        if connection is None or batch in self._watched:
            return
        self._watched.add(batch)
        try:
            await self._panel.batch(self._session, batch)
            if batch in self._watched:  # it may have been let go of meanwhile
                connection.see(batch, self._see)
        except DsageError as error:
            self._watched.discard(batch)
            self._reply(batch, "note", str(error))

    def _unwatch(self, batch: int) -> None:
        if self._connection is not None and batch in self._watched:
            self._watched.discard(batch)
            self._connection.unsee(batch, self._see)

    async def _told(self, told: c.Told) -> None:
        """Carry a command out, and answer what is to be answered."""
        is_add = told.message.get("op") == "add"
        batch = told.batch
        try:
            command = c.asked(told)
            batch = getattr(command, "batch", batch)
            action = "read" if isinstance(command, c.Job | c.Log) else "execute"
            if not await self._may(action):
                raise UsageError(f"You are not allowed to {action} here.")
            await self._obey(batch, command)
        except DsageError as error:
            self._reply(batch, "add" if is_add else "note", str(error), **({"status": "error"} if is_add else {}))

    async def _obey(self, batch: int | None, command: c.Asked) -> None:
        match command:
            case c.Job():
                detail = msgspec.json.decode(await self._panel.job(self._session, command.batch, command.job))
                self._send_reply(batch, {"re": "job"} | detail)
            case c.Log():
                self._reply(batch, "log", await self._panel.log(self._session))
            case c.Add():
                self._reply(batch, "add", command.text, status="adding")
                self._reply(batch, "add", await self._panel.obey(self._session, command), status="added")
            case _:
                text = await self._panel.obey(self._session, command)
                if isinstance(command, _NOTED):
                    self._reply(batch, "note", text)

    def _reply(self, batch: int | None, re: str, text: str, **more: str) -> None:
        self._send_reply(batch, {"re": re, **more, "text": text})

    def _send_reply(self, batch: int | None, reply: dict[str, Any]) -> None:
        self._outbox.put(object(), _json({"kind": "reply", "batch": batch, "reply": reply}))

    def on_close(self) -> None:
        """Let go of the session; the child stays, and what was asked for is carried out: nobody takes it back."""
        if self._connection is not None:
            for batch in (None, *self._watched):
                self._connection.unsee(batch, self._see)
        self._connection = None
        self._watched.clear()
        asyncio.ensure_future(self._stack.aclose())  # noqa: RUF006  (a step without a wait)
        super().on_close()


class _Outbox:
    """What is to be sent, by its key: a newer one takes the place of one that waits still."""

    def __init__(self, channel: SessionChannel) -> None:
        self._channel = channel
        self._waiting: dict[object, str] = {}
        self._sender: asyncio.Task[None] | None = None
        self._last = False

    def put(self, key: object, text: str, *, last: bool = False) -> None:
        """Send a text soon; behind the last one the channel is closed."""
        if self._last:
            return
        self._last = last
        self._waiting[key] = text
        if self._sender is None:
            self._sender = asyncio.ensure_future(self._send())

    async def _send(self) -> None:
        try:
            while self._waiting:
                key = next(iter(self._waiting))
                await self._channel.write_message(self._waiting.pop(key))
            if self._last:
                self._channel.close(OVER, "the session is over")
        except WebSocketClosedError:
            self._waiting.clear()
        finally:
            self._sender = None


def _json(value: dict[str, Any]) -> str:
    return msgspec.json.encode(value).decode()


def _short(text: str) -> str:
    """Return what fits into a close frame."""
    return text.encode()[:120].decode(errors="ignore")
