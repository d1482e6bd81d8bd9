"""Where this process works and imports from: what its functions take along to the workers of this host.

A notebook changes both after its session has started (`os.chdir`, ``sys.path.append``), so they are looked at with
each function (0.8 us), and travel with it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from jupyter_dsage.errors import UsageError
from jupyter_dsage.wire import brief

Place = tuple[str, tuple[str, ...]]
"""Working directory and import path."""


class Location:
    """`now` returns the same object for as long as nothing has changed."""

    def __init__(self) -> None:
        self._seen: tuple[str, list[str], Place] = "", [], ("", ())

    def now(self) -> Place:
        """Return the working directory and the import path as they are."""
        seen = self._seen
        directory = working_directory()
        if directory != seen[0] or sys.path != seen[1]:
            self._seen = seen = directory, list(sys.path), (_text(directory) or "/", import_path(directory))
        return seen[2]


def working_directory() -> str:
    """Return the working directory, ``/`` where that was removed."""
    try:
        return os.getcwd()  # noqa: PTH109  (looked at with each call of `submit`)
    except OSError:
        return "/"


def import_path(directory: str) -> tuple[str, ...]:
    """Return ``sys.path`` for other processes: its empty entry is `directory`, and what is no text is left out."""
    found = (entry or directory for entry in sys.path if isinstance(entry, str))
    return tuple(entry for entry in map(_text, found) if entry)


def environment() -> tuple[tuple[str, str], ...]:
    """Return the environment variables, but for those that no message can carry."""
    return tuple((name, value) for name, value in os.environ.items() if _text(name) and _text(f"={value}"))


def check_environment(given: object) -> tuple[tuple[str, str], ...]:
    """Return environment variables as `spawn` was given them; raises UsageError for what cannot be one."""
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        raise UsageError(f"env={brief.value(given)} is no dict of environment variables: {{'OMP_NUM_THREADS': '1'}}.")
    for name, value in given.items():
        texts = isinstance(name, str) and isinstance(value, str)
        if not texts or not _text(name) or "=" in name or "\0" in name + value or _text(f"={value}") != f"={value}":
            raise UsageError(
                f"env={{{brief.value(name)}: {brief.value(value)}}} is no environment variable: a name and a value are "
                "texts, as in {'OMP_NUM_THREADS': '1'}."
            )
    return tuple(given.items())


def _text(path: str) -> str:
    """Return a path as an exact string; empty for one that no message can carry, whose bytes are no UTF-8."""
    try:
        return str.encode(path, "utf-8").decode()
    except UnicodeEncodeError:
        return ""
