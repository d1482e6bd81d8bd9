"""Files and folders that must be this user's alone, in places where other users and stray things may be.

The one reader of session records, connection files, call files and key files. It looks at what lies there (owner, kind,
mode) before it opens it and again at what it has opened, follows no link, waits for no FIFO, and reads a bounded number
of bytes. Folders are made 0700, missing parents too, whatever the umask says.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shlex
import stat
from typing import TYPE_CHECKING

from jupyter_dsage.descriptors import opened
from jupyter_dsage.errors import NotOursError, StartError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SECRET = 0o077
"""Mode bits that a file with a key may not have: others can neither read nor write it."""
UNWRITABLE = 0o022
"""Mode bits that no file of ours may have: nobody else can write it."""
MOST_BYTES = 4_000_000
"""More than any record: a session's has its engines and its import path."""

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC


def read(path: Path, *, closed: int = UNWRITABLE, most: int = MOST_BYTES, what: str = "file of jupyter_dsage") -> bytes:
    """Return the content of a plain file of this user's.

    `closed`: mode bits that it must not have; `most`: bytes that it may have; `what`: what it is, for the sentence.
    Raises OSError: FileNotFoundError where there is none, NotOursError for anything else than such a file.
    """
    try:
        _check(path, path.lstat(), closed)  # before it is opened: to open a device may do something
        with opened(os.open, path, _READ) as file:
            _check(path, os.fstat(file.fileno()), closed)
            data = file.read(most + 1)
    except ValueError:  # a NUL in it
        raise NotOursError(f"{str(path)!r} is no path.") from None
    if len(data) > most:
        raise NotOursError(f"{path} is longer than {most:,} bytes: it is no {what}; move it away.")
    return data


def tail(path: Path, most: int = MOST_BYTES) -> str:
    """Return the end of a log, at most so many bytes; empty where there is no plain file. Anybody's will do."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return ""  # a terminal or a FIFO that the user gave as a log: reading there would wait
        with opened(os.open, path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - most))
            return file.read(most).decode(errors="replace")
    except (OSError, ValueError):
        return ""


def is_folder(path: Path, *, closed: int = UNWRITABLE) -> bool:
    """Tell whether a folder, not a link to one, is there that is this user's and has none of these mode bits."""
    try:
        found = path.lstat()
    except (OSError, ValueError):
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & closed


def folders(place: Path, pattern: str = "") -> list[Path]:
    """Return the folders in a place that are this user's and that nobody else can write to, by name.

    `pattern`: how their names begin. Anything else that lies there is left out. Raises OSError for the place itself.
    """
    return [path for path in sorted(place.iterdir()) if path.name.startswith(pattern) and is_folder(path)]


def data_folder() -> Path:
    """Return where sessions and keys lie, in Jupyter's data directory; raises StartError where there is none."""
    from pathlib import Path

    from jupyter_core.paths import jupyter_data_dir  # 5 ms, which a session without a journal need not wait for

    try:
        return Path(jupyter_data_dir()) / "dsage"
    except (RuntimeError, KeyError, OSError):  # nobody of this number is known to the system, and HOME is not set
        raise StartError(
            f"User {os.getuid()} has no home directory, and so no place for journals and keys: set HOME or "
            "JUPYTER_DATA_DIR. (A session with journal=False on local workers needs neither.)"
        ) from None


def make_folder(folder: Path) -> None:
    """Make a folder, and the parents that are missing, all of mode 0700; one that is there is left as it is."""
    try:
        folder.mkdir(mode=0o700)
    except FileNotFoundError:
        make_folder(folder.parent)
        make_folder(folder)
    except OSError:  # it is there; some systems say so only for want of a reason to refuse
        if not folder.is_dir():
            raise


def close_folders(folders: Iterable[Path]) -> None:
    """Close folders of this user's to others, that older versions left open where the umask is 000."""
    for folder in folders:
        found = folder.stat()
        if found.st_uid == os.geteuid() and found.st_mode & UNWRITABLE:
            folder.chmod(0o700)


def write(path: Path, data: bytes | memoryview) -> None:
    """Write a file that nobody else may read."""
    _write(path, os.O_TRUNC | os.O_NOFOLLOW, data)


def replace(path: Path, data: bytes) -> None:
    """Write a file as `write` does, in place of what may be there: a reader sees all of the old one or of the new."""
    new = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        _write(new, os.O_EXCL, data)
        new.replace(path)
    except BaseException:  # raised again; no half of it stays
        new.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from changing the files of a folder; where the system cannot, go without."""
    with opened(os.open, folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) as lock:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)  # until it is closed
        yield


def _write(path: Path, flags: int, data: bytes | memoryview) -> None:
    rest = memoryview(data)
    with opened(os.open, path, _WRITE | flags, 0o600, mode="wb") as file:
        while rest:
            rest = rest[file.write(rest) :]


def _check(path: Path, found: os.stat_result, closed: int) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise NotOursError(f"{path} is a link: a plain file of yours is needed there; move it away.")
    if not stat.S_ISREG(found.st_mode):
        raise NotOursError(f"{path} is no plain file: move it away.")
    if found.st_uid != os.geteuid():
        raise NotOursError(f"{path} belongs to another user: move it away, or have it given to you (chown).")
    if found.st_mode & closed:
        raise NotOursError(f"{path} is open to other users: run chmod 600 {shlex.quote(str(path))}")
