"""Finds what cannot be pickled inside a value and names it by its path: ``fn → closure 'lock'``.

Used by `wire.payload` after pickling failed; it asks about ever smaller parts and stops at one that cannot be
pickled although all of its own parts can (or that has none). Whatever the reprs and attributes of the user's
objects do, nothing is raised here.
"""

from __future__ import annotations

import pickle
from collections import deque
from functools import partial
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DEEPEST = 50
_SHOWN = 5
"""Steps of a path that are shown if it goes deeper than `_DEEPEST`."""
_MOST_GUILTY = 300
"""Values that fail which are looked into at most: where all lead to one another, each costs a pickle of all."""
_SAYING = ("__reduce_ex__", "__reduce__", "__getstate__")
_ATOMS = frozenset({int, float, complex, bool, str, bytes, type(None)})
"""Types that can always be pickled: not asked about, since a list may hold a million of them."""


def find_path(value: Any, label: str, failure: Callable[[Any], Exception | None]) -> tuple[str, str]:
    """Return the path to the culprit inside `value`, and what it is.

    `label` names the value itself; `failure` tells why a value cannot be pickled, or None if it can.
    """
    path, culprit = _Search(failure).find(value, [label]) or ([label], value)
    if len(path) >= _DEEPEST:
        path = [*path[:_SHOWN], "…"]
    return " → ".join(path), f"{_kind(culprit)}: {_told(failure(culprit))}"


class _Search:
    """One search. `_guilty`: values known to fail, by id; kept alive, so that no other gets its id."""

    def __init__(self, failure: Callable[[Any], Exception | None]) -> None:
        self._failure = failure
        self._guilty: dict[int, Any] = {}

    def find(self, value: Any, path: list[str]) -> tuple[list[str], Any] | None:
        """Return the path to the culprit in a value that fails, and the culprit.

        None if it fails only because it leads back to a value that is being searched already.
        """
        self._guilty[id(value)] = value
        if len(path) >= _DEEPEST or len(self._guilty) >= _MOST_GUILTY:
            return path, value
        if _refuses(value):
            return path, value
        leads_back = False
        for name, part in _careful(_parts(value)):
            if type(part) in _ATOMS:
                continue
            if id(part) in self._guilty:
                leads_back = True
            elif self._failure(part) is not None:
                found = self.find(part, [*path, name])
                if found is not None:
                    return found
                leads_back = True
        return None if leads_back else (path, value)


def _refuses(value: Any) -> bool:
    """Tell whether an object, rather than one of its parts, says by a method of its own that it cannot be pickled."""
    kind = type(value)
    if isinstance(value, type) or all(getattr(kind, name, None) is getattr(object, name) for name in _SAYING):
        return False
    try:
        value.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    except Exception:  # noqa: BLE001  (a user's method may raise anything; that is the question)
        return True
    return False


def _careful(parts: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield parts up to the first that cannot be looked at."""
    try:
        yield from parts
    except Exception:  # noqa: BLE001  (a user's property, slot or iterator may raise anything)
        return


def _kind(value: Any) -> str:
    cls = type(value)
    return f"a {cls.__module__}.{cls.__qualname__}" if cls.__module__ != "builtins" else f"a {cls.__qualname__}"


def _told(reason: Exception | None) -> str:
    try:
        return str(reason) or type(reason).__name__
    except Exception:  # noqa: BLE001  (it is the user's class)
        return type(reason).__name__


def _named(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  (a user's repr may raise anything)
        return _kind(value)
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004  (what fits a sentence)


# --- what a value is made of ---------------------------------------------------------------------------------


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, FunctionType):
        yield from _function_parts(value)
    elif isinstance(value, MethodType):
        yield "its object", value.__self__
        yield "its function", value.__func__
    elif isinstance(value, (staticmethod, classmethod)):
        yield "its function", value.__func__
    elif isinstance(value, property):
        yield "its getter", value.fget
        yield "its setter", value.fset
    elif isinstance(value, partial):
        yield "its function", value.func
        yield from ((f"argument {index}", item) for index, item in enumerate(value.args))
        yield from ((f"argument {name!r}", item) for name, item in value.keywords.items())
    elif isinstance(value, type):
        yield from _class_parts(value)
    elif isinstance(value, ModuleType) and value.__name__ == "__main__":
        return  # all of the notebook would be named
    else:
        yield from _items(value)
        yield from _attributes(value)
        if type(value).__module__ == "__main__":
            yield "its class", type(value)


def _function_parts(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f"closure {name!r}", cell.cell_contents
        except ValueError:
            continue  # the cell is still empty
    for name in sorted(_global_names(function)):
        yield f"global {name!r}", function.__globals__[name]
    for name, default in _defaults(function):
        yield f"default {name!r}", default
    for name, item in vars(function).items():
        yield f"attribute {name!r}", item


def _defaults(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the arguments that have a default, and what it is."""
    defaults = function.__defaults__ or ()
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    yield from zip(names[len(names) - len(defaults) :], defaults, strict=False)
    yield from (function.__kwdefaults__ or {}).items()


def _global_names(function: FunctionType) -> set[str]:
    """Return the globals a function, or a function inside it, refers to."""
    names: set[str] = set()
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        names.update(code.co_names)
        codes += [const for const in code.co_consts if isinstance(const, type(code))]
    return names & set(function.__globals__)


def _class_parts(cls: type) -> Iterator[tuple[str, Any]]:
    for name, item in vars(cls).items():
        if name != "_abc_impl" and not isinstance(item, (GetSetDescriptorType, MemberDescriptorType)):
            yield f"class attribute {name!r}", item


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            name = _named(key)
            yield f"key {name}", key
            yield f"[{name}]", item
    elif isinstance(value, (list, tuple, deque)):
        for index, item in enumerate(value):
            yield f"[{index}]", item
    elif isinstance(value, (set, frozenset)):
        for item in value:
            yield f"item {_named(item)}", item


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    for name, item in getattr(value, "__dict__", {}).items():
        yield f"attribute {name!r}", item
    for cls in type(value).__mro__:
        slots = vars(cls).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                yield f"attribute {name!r}", getattr(value, name)
