"""The options of a batch, as `Session.scatter` and its kin take them, checked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from jupyter_dsage.errors import UsageError
from jupyter_dsage.wire.quantities import real, whole
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
    retries = whole(given := options.get("retries", 0))
    if retries is None or retries < 0:
        raise UsageError(f"retries={given!r} is no number of retries: give 0 or more.")
    timeout = 0.0 if (limit := options.get("timeout")) is None else real(limit)
    if limit is not None and (timeout is None or not 0 < timeout < math.inf):
        raise UsageError(f"timeout={limit!r} is no time limit: give seconds above 0, or None for no limit.")
    memory = 0 if (most := options.get("memory")) is None else whole(most)
    if memory is None or (most is not None and memory < 1):
        raise UsageError(f"memory={most!r} is no memory limit: give a number of bytes, or None for no limit.")
    if not isinstance(once := options.get("at_most_once", False), bool):
        raise UsageError(f"at_most_once={once!r} is neither True nor False.")
    priority = whole(said := options.get("priority", 0))
    if priority is None or abs(priority) > 2**31:
        raise UsageError(f"priority={said!r} is no priority: give a whole number; higher goes first.")
    return {
        "retries": retries,
        "limit": check_limit(options.get("limit")),
        "timeout": timeout,
        "memory": memory,
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


def check_name(name: str | None) -> None:
    """Raise UsageError for what cannot be a batch's name."""
    whole = isinstance(name, str) and 0 < len(name) <= 200 and name.isprintable()  # noqa: PLR2004
    if name is not None and not whole:
        raise UsageError(f"name={name!r} is no name for a batch: give 1 to 200 printable characters.")


def check_limit(value: int | None) -> int | None:
    """Return a valid limit; raises UsageError for anything else."""
    limit = None if value is None else whole(value)
    if value is not None and (limit is None or limit < 1):
        raise UsageError(f"limit={value!r} is no limit: give a number of jobs of at least 1, or None for no limit.")
    return limit
