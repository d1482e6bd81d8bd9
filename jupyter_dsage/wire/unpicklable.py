"""Finds what cannot be pickled inside a value and names it by its path: ``fn → closure 'lock'``.

Used by `wire.payload` after pickling failed; it asks about ever smaller parts and stops at one that cannot be
pickled although all of its own parts can (or that has none).
"""

from __future__ import annotations

from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DEEPEST = 50


def find_path(value: Any, label: str, failure: Callable[[Any], Exception | None]) -> tuple[str, str]:
    """Return the path to the culprit inside `value`, and what it is.

    `label` names the value itself; `failure` tells why a value cannot be pickled, or None if it can.
    """
    path = [label]
    seen = {id(value)}
    reason = failure(value)
    while len(path) < _DEEPEST:
        for name, part in _parts(value):
            if id(part) not in seen and (why := failure(part)) is not None:
                path.append(name)
                seen.add(id(part))
                value, reason = part, why
                break
        else:
            break
    return " → ".join(path), f"{_kind(value)}: {reason}"


def _kind(value: Any) -> str:
    cls = type(value)
    return f"a {cls.__module__}.{cls.__qualname__}" if cls.__module__ != "builtins" else f"a {cls.__qualname__}"


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, FunctionType):
        yield from _function_parts(value)
    elif isinstance(value, MethodType):
        yield "its object", value.__self__
    elif isinstance(value, dict):
        for key, item in value.items():
            yield f"key {key!r}", key
            yield f"[{key!r}]", item
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield f"[{index}]", item
    elif isinstance(value, (set, frozenset)):
        for item in value:
            yield f"item {item!r}", item
    elif isinstance(value, type):
        for name, item in vars(value).items():
            if not name.startswith("__"):
                yield f"class attribute {name!r}", item
    else:
        yield from _attributes(value)


def _function_parts(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f"closure {name!r}", cell.cell_contents
        except ValueError:
            continue  # the cell is still empty
    for name in sorted(_global_names(function)):
        yield f"global {name!r}", function.__globals__[name]
    for index, default in enumerate(function.__defaults__ or ()):
        yield f"default {index}", default
    for name, default in (function.__kwdefaults__ or {}).items():
        yield f"default {name!r}", default
    for name, item in vars(function).items():
        yield f"attribute {name!r}", item


def _global_names(function: FunctionType) -> set[str]:
    """Return the globals a function, or a function inside it, refers to."""
    names: set[str] = set()
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        names.update(code.co_names)
        codes += [const for const in code.co_consts if isinstance(const, type(code))]
    return names & set(function.__globals__)


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    for name, item in getattr(value, "__dict__", {}).items():
        yield f"attribute {name!r}", item
    for cls in type(value).__mro__:
        for name in getattr(cls, "__slots__", ()):
            if hasattr(value, name):
                yield f"attribute {name!r}", getattr(value, name)
