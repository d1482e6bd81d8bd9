"""The options of a batch, as `Session.scatter` and its kin take them, checked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from jupyter_dsage.errors import UsageError
from jupyter_dsage.wire.setup import Amounts, amount_of


class Options(TypedDict, total=False):
    """What may be said of a batch; each may be left out."""

    retries: int
    """How often a job that raises, or oversteps a limit of its own, is tried again (0)."""
    limit: int | None
    """Jobs that run at once at most (None: as many as there are slots)."""
    timeout: float | None
    """Seconds that a job may take; then it ends as `JobTimeout` (None: no limit)."""
    memory: int | None
    """Bytes of memory that a job may take, with the processes it starts; then it ends as `JobMemoryError`."""
    at_most_once: bool
    """A job that was begun and whose end nobody knows is lost, rather than tried again (False)."""
    priority: int
    """Batches of a higher one go first; those of one share fairly (0)."""
    engine: str | Iterable[str] | None
    """The engine that runs its jobs, by its name in `Session.engines` or its URL, or several (None: any)."""
    resources: Mapping[str, int] | None
    """What each job takes while it runs, of what engines have (``resources=gpu:2`` in their URLs): ``{"gpu": 1}``."""


def check_options(options: Options) -> dict[str, Any]:
    """Return the fields of the message that opens a batch; raises UsageError, TypeError for an unknown option."""
    unknown = [name for name in options if name not in Options.__annotations__]
    if unknown:
        raise TypeError(f"unknown option {unknown[0]!r}; there is {', '.join(Options.__annotations__)}")
    retries = options.get("retries", 0)
    if not _whole(retries) or retries < 0:
        raise UsageError(f"retries={retries!r} is no number of retries: give 0 or more.")
    timeout, memory = options.get("timeout"), options.get("memory")
    if timeout is not None and not (_number(timeout) and 0 < timeout < math.inf):
        raise UsageError(f"timeout={timeout!r} is no time limit: give seconds above 0, or None for no limit.")
    if memory is not None and (not _whole(memory) or memory < 1):
        raise UsageError(f"memory={memory!r} is no memory limit: give a number of bytes, or None for no limit.")
    once, priority = options.get("at_most_once", False), options.get("priority", 0)
    if not isinstance(once, bool):
        raise UsageError(f"at_most_once={once!r} is neither True nor False.")
    if not _whole(priority) or abs(priority) > 2**31:
        raise UsageError(f"priority={priority!r} is no priority: give a whole number; higher goes first.")
    return {
        "retries": retries,
        "limit": check_limit(options.get("limit")),
        "timeout": float(timeout or 0),
        "memory": memory or 0,
        "once": once,
        "priority": priority,
        "engines": _engines(options.get("engine")),
        "resources": _resources(options.get("resources")),
    }


def _engines(value: object) -> tuple[str, ...]:
    """Return the engines that were named; whether they are there is the session's to say."""
    if value is None:
        return ()
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else ()
    if not names or not all(isinstance(name, str) and name for name in names):
        raise UsageError(f"engine={value!r} names no engine: give its name, a tuple of names, or None for any.")
    return names


def _resources(value: object) -> Amounts:
    if value is None:
        return ()
    if not isinstance(value, Mapping) or not value:
        raise UsageError(f'resources={value!r} are none: give names and amounts, such as {{"gpu": 1}}.')
    try:
        return tuple(sorted(amount_of(str(name), amount) for name, amount in value.items()))
    except ValueError as error:
        raise UsageError(f"resources={value!r}: {error}.") from None


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def check_name(name: str | None) -> None:
    """Raise UsageError for what cannot be a batch's name."""
    whole = isinstance(name, str) and 0 < len(name) <= 200 and name.isprintable()  # noqa: PLR2004
    if name is not None and not whole:
        raise UsageError(f"name={name!r} is no name for a batch: give 1 to 200 printable characters.")


def check_limit(value: int | None) -> int | None:
    """Return a valid limit; raises UsageError for anything else."""
    if value is not None and (not _whole(value) or value < 1):
        raise UsageError(f"limit={value!r} is no limit: give a number of jobs of at least 1, or None for no limit.")
    return value
