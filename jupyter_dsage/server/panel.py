"""What the panel is told and what it can have done, whatever the way: used by the handlers and by the channels.

All of it are coroutines that return JSON texts or a sentence. What waits for disks or processes does so on threads.
"""

from __future__ import annotations

import asyncio
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import msgspec

from jupyter_dsage import private_files, settings
from jupyter_dsage.client.start import find_child
from jupyter_dsage.errors import DsageError, EngineError, MissingError
from jupyter_dsage.net.engine_url import parse_urls
from jupyter_dsage.server import commands as c
from jupyter_dsage.server import registry
from jupyter_dsage.server.connections import Connections
from jupyter_dsage.store import sessions
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_dsage.server.connection import Connection
    from jupyter_dsage.store.sessions import Record

LOG_LINES = 200


class Panel:
    """One server's; `root`: the folder that it serves."""

    def __init__(self, root: str) -> None:
        self.connections = Connections()
        self._root = root

    # --- looking -------------------------------------------------------------------------------------------

    async def sessions(self) -> list[dict[str, Any]]:
        """Return a row for each session, oldest first; those that do not answer at once tell less."""
        records = await asyncio.to_thread(registry.found)
        return list(await asyncio.gather(*map(self._row, records)))

    async def _row(self, record: Record) -> dict[str, Any]:
        child = await asyncio.to_thread(registry.living, record)
        row = known(record) | {"alive": child is not None, "pid": child and child.pid}
        row |= {"revivable": child is None and registry.of_this_version(record)}
        row |= {"path": _path(record.notebook, self._root)}
        row |= {"kernels": await asyncio.to_thread(lambda: [each.kernel for each in record.living() if each.kernel])}
        row |= dict.fromkeys(("slots", "workers", "batches", "counts"))
        if child is None:
            return row
        try:
            view = msgspec.json.decode(await self._ask(record.id, m.LookSession, settings.ROW_SECONDS))
        except DsageError:
            return row
        for rows in ("workers", "batches"):
            row[rows] = len(view[rows]) + view[f"more_{rows}"]
        return row | {"slots": view["slots"], "counts": view["counts"]}

    async def session(self, session: str) -> str:
        """Return the view of a session, as JSON."""
        async with self.connections.to(session) as connection:
            return whole(connection.record, await connection.ask(m.LookSession, settings.QUESTION_SECONDS))

    async def batch(self, session: str, batch: int) -> str:
        """Return the snapshot of a batch, as JSON."""
        return await self._ask(session, lambda ask: m.LookBatch(ask, batch))

    async def job(self, session: str, batch: int, job: int) -> str:
        """Return one job in words, as JSON."""
        seconds = settings.SPARE_SECONDS + settings.QUESTION_SECONDS
        return await self._ask(session, lambda ask: m.DescribeJob(ask, batch, job), seconds)

    async def log(self, session: str) -> str:
        """Return the end of a session's log."""
        record = await asyncio.to_thread(registry.find, session)
        return await asyncio.to_thread(_tail, record.store / "child.log")

    async def _ask(self, session: str, question: Any, seconds: float = settings.QUESTION_SECONDS) -> str:
        async with self.connections.to(session) as connection:
            return await connection.ask(question, seconds)

    # --- acting --------------------------------------------------------------------------------------------

    async def obey(self, session: str, command: c.Commands) -> str:
        """Carry a command out; return what was done, in a sentence for people."""
        if isinstance(command, c.Revive):
            return await self._revive(session)
        if isinstance(command, c.Delete):
            return await self._delete(session)
        async with self.connections.to(session) as connection:
            if isinstance(command, c.Die):
                return await self._die(connection)
            if isinstance(command, c.Add):
                return await self._add(connection, command)
            question = await asyncio.to_thread(_question, command)
            return await connection.ask(question, settings.QUESTION_SECONDS)

    @staticmethod
    async def _add(connection: Connection, command: c.Add) -> str:
        seconds = settings.SPARE_SECONDS + settings.QUESTION_SECONDS
        return await connection.ask(lambda ask: m.AddExpression(ask, command.batch, command.text), seconds)

    @staticmethod
    async def _die(connection: Connection) -> str:
        await connection.die()
        await asyncio.to_thread(_remove, connection.record)
        return f"Session {connection.record.name!r} is over, with its processes and its journal."

    @staticmethod
    async def _revive(session: str) -> str:
        record = await asyncio.to_thread(registry.find, session)
        if await asyncio.to_thread(registry.living, record) is not None:
            raise EngineError(f"Session {record.name!r} runs already.")
        await asyncio.to_thread(_start_again, record)
        return f"Session {record.name!r} is revived from its journal: what had ended is there, the rest runs."

    @staticmethod
    async def _delete(session: str) -> str:
        record = await asyncio.to_thread(registry.find, session)
        if await asyncio.to_thread(registry.living, record) is not None:
            raise EngineError(f"Session {record.name!r} runs: end it by die, which deletes its journal too.")
        await asyncio.to_thread(_remove, record)
        return f"The journal of session {record.name!r} is deleted."


def known(record: Record) -> dict[str, Any]:
    """Return what a session's record tells of it."""
    return {
        "id": record.id,
        "name": record.name,
        "created": record.created,
        "kernel": record.kernel,
        "notebook": record.notebook,
    }


def _path(notebook: str, root: str) -> str:
    """Return a notebook's path as the server and its pages have it; empty if it is not below the server's root.

    >>> _path("/home/me/studies/one.ipynb", "/home/me"), _path("/home/you/one.ipynb", "/home/me")
    ('studies/one.ipynb', '')
    """
    path = PurePath(notebook)
    return path.relative_to(root).as_posix() if notebook and path.is_relative_to(root) else ""


def whole(record: Record, view: str) -> str:
    """Return the child's view of its session with what its record tells."""
    made: dict[str, Any] = msgspec.json.decode(view)
    return msgspec.json.encode(made | known(record)).decode()


def _question(command: c.Commands) -> Any:
    """Return what a command asks of the child; the key of a worker server is looked up here."""
    match command:
        case c.Cancel() | c.Retry():
            verb = "cancel" if isinstance(command, c.Cancel) else "retry"
            return lambda ask: m.Order(ask, verb, command.batch, command.job)
        case c.Pause() | c.Resume():
            verb = "pause" if isinstance(command, c.Pause) else "resume"
            return lambda ask: m.Order(ask, verb, command.batch)
        case c.Refresh():
            return m.Refresh
        case c.EngineAdd():
            setup = parse_urls(command.url)[0].setup()
            return lambda ask: m.AddEngine(ask, setup)
        case c.EngineRemove():
            return lambda ask: m.RemoveEngine(ask, command.engine, now=False)
        case c.EngineScale():
            return lambda ask: m.ScaleEngine(ask, command.engine, command.slots)
    raise MissingError(f"There is no command {command!r}.")


def _start_again(record: Record) -> None:
    """Start a session's child, in the Python that it had, and let it go on by itself."""
    find_child(record, alone=True).detach()


def _remove(record: Record) -> None:
    sessions.forget(record.store)
    sessions.remove_runtime_folder(record.setup.folder)


def _tail(path: Path) -> str:
    return "\n".join(private_files.tail(path, 1000 * LOG_LINES).splitlines()[-LOG_LINES:])
