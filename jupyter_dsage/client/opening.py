"""How sessions begin, and are found again: `spawn`, `attach`, `sessions`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from jupyter_dsage.client import place, which
from jupyter_dsage.client.living import living
from jupyter_dsage.client.location import check_environment
from jupyter_dsage.client.start import find_child, start_child
from jupyter_dsage.client.waiting import whole
from jupyter_dsage.errors import UsageError
from jupyter_dsage.lazy import psutil
from jupyter_dsage.net.engine_url import parse_urls
from jupyter_dsage.store import sessions as stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from jupyter_dsage.client.session import Session
    from jupyter_dsage.store.holders import Holder
    from jupyter_dsage.store.sessions import Record

    Urls = Iterable[str | Sequence[object]] | str | None


def spawn(
    urls: Urls = None,
    name: str | None = None,
    *,
    journal: bool = True,
    on_kernel_exit: Literal["stay", "die"] | None = None,
    services: Mapping[str, Callable[..., Any]] | None = None,
    env: Mapping[str, str] | None = None,
    log: IO[str] | IO[bytes] | None = None,
) -> Session:
    """Start a session: a background process with one local worker per core, or with the engines that `urls` names.

    `urls`: ``"local:?slots=2"``, a list of such, one of Dask's clients or clusters, the module ``ray``, or tuples as in
    2008; `name`: for people, the session's id if left out; `journal`: write down what is asked and what comes of it, so
    that nothing is lost when a process is killed;
    `on_kernel_exit`: ``"stay"`` goes on when this process ends, for `attach` to find, ``"die"`` ends then (left out:
    stay in a notebook, die in a script, and where a notebook runs without a front end); `services`: functions that jobs
    may call by name (``{"/square": square}``); `env`: environment variables for the workers of this host, beside those
    that this process has (``{"OMP_NUM_THREADS": "1"}``); `log`: an open file for the child's log. Returns when the
    child listens; workers start meanwhile. Raises EngineError for a URL that cannot be used, UnpicklableError for a
    service that cannot travel, UsageError for what contradicts itself, StartError if the child does not start.
    """
    if on_kernel_exit not in (None, "stay", "die"):
        raise UsageError(f"on_kernel_exit={on_kernel_exit!r} is unknown: use 'stay' or 'die'.")
    if on_kernel_exit == "stay" and not journal:
        raise UsageError("on_kernel_exit='stay' needs the journal: without it nobody could come back to the session.")
    stay = journal and (
        on_kernel_exit == "stay" or (on_kernel_exit is None and bool(place.kernel()) and place.looked_at())
    )
    engines, variables = parse_urls(urls), check_environment(env)
    for service in (services or {}).values():
        from jupyter_dsage.wire import payload

        payload.dump_function(service)  # before anything starts: one that cannot travel is named here

    def start() -> Session:
        starting = start_child(engines, log, name=name, journal=journal, stay=stay, env=variables)
        try:
            from jupyter_dsage.client.session import Session  # 50 ms, while the child loads too

            child = starting.finish()
        except BaseException:  # whatever it is, the child goes; raised again
            starting.give_up()
            raise
        return Session(child, engines, name, services or {}, stay=stay)

    return whole(start, lambda session: session.enlist(), lambda session: session.die())


def attach(name: str | None = None, *, look: bool = False) -> Session:
    """Return a session that was started before, by this kernel or another process, with its batches.

    `name`: its name or id; of several with one name that of this kernel or notebook. Left out, it is the session of
    this kernel (also as it was before a restart), else of this notebook, else the only one that lives. A session whose
    child is gone is revived from its journal: what had ended is there, the rest runs. `look`: only look and give
    orders; the child does not stay for such a client. Raises UsageError where it cannot be told which one is
    meant, StartError if it cannot be revived.
    """
    from jupyter_dsage.client.session import Session

    record = which.meant(name)
    for session in living():
        if session.id == record.id:
            return session

    def connect() -> Session:
        session = Session(find_child(record), (), record.name, stay=True, look=look)
        if not look:
            stored.hold(record.store, place.here())
        return session

    return whole(connect, lambda session: session.enlist(), lambda session: session.detach())


def found_here() -> Record | None:
    """Return the session of this kernel, or of this notebook, that `attach` would bring back; None if there is none."""
    here = {session.id for session in living()}
    records = [record for record in stored.records() if record.id not in here]
    return which.of_this_place(records)


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
    owner: Holder | None = None
    """The process whose session it is (a kernel, a script), if that lives."""

    @property
    def store(self) -> Path:
        """The same folder, as a path."""
        return Path(self.folder)


def sessions() -> list[SessionInfo]:
    """Return this user's sessions with a journal, oldest first: those that live and those that `attach` can revive."""
    return list(map(info_of, stored.records()))


def info_of(record: Record) -> SessionInfo:
    """Return what there is to know of a session."""
    connection = record.connection()
    pids = () if connection is None else (connection.pid, *_below(connection.pid))
    known = (record.name, record.id, connection is not None, record.created, record.kernel, record.notebook)
    return SessionInfo(*known, str(record.store), pids, record.owner())


def _below(pid: int) -> list[int]:
    try:
        return [process.pid for process in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
