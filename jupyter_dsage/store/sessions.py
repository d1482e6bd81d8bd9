"""Where sessions are found again: one folder each in Jupyter's data directory, with a record and the journal.

The record says whose session it is (kernel, notebook); a *connection file* in the runtime folder, written by the child
when it listens, says where it listens and which process it is. A session lives if that process does.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
from msgspec import Meta

from jupyter_dsage import private_files, settings
from jupyter_dsage.errors import JournalError, NotOursError
from jupyter_dsage.private_files import UNWRITABLE
from jupyter_dsage.process_identity import Start, lives, own_start
from jupyter_dsage.store.holders import Holder, with_holder, without_holder
from jupyter_dsage.wire.setup import ChildSetup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)

T = TypeVar("T")


_LATEST = 1e11
"""Seconds since the epoch that can still be shown as a date."""


class Connection(msgspec.Struct, frozen=True):
    """A connection file: the child's pid and start (see `process_identity`)."""

    pid: int
    started: Start


class Record(msgspec.Struct, frozen=True):
    """What is known of a session without its child. `kernel`: the name of its kernel's connection file.

    `setup`: how its child was started, and is started anew; `package`: the version that wrote the journal; `holders`:
    see `store.holders` (records of older versions have none).
    """

    id: str
    name: str
    created: Annotated[float, Meta(ge=0, le=_LATEST)]
    kernel: str
    notebook: str
    package: str
    setup: ChildSetup
    holders: tuple[Holder, ...] = ()

    @property
    def store(self) -> Path:
        """The session's own folder in the data directory."""
        return Path(self.setup.store)

    def with_notebooks(self, path: Callable[[str, str], str]) -> Record:
        """Return it with the notebook's path of itself and its holders, as `path` tells it from kernel and notebook."""
        holders = [msgspec.structs.replace(each, notebook=path(each.kernel, each.notebook)) for each in self.holders]
        return msgspec.structs.replace(self, notebook=path(self.kernel, self.notebook), holders=tuple(holders))

    def owner(self) -> Holder | None:
        """Return the process whose session this is, if one that has it lives."""
        return next(self.living(), None)

    def living(self) -> Iterator[Holder]:
        """Yield the processes that have the session and live, its owner first."""
        first = Holder(self.setup.owner, self.setup.owner_started, self.kernel, self.notebook)
        return (holder for holder in self.holders or (first,) if holder.lives)

    def connection(self, closed: int = UNWRITABLE) -> Connection | None:
        """Return who its child is, if it lives. `closed`: mode bits that the file and its folder may not have."""
        found = _connection(Path(self.setup.folder), "connection.json", closed)
        return found if found is not None and lives(found.pid, found.started) else None


_FORGOTTEN_SECONDS = 86400.0
_RUNTIME = "dsage-"
"""How the names of runtime folders begin."""
_noted: set[Path] = set()
"""Files of which it has been said that they cannot be used: once a process."""


def sessions_folder() -> Path:
    """Return the folder of all sessions' folders, made of mode 0700."""
    folder = private_files.data_folder() / "sessions"
    private_files.make_folder(folder)
    private_files.close_folders([folder.parent, folder])
    return folder


def new_id() -> str:
    """Return 8 random hexadecimal digits: short enough for a socket path, enough for one user's sessions."""
    return os.urandom(4).hex()


def new_folder(session: str) -> Path:
    """Make the folder of a new session."""
    folder = sessions_folder() / session
    folder.mkdir(mode=0o700)
    return folder


def write(record: Record) -> None:
    """Write a session's record, whole or not at all."""
    private_files.replace(record.store / "session.json", msgspec.json.encode(record))


def write_connection(folder: str) -> None:
    """Write the connection file of the calling process."""
    private_files.replace(Path(folder) / "connection.json", _me())


def new_runtime_folder(base: str) -> str:
    """Make a folder for a child's sockets, of mode 0700; it says who made it until that child has written its own."""
    folder = tempfile.mkdtemp(prefix=_RUNTIME, dir=base)
    try:
        private_files.replace(Path(folder) / "maker.json", _me())
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def new_host_folder(base: str) -> str:
    """Make a folder, as `new_runtime_folder` does, for who serves here without a child, and would leave it if killed.

    Those that others have left so go now: there may never be a child here, which would do that.
    """
    sweep_runtime(base)
    return new_runtime_folder(base)


def sweep_runtime(base: str) -> None:
    """Remove the folders of children that are gone, and of those that never came since their maker was killed."""
    try:
        there = private_files.folders(Path(base), _RUNTIME)
    except OSError as error:
        log.warning("What dead sessions left in %s stays: %s.", base, error)
        return
    for folder in there:
        found = [_connection(folder, name) for name in ("maker.json", "connection.json")]
        processes = [process for process in found if process is not None]
        if processes and not any(lives(process.pid, process.started) for process in processes):
            remove_runtime_folder(folder)


def remove_runtime_folder(folder: str | Path) -> None:
    """Remove a session's runtime folder, if it is one: what a record names is not believed."""
    path = Path(folder)
    if path.name.startswith(_RUNTIME) and private_files.is_folder(path):
        shutil.rmtree(path, ignore_errors=True)


def _me() -> bytes:
    return msgspec.json.encode(Connection(os.getpid(), own_start()))


def _connection(folder: Path, name: str, closed: int = UNWRITABLE) -> Connection | None:
    """Return what a connection file says, if its folder and it are this user's."""
    return _decoded(folder / name, Connection, closed) if private_files.is_folder(folder, closed=closed) else None


