"""What a function captured, as a cheap key: tells whether pickling it again would give the same bytes.

Used for `submit`, which must see captured names as they are at each call and cannot afford a pickle each time (0.1 to
0.3 ms for a function of a notebook, about 2 us for this).
"""

from __future__ import annotations

from functools import lru_cache
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, ModuleType
from typing import Any

from jupyter_dsage.wire.payload import SCALARS, by_reference

Key = tuple[Any, ...]

_EMPTY = CellType()
"""A cell without contents: all such cells are equal, and equal to no other."""


class Captures:
    """A function that was pickled, and what it had captured then. `same` asks whether that is still so."""

    __slots__ = ("_function", "_key")

    def __init__(self, function: Any) -> None:
        self._function = function
        self._key: Key | None = () if by_reference(function) else _key(function, set())

    @property
    def fixed(self) -> bool:
        """Whether the function travels by its name, and captures nothing."""
        return self._key == ()

    def same(self, function: Any) -> bool:
        """Tell whether this is the function, and what it captured is unchanged; False where that cannot be told."""
        if function is not self._function or self._key is None:
            return False
        return self._key == () or self._key == _key(function, set())


def _key(function: Any, seen: set[int]) -> Key | None:
    """Return the captured values of a function and of the functions it calls; None if one of them can change."""
    if type(function) is not FunctionType or vars(function):
        return None
    seen.add(id(function))
    key: list[Any] = [function.__code__]
    for value in _captured(function):
        kind = type(value)
        if kind in SCALARS:
            key += (kind, value)
        elif kind is ModuleType or kind is BuiltinFunctionType or _importable(value):
            key.append(value)
        elif kind is FunctionType:
            if id(value) not in seen:
                inner = _key(value, seen)
                if inner is None:
                    return None
                key.append(inner)
        else:
            return None
    return tuple(key)


def _captured(function: FunctionType) -> list[Any]:
    names = function.__globals__
    values = [names[name] for name in _names(function.__code__) if name in names]
    values += [cell.cell_contents for cell in function.__closure__ or () if cell != _EMPTY]
    values += function.__defaults__ or ()
    values += (function.__kwdefaults__ or {}).values()
    return values


def _importable(value: Any) -> bool:
    """Tell whether a function or class travels as a name."""
    return isinstance(value, (FunctionType, type)) and value.__module__ != "__main__" and by_reference(value)


@lru_cache(maxsize=1000)
def _names(code: CodeType) -> tuple[str, ...]:
    """Return the global names that a code object, or one inside it, refers to."""
    names = set(code.co_names)
    for const in code.co_consts:
        if isinstance(const, CodeType):
            names.update(_names(const))
    return tuple(sorted(names))
