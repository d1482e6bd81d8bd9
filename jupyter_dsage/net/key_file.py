"""Files that hold keys: read only if they are this user's alone, written whole or not at all.

Used by `net.keys` alone. Knows nothing of what is in them, and never shows it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import stat
from typing import TYPE_CHECKING

from jupyter_dsage import private_files
from jupyter_dsage.errors import KeyFileError, NotOursError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MOST_BYTES = 1_000_000
"""Ten thousand keys: more is no file of ours."""


def read(path: Path) -> str | None:
    """Return the text of a file of this user's, None if there is none; raises KeyFileError."""
    try:
        data = private_files.read(path, closed=private_files.SECRET, most=_MOST_BYTES, what="file of keys")
    except FileNotFoundError:
        return None
    except NotOursError as error:
        raise KeyFileError(str(error)) from None
    except OSError as error:
        raise KeyFileError(
            f"{path} cannot be read ({error.strerror}): a plain file of yours is needed there."
        ) from None
    return data.decode("utf-8", "replace")


def _check(path: Path, status: os.stat_result) -> None:
    """Raise unless a folder belongs to this user and is open to nobody else."""
    if status.st_uid != os.geteuid():
        raise KeyFileError(f"{path} belongs to another user: move it away, or have it given to you (chown).")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise KeyFileError(f"{path} is open to other users: run chmod 700 {shlex.quote(str(path))}")


def make_folder(folder: Path) -> None:
    """Make a folder that is this user's alone; raises KeyFileError if it is there and is not."""
    try:
        private_files.make_folder(folder)
        _check(folder, folder.stat())
    except OSError as error:
        raise KeyFileError(f"The folder {folder} cannot be made ({error.strerror}): set JUPYTER_DATA_DIR.") from None


def write(path: Path, text: str) -> None:
    """Write a file, in place of one that may be there: whoever reads sees all of the old one or of the new one."""
    with _beside(path, text) as made:
        made.replace(path)


def write_new(path: Path, text: str) -> bool:
    """Write a file unless there is one; return whether it was written. Of two processes, one writes."""
    with _beside(path, text) as made:
        try:
            path.hardlink_to(made)
        except FileExistsError:
            return False
        except OSError:  # a file system without links: two at once may both write, and the later one counts
            if path.exists():
                return False
            made.replace(path)
        return True


@contextlib.contextmanager
def _beside(path: Path, text: str) -> Iterator[Path]:
    """Make a file of mode 0600 beside another; it is removed if it is still there afterwards."""
    made = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        yield made
    except OSError as error:
        raise KeyFileError(
            f"{path} cannot be written ({error.strerror}): make room, or set JUPYTER_DATA_DIR."
        ) from None
    finally:
        made.unlink(missing_ok=True)
