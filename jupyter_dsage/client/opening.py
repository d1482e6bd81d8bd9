"""How sessions begin, and are found again: `spawn`, `attach`, `sessions`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import msgspec

from jupyter_dsage.client import place
from jupyter_dsage.client.start import find_child, start_child
from jupyter_dsage.errors import UsageError
from jupyter_dsage.lazy import psutil
from jupyter_dsage.net.engine_url import parse_urls
from jupyter_dsage.store import sessions as stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from jupyter_dsage.client.session import Session
    from jupyter_dsage.store.sessions import Record

    Urls = Iterable[str | Sequence[object]] | str | None


def spawn(
    urls: Urls = None,
    name: str | None = None,
    *,
    journal: bool = True,
    on_kernel_exit: Literal["stay", "die"] | None = None,
    services: Mapping[str, Callable[..., Any]] | None = None,
    log: IO[str] | IO[bytes] | None = None,
) -> Session:
    """Start a session: a background process with one local worker per core, or with the engines that `urls` names.

    `urls`: ``"local:?slots=2"``, a list of such, one of Dask's clients or clusters, the module ``ray``, or tuples as in
    2008; `name`: for people, the session's id if left out; `journal`: write down what is asked and what comes of it, so
    that nothing is lost when a process is killed;
    `on_kernel_exit`: ``"stay"`` goes on when this process ends, for `attach` to find, ``"die"`` ends then (left out:
    stay in a notebook, die in a script, and where a notebook runs without a front end); `services`: functions that jobs
    may call by name (``{"/square": square}``); `log`: an open file for the child's log. Returns when the child listens;
    workers start meanwhile. Raises EngineError for a URL that cannot be used, UnpicklableError for a service that
    cannot travel, UsageError for what contradicts itself, StartError if the child does not start.
    """
    if on_kernel_exit not in (None, "stay", "die"):
        raise UsageError(f"on_kernel_exit={on_kernel_exit!r} is unknown: use 'stay' or 'die'.")
    if on_kernel_exit == "stay" and not journal:
        raise UsageError("on_kernel_exit='stay' needs the journal: without it nobody could come back to the session.")
    stay = journal and (
        on_kernel_exit == "stay" or (on_kernel_exit is None and bool(place.kernel()) and place.looked_at())
    )
    engines = parse_urls(urls)
    for service in (services or {}).values():
        from jupyter_dsage.wire import payload

        payload.dump_function(service)  # before anything starts: one that cannot travel is named here
    starting = start_child(engines, log, name=name, journal=journal, stay=stay)
    try:
        from jupyter_dsage.client.session import Session  # 50 ms, while the child loads too

        child = starting.finish()
    except BaseException:  # whatever it is, the child goes; raised again
        starting.give_up()
        raise
    return Session(child, engines, name, services or {}, stay=stay)


def attach(name: str | None = None, *, look: bool = False) -> Session:
    """Return a session that was started before, by this kernel or another process, with its batches.

    `name`: its name or id. Left out, it is the session of this kernel (also as it was before a restart), else of this
    notebook, else the only one that lives. A session whose child is gone is revived from its journal: what had ended is
    there, the rest runs. `look`: only look and give orders; the child does not stay for such a client. Raises
    UsageError where it cannot be told which one is meant, StartError if it cannot be revived.
    """
    from jupyter_dsage.client.session import Session, living

    record = _meant(name)
    for session in living():
        if session.id == record.id:
            return session
    child = find_child(record)
    session = Session(child, (), record.name, stay=True, look=look)
    if not look:
        _mark(record)
    return session


def found_here() -> Record | None:
    """Return the session of this kernel, or of this notebook, that `attach` would bring back; None if there is none."""
    from jupyter_dsage.client.session import living

    here = {session.id for session in living()}
    records = [record for record in stored.records() if record.id not in here]
    return _of_this_place(records)


def _of_this_place(records: list[Record]) -> Record | None:
    kernel, notebook = place.kernel(), place.notebook()
    for mine in (
        [record for record in records if kernel and record.kernel == kernel],
        [record for record in records if notebook and record.notebook == notebook],
    ):
        if mine:
            alive = [record for record in mine if record.connection() is not None]
            return (alive or mine)[-1]
    return None


def _meant(name: str | None) -> Record:
    records = stored.records()
    alive = [record for record in records if record.connection() is not None]
    if name is not None:
        named = [record for record in records if name in (record.name, record.id)]
        here = _of_this_place(named)
        if here is None and named:
            here = next((record for record in reversed(alive) if record in named), named[-1])
        if here is None:
            raise UsageError(f"There is no session {name!r}; {_there(records)}")
        return here
    from jupyter_dsage.client.session import living

    living_here = {session.id for session in living()}
    away = [record for record in records if record.id not in living_here]
    if (here := _of_this_place(away) or _of_this_place(records)) is not None:
        return here
    if len(alive) == 1:
        return alive[0]
    if not records:
        raise UsageError("There is no session to attach to: %dsage start or dsage.spawn() starts one.")
    raise UsageError(f"Which session? {_there(alive or records)} Say attach(NAME).")


def _there(records: list[Record]) -> str:
    return f"there is {', '.join(dict.fromkeys(record.name for record in records))}." if records else "there is none."


def _mark(record: Record) -> None:
    """Have the session found by this kernel and notebook from now on."""
    now = stored.read(record.store) or record
    kernel, notebook = place.kernel() or now.kernel, place.notebook() or now.notebook
    if (kernel, notebook) != (now.kernel, now.notebook):
        stored.write(msgspec.structs.replace(now, kernel=kernel, notebook=notebook))


@dataclass(frozen=True)
class SessionInfo:
    """A session that lives, or that left a journal. `pids`: its processes on this host, the child first."""

    name: str
    id: str
    alive: bool
    created: float
    """Seconds since the epoch."""
    kernel: str
    notebook: str
    folder: str
    """Where its journal is."""
    pids: tuple[int, ...]

    @property
    def store(self) -> Path:
        """The same folder, as a path."""
        return Path(self.folder)


def sessions() -> list[SessionInfo]:
    """Return this user's sessions with a journal, oldest first: those that live and those that `attach` can revive."""
    found = []
    for record in stored.records():
        connection = record.connection()
        pids = () if connection is None else (connection.pid, *_below(connection.pid))
        known = (record.name, record.id, connection is not None, record.created, record.kernel, record.notebook)
        found.append(SessionInfo(*known, str(record.store), pids))
    return found


def _below(pid: int) -> list[int]:
    try:
        return [process.pid for process in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
