"""What the command line does with sessions: each verb a function of a name and words that returns a short text.

The sessions are those of other processes. Used by `cli`; in a notebook `%dsage` has the same verbs.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jupyter_dsage.client import processes, which
from jupyter_dsage.client.opening import attach, info_of, sessions
from jupyter_dsage.errors import DsageError, UsageError
from jupyter_dsage.net.runtime import runtime_folder
from jupyter_dsage.process_identity import own_start
from jupyter_dsage.store.sessions import forget, records, sweep_runtime

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jupyter_dsage.client.batch import Batch
    from jupyter_dsage.client.opening import SessionInfo
    from jupyter_dsage.client.session import Session

BATCH_VERBS = ("pause", "resume", "cancel", "retry")


def ps() -> str:
    """Return all sessions of this user with their processes."""
    return "\n\n".join(processes.all_told(())) or "There is no session, and no journal of one."


def status(name: str | None) -> str:
    """Return the engines and the batches of a session."""
    with _looking(name) as session:
        engines = ", ".join(f"{engine.slots} slots on {engine.name} ({engine.state})" for engine in session.engines)
        lines = [f"Session {session.name!r}: child {session.pid}, {engines}"]
        rows = processes.batch_table(session)
        return "\n".join([*lines, *(processes.columns(rows) if rows else ())])


def about_batches(verb: str, name: str | None, batches: Sequence[str]) -> str:
    """Pause, resume, cancel or retry the batches that are named, or all that it may concern."""
    with _looking(name) as session:
        chosen = [_batch(session, each) for each in batches] or [
            batch for batch in session.batches.current().values() if batch.failed or not batch.ready()
        ]
        for batch in chosen:
            getattr(batch, verb)()
        session.settle()
    return f"{verb}: {', '.join(map(session.batches.label, chosen)) or 'no batch that it would concern'}."


def refresh(name: str | None) -> str:
    """Have the workers of a session replaced."""
    with _looking(name) as session:
        return session.refresh()


def log(name: str | None, lines: int) -> str:
    """Return the last lines of a session's log."""
    with _looking(name) as session:
        return session.log_tail(lines)


def die(name: str | None, *, everything: bool, force: bool = False) -> str:
    """End a session, or all; one that does not run loses its journal.

    `force`: also those of another kernel that lives, which are left otherwise. Raises UsageError for one of these.
    """
    chosen = sessions() if everything else [_named(name)]
    theirs = [] if force else [info for info in chosen if others(info)]
    if theirs and not everything:
        raise UsageError(f"{_whose(theirs[0])}; say --force to end its work.")
    for info in chosen:
        if info not in theirs:
            _end(info)
    sweep_runtime(runtime_folder())
    left = [f"Left: {_whose(info)}; --force ends it too." for info in theirs]
    ended = len(chosen) - len(theirs)
    told = [f"Over, with all their processes and journals: {ended}."] if ended else []
    return "\n".join([*told, *left]) or "There is no session."


def others(info: SessionInfo) -> bool:
    """Tell whether a session is that of another process that lives, such as a notebook's kernel."""
    return info.alive and info.owner is not None and not info.owner.is_process(os.getpid(), own_start())


def _whose(info: SessionInfo) -> str:
    owner = info.owner.place if info.owner is not None else "nobody"
    return f"Session {info.name!r} with id {info.id} is that of {owner}, which is running"


def _end(info: SessionInfo) -> None:
    """End a session that was listed; one that has ended meanwhile is as it should be."""
    if not info.alive:
        forget(info.store)
        return
    try:
        attach(info.id, look=True).die()
    except DsageError:
        if any(other.id == info.id for other in sessions()):
            raise


def _named(name: str | None) -> SessionInfo:
    """Return the session that a name or an id means, without one the only one that lives; raises UsageError."""
    there = records()
    found = [each for each in there if each.id == name] or [each for each in there if name in (None, each.name)]
    alive = [each for each in found if each.connection() is not None]
    if len(alive) == 1:
        return info_of(alive[0])
    if name is not None and found:
        return info_of(which.only(name, found))
    raise UsageError(f"Which session? There is {which.listed(alive or there) or 'none'}: say --session NAME.")


@contextmanager
def _looking(name: str | None) -> Iterator[Session]:
    """Attach to a session that lives, without being one of those that it stays for."""
    info = _named(name)
    if not info.alive:
        raise UsageError(f"Session {info.name!r} does not run: attach to it in a notebook, or end it by die.")
    session = attach(info.id, look=True)
    try:
        yield session
    finally:
        session.detach()


def _batch(session: Session, name: str) -> Batch:
    if name not in session.batches:
        raise UsageError(f"There is no batch {name!r}; there is {', '.join(session.batches) or 'none'}.")
    return session.batches[name]
