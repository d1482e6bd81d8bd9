"""The REST side: one handler a path. Looking is `read`, commands are `execute`, both on the resource `dsage`.

Whatever is wrong is answered in one sentence, `{"message": …}`, with the status that says what kind of wrong it is.
Nothing changes on GET.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from jupyter_dsage import settings
from jupyter_dsage.errors import DsageError, MissingError, UsageError
from jupyter_dsage.server import commands, openapi
from jupyter_dsage.server.channel import SessionChannel

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from jupyter_dsage.server.panel import Panel

PATH = "jupyter-dsage"
RESOURCE = "dsage"


class _Handler(APIHandler):
    """What all have in common."""

    auth_resource = RESOURCE

    def initialize(self, panel: Panel) -> None:
        """Take what the route gives."""
        self.panel = panel

    async def answer(self, work: Awaitable[Any]) -> None:
        """Finish with what some work gives: JSON as text, or what becomes JSON; or with what went wrong."""
        try:
            made = await work
        except MissingError as error:
            self._wrong(404, error)
        except UsageError as error:
            self._wrong(400, error)
        except DsageError as error:
            self._wrong(409, error)
        else:
            await self.finish(made if isinstance(made, str) else msgspec.json.encode(made))

    def _wrong(self, status: int, error: DsageError) -> None:
        self.set_status(status)
        self.finish(msgspec.json.encode({"message": str(error)}))


class SessionsHandler(_Handler):
    """All sessions."""

    @web.authenticated
    @authorized("read", resource=RESOURCE)
    async def get(self) -> None:
        """Return a row for each."""

        async def rows() -> dict[str, Any]:
            return {"sessions": await self.panel.sessions()}

        await self.answer(rows())


class SessionHandler(_Handler):
    """One session."""

    @web.authenticated
    @authorized("read", resource=RESOURCE)
    async def get(self, session: str) -> None:
        """Return its view."""
        await self.answer(self.panel.session(session))


class BatchHandler(_Handler):
    """One batch."""

    @web.authenticated
    @authorized("read", resource=RESOURCE)
    async def get(self, session: str, batch: str) -> None:
        """Return its snapshot."""

        async def snapshot() -> str:
            return await self.panel.batch(session, number(batch, "batch"))

        await self.answer(snapshot())


class JobHandler(_Handler):
    """One job."""

    @web.authenticated
    @authorized("read", resource=RESOURCE)
    async def get(self, session: str, batch: str, job: str) -> None:
        """Return it in words."""

        async def detail() -> str:
            return await self.panel.job(session, number(batch, "batch"), number(job, "job"))

        await self.answer(detail())


class LogHandler(_Handler):
    """A session's log."""

    @web.authenticated
    @authorized("read", resource=RESOURCE)
    async def get(self, session: str) -> None:
        """Return its end."""

        async def text() -> dict[str, str]:
            return {"text": await self.panel.log(session)}

        await self.answer(text())


class CommandsHandler(_Handler):
    """Where commands go."""

    @web.authenticated
    @authorized("execute", resource=RESOURCE)
    async def post(self, session: str) -> None:
        """Carry one out; return what was done, in a sentence."""

        async def done() -> dict[str, str]:
            command = commands.order(self.request.body)
            return {"text": await self.panel.obey(session, command)}

        await self.answer(done())


class DescriptionHandler(_Handler):
    """What all these are."""

    @web.authenticated
    @authorized("read", resource=RESOURCE)
    async def get(self) -> None:
        """Return the OpenAPI description."""
        await self.finish(msgspec.json.encode(openapi.description()))


def number(text: str, what: str) -> int:
    """Return the number of a batch or a job; raises MissingError for what is none."""
    if not (text.isascii() and text.isdecimal() and len(text) < 20) or int(text) > settings.MAX_JOBS:  # noqa: PLR2004
        raise MissingError(f"There is no {what} {text!r:.50}: they have numbers.")
    return int(text)


_PART = "([^/]+)"


def routes(base: str, panel: Panel) -> list[tuple[str, type[Any], dict[str, Any]]]:
    """Return the routes of the extension, below the server's base URL."""
    paths: dict[str, type[Any]] = {
        "sessions": SessionsHandler,
        f"sessions/{_PART}": SessionHandler,
        f"sessions/{_PART}/batches/{_PART}": BatchHandler,
        f"sessions/{_PART}/batches/{_PART}/jobs/{_PART}": JobHandler,
        f"sessions/{_PART}/log": LogHandler,
        f"sessions/{_PART}/commands": CommandsHandler,
        f"sessions/{_PART}/channel": SessionChannel,
        "openapi.json": DescriptionHandler,
    }
    prefix = f"{base.rstrip('/')}/{PATH}"
    return [(f"{prefix}/{path}", handler, {"panel": panel}) for path, handler in paths.items()]
