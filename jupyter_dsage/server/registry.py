"""Which sessions there are: the records that this user's sessions left, each checked before it is believed.

The only place where a session's id becomes a place on disk: an id that comes with a request is compared with those
found here, and nothing else of a request names a file, an address or a process. Reads disks: not for the event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dsage.errors import MissingError
from jupyter_dsage.private_files import SECRET
from jupyter_dsage.store import sessions
from jupyter_dsage.version import VERSION

if TYPE_CHECKING:
    from jupyter_dsage.store.sessions import Connection, Record


def found() -> list[Record]:
    """Return the records of this user's sessions that nobody else can read, oldest first. Raises JournalError."""
    return sessions.records(SECRET)


def find(session: str) -> Record:
    """Return the record of a session by its id; raises MissingError, JournalError."""
    for record in found():
        if record.id == session:
            return record
    raise MissingError(f"There is no session {session!r:.50}: it was ended, or its journal is gone.")


def living(record: Record) -> Connection | None:
    """Return who a session's child is, if it lives and its folder is this user's alone."""
    return record.connection(SECRET)


def of_this_version(record: Record) -> bool:
    """Tell whether this version of the package can speak with a session's child, or revive it."""
    return record.package == VERSION
