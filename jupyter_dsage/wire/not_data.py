"""Finds what is no plain data inside a value and names it by its path: ``job 3 → kwargs['loc'][2]``.

Used by `wire.data` after writing a value failed. Whatever the reprs of the user's objects do, nothing is raised here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_dsage.errors import NotDataError, PayloadTooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_BYTES = 2**32 - 1
"""What one string, one array or one integer of MessagePack may hold."""
_DEEPEST = 500
"""Levels of nesting; msgpack writes 511 and reads 1,024."""
_CONTAINERS = (list, tuple, dict)
_ATOMS = frozenset({float, bool, type(None)})
_SHOWN = 60
"""Characters of a key or a path's end that fit a sentence."""


def refusal(
    value: Any, label: str, extended: Callable[[Any], Any], error: Exception
) -> NotDataError | PayloadTooLargeError:
    """Return the error that names the culprit in a value that could not be written.

    `extended` is the writer of what MessagePack has no type for; it raises for what is no data.
    """
    for path, part, depth in _walk(value, label):
        if depth > _DEEPEST:
            return NotDataError(
                f"{label} is nested more than {_DEEPEST} levels deep, or contains itself, so it cannot travel as "
                "plain data: make it flatter first."
            )
        found = _fault(path, part, extended)
        if found is not None:
            return found
    return NotDataError(f"{label} cannot travel as plain data ({type(error).__name__}): convert it to simpler types.")


def _walk(value: Any, label: str) -> Iterator[tuple[str, Any, int]]:
    """Yield everything inside a value, itself first, with its path and depth; in order, deep before wide."""
    stack = [iter([(label, value, 0)])]
    while stack:
        step = next(stack[-1], None)
        if step is None:
            stack.pop()
            continue
        yield step
        path, part, depth = step
        if type(part) in _CONTAINERS:
            stack.append(_parts(path, part, depth + 1))


def _parts(path: str, value: Any, depth: int) -> Iterator[tuple[str, Any, int]]:
    if type(value) is dict:
        for key, part in list(value.items()):
            name = _short(key)
            yield f"{path} → key {name}", key, depth
            yield f"{path}[{name}]", part, depth
    else:
        yield from ((f"{path}[{index}]", part, depth) for index, part in enumerate(value))


def _fault(path: str, part: Any, extended: Callable[[Any], Any]) -> NotDataError | PayloadTooLargeError | None:
    """Return the error for a part that cannot travel by itself; None if it can."""
    kind = type(part)
    if kind in _ATOMS or kind in _CONTAINERS:
        return None
    try:
        if kind is str:
            size = len(part.encode())
        elif kind in {bytes, bytearray, memoryview}:
            size = memoryview(part).nbytes
        else:
            size = 0
            extended(part)
    except UnicodeEncodeError:
        return NotDataError(f"{path} is a text with a lone surrogate, which is no character: remove it first.")
    except PayloadTooLargeError:
        size = MOST_BYTES + 1
    except Exception:  # noqa: BLE001  (the question is whether anything is raised)
        return NotDataError(
            f"{path} is a {_kind(part)}, and a service takes only numbers, strings, bytes, lists, tuples, dicts and "
            "arrays: convert it first."
        )
    if size > MOST_BYTES:
        return PayloadTooLargeError(
            f"{path}: more than {MOST_BYTES:,} bytes in one value; pass the name of a file instead, or split it."
        )
    return None


def _kind(value: Any) -> str:
    cls = type(value)
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    dtype = getattr(value, "dtype", None) if cls.__module__ == "numpy" else None
    return name if dtype is None else f"{name} of dtype {dtype}"


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  (a user's repr may raise anything)
        return f"of type {_kind(value)}"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
