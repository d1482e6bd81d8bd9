"""What the command line does with sessions: each verb a function of a name and words that returns a short text.

The sessions are those of other processes. Used by `cli`; in a notebook `%dsage` has the same verbs.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from jupyter_dsage.client import processes
from jupyter_dsage.client.opening import attach, sessions
from jupyter_dsage.errors import DsageError, UsageError
from jupyter_dsage.net.runtime import runtime_folder
from jupyter_dsage.store.sessions import forget, sweep_runtime

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
        words = ("waiting", "finished", "failed", "lost", "cancelled")
        rows: list[tuple[str, ...]] = [("batch", "jobs", *words)]
        for batch in session.batches.values():
            counts = batch.counts
            rows += [(batch.name, str(len(batch)), *(str(counts[word]) for word in words))]
        return "\n".join([*lines, *(processes.columns(rows) if len(rows) > 1 else ())])


def about_batches(verb: str, name: str | None, batches: Sequence[str]) -> str:
    """Pause, resume, cancel or retry the batches that are named, or all that it may concern."""
    with _looking(name) as session:
        chosen = [_batch(session, each) for each in batches] or [
            batch for batch in session.batches.values() if batch.failed or not batch.ready()
        ]
        for batch in chosen:
            getattr(batch, verb)()
        session.settle()
    return f"{verb}: {', '.join(batch.name for batch in chosen) or 'no batch that it would concern'}."


def refresh(name: str | None) -> str:
    """Have the workers of a session replaced."""
    with _looking(name) as session:
        return session.refresh()


def log(name: str | None, lines: int) -> str:
    """Return the last lines of a session's log."""
    with _looking(name) as session:
        return session.log_tail(lines)


def die(name: str | None, *, everything: bool) -> str:
    """End a session, or all; one that does not run loses its journal."""
    chosen = sessions() if everything else [_named(name)]
    for info in chosen:
        _end(info)
    sweep_runtime(runtime_folder())
    return f"Over, with all their processes and journals: {len(chosen)}." if chosen else "There is no session."


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
    found = [info for info in sessions() if name in (None, info.name, info.id)]
    alive = [info for info in found if info.alive]
    if name is None and len(alive) == 1:
        return alive[0]
    if name is not None and found:
        return (alive or found)[-1]
    there = ", ".join(dict.fromkeys(info.name for info in sessions())) or "none"
    raise UsageError(f"Which session? There is {there}: say --session NAME.")


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
