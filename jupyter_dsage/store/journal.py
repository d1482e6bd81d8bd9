"""The journal of one session: a log of what clients asked and of what they were told, in one order, in SQLite.

Written by the child alone (a lock says so), read by it when it is started anew, and by clients that look at outcomes.
A row is a message: its header as it travels, and its payload, inside the row or, if large, in a file of its own. What
the messages mean is not known here.

WAL with ``synchronous=NORMAL``: a commit is one append to the log file, without waiting for the disk; what a crash of
the machine tears off is found by SQLite's checksums, and among the files by `store.payload_files`. On network file
systems, where WAL does not work, a rollback journal is used (https://www.sqlite.org/wal.html).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jupyter_dsage import settings
from jupyter_dsage.errors import JournalBusyError, JournalError
from jupyter_dsage.lazy import psutil
from jupyter_dsage.store.payload_files import SURE, PayloadFiles
from jupyter_dsage.wire import segments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Frame = bytes | memoryview

VERSION = 2
_NETWORK = ("nfs", "cifs", "smb", "afs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "fuse.sshfs", "9p")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log (
    id INTEGER PRIMARY KEY, client INTEGER NOT NULL, header BLOB NOT NULL, payload BLOB, file INTEGER, boot TEXT
);
"""


class Row(NamedTuple):
    """One row. `client`: who asked (0: what the child told); `whole`: its payload is there, and not torn."""

    id: int
    client: int
    header: bytes
    whole: bool


class Journal:
    """The journal in a folder, to be written. Raises JournalError if another process writes it, or it is no journal."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.ballast = self.folder / "ballast"
        """Room that is set aside for when the disk is full."""
        try:
            self.files = PayloadFiles(self.folder / "payloads")
            self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalError(f"The journal in {folder} cannot be opened: {error}.") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._db = self._open_somehow()
            self.next_id = 1 + int(self._db.execute("SELECT coalesce(max(id), 0) FROM log").fetchone()[0])
            self._filed = {row for (row,) in self._db.execute("SELECT id FROM log WHERE file IS NOT NULL")}
            """Rows whose payload has a file."""
        except (OSError, sqlite3.Error, JournalError) as error:
            os.close(self._lock)
            if isinstance(error, BlockingIOError):
                raise JournalBusyError(f"The journal in {folder} is in use: its session is alive.") from None
            if isinstance(error, JournalError):
                raise
            raise JournalError(f"The journal in {folder} cannot be opened: {error}.") from None

    def _open_somehow(self) -> sqlite3.Connection:
        """Open the database; on a full disk at the cost of the ballast."""
        try:
            return self._open()
        except sqlite3.OperationalError:
            if not self.ballast.exists():
                raise
            self.ballast.unlink()
            return self._open()

    def _open(self) -> sqlite3.Connection:
        path = self.folder / "journal.db"
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        db = _connected(path)
        db.execute(f"PRAGMA journal_mode={'TRUNCATE' if on_network(str(self.folder)) else 'WAL'}")
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute("PRAGMA wal_autocheckpoint=0")  # `checkpoint` does it, beside the child's loop
        db.executescript(_SCHEMA)
        db.execute("INSERT OR IGNORE INTO meta VALUES ('version', ?)", (str(VERSION),))
        found = db.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()[0]
        if found != str(VERSION):
            db.close()
            raise JournalError(f"The journal in {self.folder} was written by another version of jupyter_dsage.")
        return db

    # --- writing -------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a transaction."""
        self._db.execute("BEGIN IMMEDIATE")

    def add(self, row: int, client: int, header: Frame, payload: Frame | None, *, filed: bool) -> None:
        """Add a row. `filed`: its payload was written to a file (`write_file`)."""
        inside = None if filed else payload
        size, boot = (memoryview(payload).nbytes, self.files.boot) if filed and payload is not None else (None, None)
        values = (row, client, header, inside, size, boot)
        self._db.execute("INSERT INTO log (id, client, header, payload, file, boot) VALUES (?,?,?,?,?,?)", values)

    def forget(self, row: int) -> None:
        """Let go of a row's payload, which nobody needs any more."""
        self._db.execute("UPDATE log SET payload = NULL, file = NULL, boot = NULL WHERE id = ?", (row,))
        if row in self._filed:
            self._filed.discard(row)
            self.files.path(row).unlink(missing_ok=True)

    def sure(self, row: int) -> None:
        """Note that a row's file is on the disk itself."""
        self._db.execute("UPDATE log SET boot = ? WHERE id = ? AND file IS NOT NULL", (SURE, row))

    def commit(self) -> None:
        """Make what was added last."""
        self._db.execute("COMMIT")

    def roll_back(self) -> None:
        """Undo what was added since `begin`, if SQLite has not done so."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def set_meta(self, key: str, value: str) -> None:
        """Keep a small fact beside the log."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def meta(self, key: str, default: str = "") -> str:
        """Return a small fact."""
        found = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return default if found is None else str(found[0])

    def write_file(self, row: int, payload: Frame) -> None:
        """Write a large payload to its file; raises OSError, and leaves none. May be called from another thread."""
        self._filed.add(row)
        try:
            self.files.write(row, payload)
        except OSError:
            self.files.path(row).unlink(missing_ok=True)
            raise

    def checkpoint(self, files: Iterable[int]) -> None:
        """Have all that was committed, and these rows' files, written to the disk itself; from another thread."""
        self.files.sync(files)
        with _connected(self.folder / "journal.db") as db:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        db.close()

    # --- reading -------------------------------------------------------------------------------------------

    def rows(self) -> Iterator[Row]:
        """Return the rows in order."""
        query = "SELECT id, client, header, payload IS NOT NULL, file, boot FROM log ORDER BY id"
        for row, who, header, inside, size, boot in self._db.execute(query):
            yield Row(row, who, header, bool(inside) or (size is not None and self.files.whole(row, size, boot)))

    def told(self) -> Iterator[Row]:
        """Return the rows that were told up to now, the newest first, while others may be added."""
        return _told(self._db, self.next_id)

    def payload(self, row: int) -> Frame:
        """Return a row's payload; raises JournalError if it is gone."""
        return _payload(self._db, self.files.folder, row)

    def count(self, client: int) -> int:
        """Return how many rows a client has."""
        return int(self._db.execute("SELECT count(*) FROM log WHERE client = ?", (client,)).fetchone()[0])

    def close(self) -> None:
        """Close it, and let others have it."""
        self._db.close()
        os.close(self._lock)


