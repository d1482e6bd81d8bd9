"""What a function captured: as a cheap key, and what of it may not be captured.

The key tells whether pickling the function again would give the same bytes. It is for `submit`, which must see captured
names as they are at each call and cannot afford a pickle each time (0.1 to 0.3 ms for a function of a notebook, about
2 us for this). At the worker it tells whether a job could change what the next one sees (P17).
"""

from __future__ import annotations

import sys
from functools import lru_cache, partial
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from jupyter_dsage.errors import UnpicklableError
from jupyter_dsage.wire import brief
from jupyter_dsage.wire.by_value import CACHED, has_name, inner_functions
from jupyter_dsage.wire.importable import importable
from jupyter_dsage.wire.payload import SCALARS, by_reference

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    """Return the captured values of a function and of the functions it calls; None if one of them can change.

    What a cache holds does not count: it was computed from the same values.
    """
    if type(function) is not FunctionType:
        return _key_of_cached(function, seen) if type(function) is CACHED else None
    if vars(function):
        return None
    seen.add(id(function))
    key: list[Any] = [function.__code__]
    for value in _captured(function):
        kind = type(value)
        if kind in SCALARS or (kind is tuple and SCALARS.issuperset(map(type, value))):
            key += (kind, value) if kind in SCALARS else (kind, tuple(map(type, value)), value)
        elif (kind is ModuleType and importable(value.__name__)) or _is_of_module(value) or _importable(value):
            key.append(value)
        elif kind is FunctionType or kind is CACHED:
            if id(value) not in seen:
                inner = _key(value, seen)
                if inner is None:
                    return None
                key.append(inner)
        else:
            return None
    return tuple(key)


def _key_of_cached(function: Any, seen: set[int]) -> Key | None:
    inside = getattr(function, "__wrapped__", None)
    inner = () if id(inside) in seen else _key(inside, seen)
    return None if inner is None else (function, inner)


def _captured(function: FunctionType) -> list[Any]:
    names = function.__globals__
    values = [names[name] for name in _names(function.__code__) if name in names]
    if function.__closure__:
        values += [cell.cell_contents for cell in function.__closure__ if cell != _EMPTY]
    if function.__defaults__:
        values += function.__defaults__
    if function.__kwdefaults__:
        values += function.__kwdefaults__.values()
    return values


def _is_of_module(value: Any) -> bool:
    """Tell whether it is a function written in C, and not a method bound to something that can change."""
    return type(value) is BuiltinFunctionType and isinstance(value.__self__, ModuleType)


def _importable(value: Any) -> bool:
    """Tell whether a function or class travels as a name."""
    if type(value) is CACHED:
        return has_name(value, getattr(value, "__qualname__", ""))
    return isinstance(value, (FunctionType, type)) and value.__module__ != "__main__" and by_reference(value)


@lru_cache(maxsize=1000)
def _names(code: CodeType) -> tuple[str, ...]:
    """Return the global names that a code object, or one inside it, refers to."""
    names = set(code.co_names)
    for const in code.co_consts:
        if isinstance(const, CodeType):
            names.update(_names(const))
    return tuple(sorted(names))


def may_change(function: Any) -> bool:
    """Tell whether a job could change what a function captured, so that the next one would see something else."""
    return not by_reference(function) and _key(function, set()) is None


# --- what may not be captured --------------------------------------------------------------------------------


def check_captured(function: Any) -> None:
    """Raise UnpicklableError for what a function captured and no job could use.

    A random generator: each job would start from the same state (P17). IPython's shell, which lives in the notebook.
    """
    name = getattr(function, "__name__", type(function).__name__)
    for where, value in _named(function, name, set()):
        if _is_shell(value) or _is_shell(getattr(value, "__self__", None)):
            raise UnpicklableError(
                f"{where} is IPython's, but a job runs in a plain Python process, without magics and !commands: use "
                "subprocess.run(command, shell=True) for a command."
            )
        if _is_generator(value) or _is_generator(getattr(value, "__self__", None)):
            raise UnpicklableError(
                f"{where} is a random generator: every job would get a copy of its state, and so the same numbers. "
                "Make one in the job, as in rng = np.random.default_rng([0, k]) for job k, or give each job its own."
            )


def _named(function: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Yield what a function captured, with where it stands, also of the functions of the notebook that it calls."""
    if isinstance(function, partial):
        yield from (
            (f"{path} → argument {brief.value(value)}", value)
            for value in (*function.args, *function.keywords.values())
        )
        function = function.func
    yield path, function
    if type(function) not in (FunctionType, CACHED) or id(function) in seen or _importable(function):
        return
    for inner in inner_functions(function):
        yield from _named(inner, path, seen)
    if type(function) is CACHED:
        return
    seen.add(id(function))
    names = function.__globals__
    parts = [(f"{path} → global {name!r}", names[name]) for name in _names(function.__code__) if name in names]
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    parts += [(f"{path} → closure {name!r}", cell.cell_contents) for name, cell in cells if cell != _EMPTY]
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    parts += [(f"{path} → a default", value) for value in defaults]
    for where, value in parts:
        if type(value) in (FunctionType, CACHED):
            yield from _named(value, where, seen)
        else:
            yield where, value


def _is_shell(value: Any) -> bool:
    """Tell whether it is IPython's shell; IPython is not imported for that."""
    module = sys.modules.get("IPython.core.interactiveshell")
    return module is not None and isinstance(value, module.InteractiveShell)


def _is_generator(value: Any) -> bool:
    """Tell whether it is a random generator with a state of its own; none is imported for that."""
    python, numpy = sys.modules.get("random"), sys.modules.get("numpy.random")
    if python is not None and isinstance(value, python.Random):
        return value is not python._inst and not isinstance(value, python.SystemRandom)  # noqa: SLF001
    if numpy is None or not isinstance(value, (numpy.Generator, numpy.RandomState, numpy.BitGenerator)):
        return False
    return value is not numpy.mtrand._rand  # noqa: SLF001  (the module's own: see `picklers`)
