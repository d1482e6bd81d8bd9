"""Which sessions there are: the records that this user's sessions left, each checked before it is believed.

The only place where a session's id becomes a place on disk: an id that comes with a request is compared with those
found here, and nothing else of a request names a file, an address or a process. Reads disks: not for the event loop.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_dsage.errors import JournalError, MissingError
from jupyter_dsage.store import sessions
from jupyter_dsage.version import VERSION

if TYPE_CHECKING:
    from jupyter_dsage.store.sessions import Connection, Record


def found() -> list[Record]:
    """Return the records of this user's sessions, oldest first."""
    return sorted(filter(None, map(_record, _folders())), key=lambda record: record.created)


def find(session: str) -> Record:
    """Return the record of a session by its id; raises MissingError."""
    for folder in _folders():
        if folder.name == session and (record := _record(folder)) is not None:
            return record
    raise MissingError(f"There is no session {session!r:.50}: it was ended, or its journal is gone.")


def _folders() -> list[Path]:
    try:
        return list(sessions.sessions_folder().iterdir())
    except OSError as error:
        raise JournalError(f"The sessions in Jupyter's data directory cannot be read: {error}.") from None


def living(record: Record) -> Connection | None:
    """Return who a session's child is, if it lives and its folder is this user's alone."""
    folder = Path(record.setup.folder)
    if not (_private(folder, directory=True) and _private(folder / "connection.json", directory=False)):
        return None
    return record.connection()


def of_this_version(record: Record) -> bool:
    """Tell whether this version of the package can speak with a session's child, or revive it."""
    return record.package == VERSION


def _record(folder: Path) -> Record | None:
    """Return the record in a folder, if it is this user's, readable by nobody else, and of that folder."""
    if not (_private(folder, directory=True) and _private(folder / "session.json", directory=False)):
        return None
    record = sessions.read(folder)
    return record if record is not None and (record.id, record.store) == (folder.name, folder) else None


def _private(path: Path, *, directory: bool) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    kind = stat.S_ISDIR(found.st_mode) if directory else stat.S_ISREG(found.st_mode)
    return kind and found.st_uid == os.getuid() and not found.st_mode & 0o077