class JournalReader:
    """The same journal as clients and spares read it; payloads from any thread."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._mapping = not on_network(folder)  # what is mapped must not go away
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None

    def payload(self, row: int) -> Frame:
        """Return a row's payload; raises JournalError. A large one is mapped, and read as it is needed."""
        try:
            with self._lock:
                return _payload(self._opened(), self._folder / "payloads", row, mapping=self._mapping)
        except (sqlite3.OperationalError, OSError) as error:  # no descriptor left, a folder that is not to be read
            raise JournalError(f"The journal in {self._folder} cannot be read now ({error}): try again.") from None

    def told(self) -> Iterator[Row]:
        """See `Journal.told`; for the only thread of a process."""
        return _told(self._opened(), settings.MAX_JOBS)

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            path = self._folder / "journal.db"
            if not path.exists():
                raise JournalError(f"The journal in {self._folder} is gone: its session was ended by die().")
            self._db = _connected(path)
        return self._db

    def close(self) -> None:
        """Close it, unless a thread is in the middle of a long read; then it is closed when it is collected."""
        if not self._lock.acquire(timeout=settings.READER_CLOSE_SECONDS):
            return
        try:
            if self._db is not None:
                self._db.close()
                self._db = None
        finally:
            self._lock.release()


def _connected(path: Path) -> sqlite3.Connection:
    # Autocommit: transactions are begun and ended by name. The lock of who calls keeps threads apart.
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)


def _told(db: sqlite3.Connection, below: int) -> Iterator[Row]:
    query = "SELECT id, header FROM log WHERE client = 0 AND id < ? ORDER BY id DESC LIMIT ?"
    while rows := db.execute(query, (below, settings.SYNC_ROWS)).fetchall():
        for row, header in rows:
            yield Row(row, 0, header, whole=True)
        below = rows[-1][0]


def _payload(db: sqlite3.Connection, files: Path, row: int, *, mapping: bool = False) -> Frame:
    found = db.execute("SELECT payload, file FROM log WHERE id = ?", (row,)).fetchone()
    if found is not None and found[1] is not None:
        try:
            return segments.mapped(files / str(row)) if mapping else (files / str(row)).read_bytes()
        except OSError as error:
            raise JournalError(f"A payload of the journal in {files.parent} cannot be read: {error}.") from None
    if found is None or found[0] is None:
        raise JournalError(f"Row {row} of the journal in {files.parent} has no payload any more.")
    return bytes(found[0])


def on_network(folder: str) -> bool:
    """Tell whether a folder lies on a network file system."""
    place = os.path.realpath(folder)
    best, kind = "", ""
    for part in psutil.disk_partitions(all=True):
        inside = place == part.mountpoint or place.startswith(part.mountpoint.rstrip("/") + "/")
        if inside and len(part.mountpoint) >= len(best):
            best, kind = part.mountpoint, part.fstype.lower()
    return kind.startswith(_NETWORK)
