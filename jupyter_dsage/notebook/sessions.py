"""Which session a magic means. The sessions are those of this process that live, by name: there is no second list."""

from __future__ import annotations

import keyword
import os
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from jupyter_dsage.client.batch import Batch
from jupyter_dsage.client.living import living
from jupyter_dsage.client.opening import found_here, spawn
from jupyter_dsage.errors import UsageError
from jupyter_dsage.process_identity import own_start
from jupyter_dsage.store.sessions import read

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from jupyter_dsage.client.session import Session
    from jupyter_dsage.store.holders import Holder

DEFAULT = "default"
"""The session that the first use starts."""


def by_name() -> dict[str, Session]:
    """Return the living sessions by what tells them apart: the name, and the id where several have one name."""
    sessions = living()
    names = Counter(session.name for session in sessions)
    return {session.name if names[session.name] == 1 else session.id: session for session in sessions}


def find(name: str | None) -> Session | None:
    """Return the session of this name or id; without one this kernel's default or only one; None if there is none.

    Raises UsageError for an unknown name, and where it cannot be told which one is meant.
    """
    sessions = living()
    if name is not None:
        found = [session for session in sessions if session.id == name] or _called(name, sessions)
        if not found:
            raise UsageError(f"There is no session {name!r}; {_there(by_name())}")
        return _one(found)
    if len(sessions) > 1:  # what belongs to another kernel is meant only where there is nothing else
        sessions = [session for session in sessions if not of_another(session)] or sessions
    default = _called(DEFAULT, sessions)
    if len(sessions) > 1 and not default:
        raise UsageError(f"Which session? There is {', '.join(by_name())}: say --session NAME.")
    return _one(default or sessions) if sessions else None


def _called(name: str, sessions: Sequence[Session]) -> list[Session]:
    return [session for session in sessions if session.name == name]


def _one(found: Sequence[Session]) -> Session:
    """Return the only one; raises UsageError where there are several, of one name."""
    if len(found) > 1:
        told = "; ".join(f"id {session.id}{_whose(session)}" for session in found)
        raise UsageError(f"{len(found)} sessions here are named {found[0].name!r}: {told}; say --session ID.")
    return found[0]


def _whose(session: Session) -> str:
    owner = owner_of(session)
    return f" of {owner.place}" if owner is not None else ""


def owner_of(session: Session) -> Holder | None:
    """Return the process whose session this is; None for one without a journal, which is this process's."""
    record = read(session.store) if session.store is not None else None
    return record.owner() if record is not None else None


def of_another(session: Session) -> bool:
    """Tell whether a session is that of another kernel that lives: this one has attached to it."""
    owner = owner_of(session)
    return owner is not None and not owner.is_process(os.getpid(), own_start())


def found(name: str | None) -> Session:
    """Return a session that lives; raises UsageError as `find`, and if there is none."""
    session = find(name)
    if session is None:
        raise UsageError("No session is running: %%scatter or %dsage start starts one.")
    return session


def ready(name: str | None) -> Session:
    """Return the session for new jobs; the first use starts one, with a worker per core."""
    return find(name) or spawn(name=DEFAULT)


def start(urls: Sequence[str], name: str | None) -> Session:
    """Start a session; raises UsageError for a name that is taken, EngineError for a URL."""
    name = name or DEFAULT
    if _called(name, living()):
        raise UsageError(f"A session {name!r} is running already: give this one another --name, or end that one.")
    return spawn(list(urls) or None, name=name)


def batch(name: str, session: str | None, names: Mapping[str, Any]) -> Batch:
    """Return the batch that `name` means: the user's variable, or a batch of the session; raises UsageError."""
    if session is None:
        value = names.get(name)
        if isinstance(value, Batch):
            return value
    place = find(session)
    batches: Mapping[str, Batch] = place.batches if place else {}
    if name not in batches:
        where = f" in session {place.name!r}" if place else ""
        raise UsageError(f"There is no batch {name!r}{where}; {_there(batches)}")
    return batches[name]


def _there(names: Mapping[str, Any]) -> str:
    return f"there is {', '.join(names)}." if names else "there is none."


def replaced(batch: Batch, *, cancel: bool) -> str:
    """Cancel the former batches of a new one's name that have not ended, or say how; empty where there are none."""
    told = []
    for former in batch.session.batches.former(batch.name):
        if former is batch:
            continue
        called, left = label(former), f"{former.counts['waiting']:,}"
        if cancel:
            former.cancel()
            told.append(f"The former {batch.name}, {called}, was cancelled: {left} jobs had not ended.")
        else:
            told.append(
                f"The former {batch.name} still runs: {left} left. '%dsage cancel {called}' ends it; "
                "with --replace on the line this is done at once."
            )
    return "\n".join(told)


def label(batch: Batch) -> str:
    """Return what a batch is called in its session: its name, or NAME#1 if a newer one has the name."""
    return batch.session.batches.label(batch)


def bind(called: str, batch: Batch, names: MutableMapping[str, Any]) -> str:
    """Give a batch its name among the user's, or one that is free; return it. `called`: what its session calls it."""
    name = re.sub(r"\W", "_", called)
    if not name.isidentifier() or keyword.iskeyword(name):
        name = f"_{name}"
    wanted, number = name, 1
    while name in names and names[name] is not batch:
        number += 1
        name = f"{wanted}_{number}"
    names[name] = batch
    return name


def notice() -> str:
    """Return the sentence that says which session of this kernel or notebook there is; empty if there is none."""
    record = found_here()
    if record is None:
        return ""
    state = "is alive" if record.connection() is not None else "has left its journal"
    name = "" if record.name == DEFAULT else f" {record.name}"
    return f"Session {record.name!r} of this notebook {state}: %dsage attach{name} brings it back, with its batches."
