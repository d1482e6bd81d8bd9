"""Which session a name means, of all that this user has: by kernel, by notebook, by name or id.

Used by `attach`, by the magics and by the command line. A name stands for the newest session of its kernel and
notebook; where it could mean the sessions of several, it is refused with a list of them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from jupyter_dsage.client import place
from jupyter_dsage.client.living import living
from jupyter_dsage.errors import UsageError
from jupyter_dsage.store import sessions as stored
from jupyter_dsage.store.holders import place as place_in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jupyter_dsage.store.sessions import Record

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def meant(name: str | None) -> Record:
    """Return the session that a name or an id means; without one that of this place, or the only one that lives.

    Raises UsageError, with the sessions that it could be.
    """
    records = stored.records()
    here = {session.id for session in living()}
    if name is not None:
        return _named(name, records, here)
    away = [record for record in records if record.id not in here]
    if (found := of_this_place(away) or of_this_place(records)) is not None:
        return found
    alive = [record for record in records if record.connection() is not None]
    if len(alive) == 1:
        return alive[0]
    if not records:
        raise UsageError("There is no session to attach to: %dsage start or dsage.spawn() starts one.")
    raise UsageError(f"Which session? There is {listed(alive or records)}: say its id.")


def _named(name: str, records: Sequence[Record], here: set[str]) -> Record:
    found = [record for record in records if record.id == name] or [record for record in records if record.name == name]
    if not found:
        there = listed(records) if records else "none"
        raise UsageError(f"There is no session {name!r}; there is {there}.")
    mine = [record for record in found if record.id in here]
    return mine[-1] if mine else of_this_place(found) or only(name, found)


def only(name: str, found: Sequence[Record]) -> Record:
    """Return what a name stands for, of all sessions that have it, oldest first.

    Of one kernel and notebook: the session that lives, else the newest. Raises UsageError where there are more.
    """
    could_be: list[Record] = []
    for where in dict.fromkeys((record.kernel, record.notebook) for record in found):
        there = [record for record in found if (record.kernel, record.notebook) == where]
        could_be += [record for record in there if record.connection() is not None] or there[-1:]
    if len(could_be) > 1:
        raise UsageError(f"{len(could_be)} sessions are named {name!r}: {listed(could_be)}; say which one by its id.")
    return could_be[0]


def of_this_place(records: Sequence[Record]) -> Record | None:
    """Return the session of this kernel, else of this notebook; also one that it had, and that is another's now."""
    kernel, notebook = place.kernel(), place.notebook()
    tests: list[Callable[[Record], bool]] = [
        lambda record: record.kernel == kernel != "",
        lambda record: kernel != "" and any(holder.kernel == kernel for holder in record.holders),
        lambda record: record.notebook == notebook != "",
        lambda record: notebook != "" and any(holder.notebook == notebook for holder in record.holders),
    ]
    for test in tests:
        if mine := [record for record in records if test(record)]:
            alive = [record for record in mine if record.connection() is not None]
            return (alive or mine)[-1]
    return None


def listed(records: Sequence[Record]) -> str:
    """Return sessions in words that tell them apart: name, id, whose they are, their age."""
    return "; ".join(map(_told, records))


def _told(record: Record) -> str:
    owner = place_in_words(record.kernel, record.notebook) or "a script"
    lives = "running" if record.connection() is not None else "not running"
    return f"{record.name!r} with id {record.id} ({owner}; {lives}, started {age(record.created)} ago)"


def age(created: float) -> str:
    """Return how long ago something was (seconds since the epoch), roughly, in words.

    >>> age(time.time() - 200)
    '3 minutes'
    """
    passed = max(1, int(time.time() - created))
    seconds, unit = next((each for each in _UNITS if passed >= each[0]), _UNITS[-1])
    count = passed // seconds
    return f"{count} {unit}{'' if count == 1 else 's'}"
