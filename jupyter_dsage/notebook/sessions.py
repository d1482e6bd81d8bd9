"""Which session a magic means. The sessions are those of this process that live, by name: there is no second list."""

from __future__ import annotations

import keyword
import re
from typing import TYPE_CHECKING, Any

from jupyter_dsage.client.batch import Batch
from jupyter_dsage.client.opening import found_here, spawn
from jupyter_dsage.client.session import living
from jupyter_dsage.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from jupyter_dsage.client.session import Session

DEFAULT = "default"
"""The session that the first use starts."""


def by_name() -> dict[str, Session]:
    """Return the living sessions; where several have one name, the latest."""
    return {session.name: session for session in living()}


def find(name: str | None) -> Session | None:
    """Return the session of this name; without a name the default one, or the only one, or None if there is none.

    Raises UsageError for an unknown name, and where it cannot be told which one is meant.
    """
    sessions = by_name()
    if name is not None:
        if name not in sessions:
            raise UsageError(f"There is no session {name!r}; {_there(sessions)}")
        return sessions[name]
    if DEFAULT in sessions or len(sessions) == 1:
        return sessions.get(DEFAULT) or next(iter(sessions.values()))
    if sessions:
        raise UsageError(f"Which session? There is {', '.join(sessions)}: say --session NAME.")
    return None


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
    if name in by_name():
        raise UsageError(f"A session {name!r} is running already: give this one another --name, or end that one.")
    return spawn(list(urls) or None, name=name)


def batch(name: str, session: str | None, names: Mapping[str, Any]) -> Batch:
    """Return the batch that `name` means: the user's variable, or a batch of the session; raises UsageError."""
    if session is None:
        value = names.get(name)
        if isinstance(value, Batch):
            return value
    place = find(session)
    batches = place.batches if place else {}
    if name not in batches:
        where = f" in session {place.name!r}" if place else ""
        raise UsageError(f"There is no batch {name!r}{where}; {_there(batches)}")
    return batches[name]


def _there(names: Mapping[str, Any]) -> str:
    return f"there is {', '.join(names)}." if names else "there is none."


def bind(batch: Batch, names: MutableMapping[str, Any]) -> str:
    """Give a batch its name among the user's, or one that is free; return it."""
    name = re.sub(r"\W", "_", batch.name)
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