def _decoded(path: Path, kind: type[T], closed: int) -> T | None:
    """Return what a file holds; None, and once a sentence in the log, for one that holds something else."""
    try:
        return msgspec.json.decode(private_files.read(path, closed=closed), type=kind)
    except FileNotFoundError:
        return None
    except NotOursError as error:
        why = str(error)
    except (OSError, msgspec.DecodeError, RecursionError) as error:
        why = f"{path} cannot be read ({error}): remove it."
    if path not in _noted:
        _noted.add(path)
        log.warning("A file where sessions are found is left out: %s", why)
    return None


def read(folder: Path, closed: int = UNWRITABLE) -> Record | None:
    """Return the record in a session's folder, or None where there is none that can be read, and is that folder's.

    `closed`: mode bits that neither may have. Its `store` is that folder, whatever the record says.
    """
    if not private_files.is_folder(folder, closed=closed):
        return None
    record = _decoded(folder / "session.json", Record, closed)
    if record is None:
        return None
    if record.id != folder.name:
        log.warning("The record in %s is left out: it is that of session %r.", folder, record.id)
        return None
    return msgspec.structs.replace(record, setup=msgspec.structs.replace(record.setup, store=str(folder)))


def records(closed: int = UNWRITABLE) -> list[Record]:
    """Return all sessions that left a record, oldest first; what else lies there is left out. `closed`: see `read`.

    Raises JournalError where the folder of all sessions cannot be read.
    """
    found = [record for folder in _folders() if (record := read(folder, closed)) is not None]
    return sorted(found, key=lambda record: record.created)


def _folders() -> list[Path]:
    try:
        return private_files.folders(sessions_folder())
    except OSError as error:
        raise JournalError(f"The sessions in Jupyter's data directory cannot be read: {error}.") from None


def hold(store: Path, holder: Holder) -> None:
    """Note in a session's record that a process has it from now on; if nobody else has, it is its session.

    Where that cannot be written (a full disk) the log says so: the session works, and is found as before.
    """

    def held(record: Record) -> Record:
        holders = with_holder(record.holders, holder)
        new = msgspec.structs.replace(record, holders=holders)
        if (owner := new.owner()) is None or owner != holder:
            return new
        here = {"kernel": holder.kernel or record.kernel, "notebook": holder.notebook or record.notebook}
        return msgspec.structs.replace(new, **here)

    _note(store, held)


def let_go(store: Path, pid: int, started: Start) -> None:
    """Note in a session's record that a process does not have it any more."""
    _note(
        store,
        lambda record: msgspec.structs.replace(record, holders=without_holder(record.holders, pid, started)),
    )


def _note(store: Path, change: Callable[[Record], Record]) -> None:
    try:
        update(store, change)
    except OSError as error:
        log.warning("Which kernel has the session in %s is not noted: %s.", store, error)


def update(store: Path, change: Callable[[Record], Record]) -> None:
    """Change a session's record, if there is one; of several processes that do so, one after the other."""
    if not private_files.is_folder(store):
        return  # it has ended
    with private_files.locked(store):
        record = read(store)
        if record is not None and (new := change(record)) != record:
            write(new)


def took_over(setup: ChildSetup) -> str:
    """Note in a session's record which child it has now; called by that child, which holds the journal.

    Returns the runtime folder of the child before it, empty if there was none.
    """
    record = read(Path(setup.store))
    if record is None:
        return ""

    def taken(record: Record) -> Record:
        return msgspec.structs.replace(record, setup=setup)

    try:
        update(record.store, taken)
    except OSError:
        (Path(setup.store) / "ballast").unlink(missing_ok=True)  # the disk is full: this is what it was for
        update(record.store, taken)
    return record.setup.folder if record.setup.folder != setup.folder else ""


def forget(store: Path, *, keep: bool = False) -> None:
    """Remove a session from the disk; with `keep` only from the list, since its outcomes are still read."""
    (store / "session.json").unlink(missing_ok=True)
    if not keep:
        shutil.rmtree(store, ignore_errors=True)


def sweep(now: float | None = None) -> list[str]:
    """Remove the journals that are too old, and the oldest of those that are too large together; never a live one.

    Returns the ids of those removed. What cannot be removed stays, and the log says so.
    """
    try:
        return _sweep(time.time() if now is None else now)
    except (OSError, JournalError) as error:
        log.warning("Old journals stay: %s", error)
        return []


def _sweep(now: float) -> list[str]:
    dead = [(_touched(record), _size(record.store), record) for record in records() if record.connection() is None]
    dead.sort(key=lambda part: part[0], reverse=True)
    gone, total = [], 0
    for touched, size, record in dead:
        total += size
        if now - touched > settings.JOURNAL_DAYS * 86400 or total > settings.JOURNALS_BYTES:
            remove_runtime_folder(record.setup.folder)
            forget(record.store)
            gone.append(record.id)
    known = {record.id for record in records()}
    for folder in _folders():  # of sessions that were ended, and whose readers were killed; or with a damaged record
        kept = settings.JOURNAL_DAYS * 86400 if os.path.lexists(folder / "session.json") else _FORGOTTEN_SECONDS
        if folder.name not in known and now - _changed(folder, now) > kept:
            forget(folder)
            gone.append(folder.name)
    return gone


def _changed(folder: Path, now: float) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return now  # it went meanwhile


def _touched(record: Record) -> float:
    names = ("session.json", "journal.db", "journal.db-wal")
    return max(record.created, *(_changed(record.store / name, record.created) for name in names))


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118  (os.walk gives texts)
            except FileNotFoundError:
                continue  # it went meanwhile
    return total
