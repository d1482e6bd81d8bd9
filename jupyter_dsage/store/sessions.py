"""Where sessions are found again: one folder each in Jupyter's data directory, with a record and the journal.

The record says whose session it is (kernel, notebook); a *connection file* in the runtime folder, written by the child
when it listens, says where it listens and which process it is. A session lives if that process does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

import msgspec

from jupyter_dsage import settings
from jupyter_dsage.process_identity import Start, lives, own_start
from jupyter_dsage.store.private import write_private
from jupyter_dsage.wire.setup import ChildSetup


class Connection(msgspec.Struct, frozen=True):
    """A connection file: the child's pid and start (see `process_identity`)."""

    pid: int
    started: Start


class Record(msgspec.Struct, frozen=True):
    """What is known of a session without its child. `kernel`: the name of its kernel's connection file.

    `setup`: how its child was started, and is started anew; `package`: the version that wrote the journal.
    """

    id: str
    name: str
    created: float
    kernel: str
    notebook: str
    package: str
    setup: ChildSetup

    @property
    def store(self) -> Path:
        """The session's own folder in the data directory."""
        return Path(self.setup.store)

    def connection(self) -> Connection | None:
        """Return who its child is, if it lives."""
        try:
            found = msgspec.json.decode((Path(self.setup.folder) / "connection.json").read_bytes(), type=Connection)
        except (OSError, msgspec.DecodeError):
            return None
        return found if lives(found.pid, found.started) else None


_FORGOTTEN_SECONDS = 86400.0


def sessions_folder() -> Path:
    """Return the folder of all sessions' folders, made of mode 0700."""
    from jupyter_core.paths import jupyter_data_dir  # 5 ms, which a session without a journal need not wait for

    folder = Path(jupyter_data_dir()) / "dsage" / "sessions"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
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
    _write(record.store / "session.json", msgspec.json.encode(record))


def write_connection(folder: str) -> None:
    """Write the connection file of the calling process."""
    _write(Path(folder) / "connection.json", _me())


def new_runtime_folder(base: str) -> str:
    """Make a folder for a child's sockets, of mode 0700; it says who made it until that child has written its own."""
    folder = tempfile.mkdtemp(prefix="dsage-", dir=base)
    _write(Path(folder) / "maker.json", _me())
    return folder


def new_host_folder(base: str) -> str:
    """Make a folder, as `new_runtime_folder` does, for who serves here without a child, and would leave it if killed.

    Those that others have left so go now: there may never be a child here, which would do that.
    """
    sweep_runtime(base)
    return new_runtime_folder(base)


def sweep_runtime(base: str) -> None:
    """Remove the folders of children that are gone, and of those that never came since their maker was killed."""
    for folder in Path(base).glob("dsage-*"):
        processes = []
        for name in ("maker.json", "connection.json"):
            with contextlib.suppress(OSError, msgspec.DecodeError):
                processes.append(msgspec.json.decode((folder / name).read_bytes(), type=Connection))
        if processes and not any(lives(process.pid, process.started) for process in processes):
            shutil.rmtree(folder, ignore_errors=True)


def _me() -> bytes:
    return msgspec.json.encode(Connection(os.getpid(), own_start()))


def _write(path: Path, data: bytes) -> None:
    new = path.with_suffix(f".{os.getpid()}")
    write_private(new, data)
    new.replace(path)


def read(folder: Path) -> Record | None:
    """Return the record in a session's folder, or None where there is none that can be read."""
    try:
        return msgspec.json.decode((folder / "session.json").read_bytes(), type=Record)
    except (OSError, msgspec.DecodeError):
        return None


def records() -> list[Record]:
    """Return all sessions that left a record, oldest first."""
    found = [record for folder in sessions_folder().iterdir() if (record := read(folder)) is not None]
    return sorted(found, key=lambda record: record.created)


def took_over(setup: ChildSetup) -> str:
    """Note in a session's record which child it has now; called by that child, which holds the journal.

    Returns the runtime folder of the child before it, empty if there was none.
    """
    record = read(Path(setup.store))
    if record is None:
        return ""
    new = msgspec.structs.replace(record, setup=setup)
    try:
        write(new)
    except OSError:
        (Path(setup.store) / "ballast").unlink(missing_ok=True)  # the disk is full: this is what it was for
        write(new)
    return record.setup.folder if record.setup.folder != setup.folder else ""


def forget(store: Path, *, keep: bool = False) -> None:
    """Remove a session from the disk; with `keep` only from the list, since its outcomes are still read."""
    (store / "session.json").unlink(missing_ok=True)
    if not keep:
        shutil.rmtree(store, ignore_errors=True)


def sweep(now: float | None = None) -> list[str]:
    """Remove the journals that are too old, and the oldest of those that are too large together; never a live one.

    Returns the ids of those removed.
    """
    now = time.time() if now is None else now
    dead = [(_touched(record), _size(record.store), record) for record in records() if record.connection() is None]
    dead.sort(key=lambda part: part[0], reverse=True)
    gone, total = [], 0
    for touched, size, record in dead:
        total += size
        if now - touched > settings.JOURNAL_DAYS * 86400 or total > settings.JOURNALS_BYTES:
            shutil.rmtree(record.setup.folder, ignore_errors=True)
            forget(record.store)
            gone.append(record.id)
    for folder in sessions_folder().iterdir():  # of sessions that were ended, and whose readers were killed
        if read(folder) is None and now - folder.stat().st_mtime > _FORGOTTEN_SECONDS:
            forget(folder)
            gone.append(folder.name)
    return gone


def _touched(record: Record) -> float:
    files = [
        path for name in ("session.json", "journal.db", "journal.db-wal") if (path := record.store / name).exists()
    ]
    return max((path.stat().st_mtime for path in files), default=record.created)


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118  (os.walk gives texts)
            except FileNotFoundError:
                continue  # it went meanwhile
    return total
