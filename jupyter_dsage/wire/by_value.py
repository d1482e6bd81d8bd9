"""How objects travel that pickle would send as a name in a module which the workers cannot import (`importable`).

Most of them are made again at the worker: functions wrapped by `functools.lru_cache` (with an empty cache), `NewType`
and its kin, objects whose ``__reduce__`` returns their name. What cannot be made again is refused when it is pickled,
so that the call raises, and not each job.
"""

from __future__ import annotations

import copyreg
import enum
import functools
import gc
import os
import pickle
import sys
import typing
from pickle import whichmodule  # type: ignore[attr-defined]
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from jupyter_dsage.wire.importable import importable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Reduced = Any
"""What a ``__reduce__`` may return: a tuple, or a name; NotImplemented leaves it to the pickler."""

PROTOCOL = 5
CACHED: type = type(functools.lru_cache(int))
"""The type of functions with a cache."""
_REDUCE: Any = object.__reduce__
_REDUCE_EX: Any = object.__reduce_ex__
_DISPATCHING = functools.singledispatch(lambda _: None).__code__  # type: ignore[attr-defined]
"""The code that all `functools.singledispatch` functions share."""
_ALIAS: Any = getattr(typing, "TypeAliasType", None)  # Python 3.12
_TYPE_PARAMETERS = (typing.TypeVar, typing.ParamSpec, typing.TypeVarTuple)
_HEAP_TYPE = 1 << 9
"""The flag of classes that were made by a class statement; those written in C have it seldom."""


def is_local(obj: Any) -> bool:
    """Tell whether a class or function stands in a module that workers cannot import."""
    module: Any = obj.__module__
    if module is None:
        module = whichmodule(obj, obj.__qualname__)
    return isinstance(module, str) and not importable(module)


def reduced_by_itself(obj: Any) -> Reduced:
    """Return what an object's own ``__reduce_ex__``, or the function that `copyreg` has for it, says of it."""
    kind = type(obj)
    if (reduce := copyreg.dispatch_table.get(kind)) is not None:
        return reduce(obj)
    if kind.__reduce__ is _REDUCE and kind.__reduce_ex__ is _REDUCE_EX:
        return NotImplemented  # the usual case, in which no name can come
    return obj.__reduce_ex__(PROTOCOL)


def is_local_name(obj: Any, reduced: Reduced) -> bool:
    """Tell whether an object would go as a name in a module that workers cannot import."""
    return type(reduced) is str and not importable(whichmodule(obj, reduced))


def by_value(obj: Any, name: str) -> Reduced:
    """Return how an object travels whose own ``__reduce__`` says no more than its name; raises PicklingError."""
    if has_name(obj, name):
        return name
    kind = type(obj)
    if kind is CACHED:
        return _cached_reduced(obj)
    if kind is typing.NewType:
        return _same, (_token(obj), _new_type, obj.__name__, obj.__module__, obj.__supertype__)
    if kind in _TYPE_PARAMETERS:
        return _same, (_token(obj), _type_parameter, kind, obj.__name__, obj.__module__, *_bounds(obj))
    if _ALIAS is not None and kind is _ALIAS:
        return _same, (_token(obj), _alias, obj.__name__, obj.__value__, obj.__type_params__)
    if isinstance(obj, enum.Enum):
        return getattr, (kind, obj.name)
    if kind.__flags__ & _HEAP_TYPE:
        try:
            object.__new__(kind)
        except TypeError:
            pass  # it is made of something written in C
        else:
            return _same, (_token(obj), _instance, kind, obj.__getstate__())
    module = whichmodule(obj, name)
    raise pickle.PicklingError(f"it would be looked up as {name!r} in {module!r}, which workers cannot import")


def has_name(obj: Any, name: str) -> bool:
    """Tell whether workers find an object by its name."""
    module = whichmodule(obj, name)
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is obj and importable(module)


# --- what is one object in all processes ---------------------------------------------------------------------

_known: dict[str, Any] = {}
"""Token -> the object that stands for it here. They are kept for ever: there are few, and what they are must last."""
_tokens: dict[int, str] = {}


def _token(obj: Any) -> str:
    """Return what names an object in all processes; it comes back as the same one (``value is MISSING``)."""
    token = _tokens.get(id(obj))
    if token is None:
        token = _tokens[id(obj)] = os.urandom(16).hex()
        _known[token] = obj
    return token


def _same(token: str, make: Callable[..., Any], *args: Any) -> Any:
    found = _known.get(token)
    if found is None:
        found = _known[token] = make(*args)
        _tokens[id(found)] = token
    return found


def _instance(kind: type, state: Any) -> Any:
    made: Any = object.__new__(kind)
    if (set_state := getattr(made, "__setstate__", None)) is not None:
        set_state(state)
        return made
    own, slots = state if isinstance(state, tuple) else (state, None)
    for attributes in (own, slots):
        for name, value in (attributes or {}).items():
            object.__setattr__(made, name, value)
    return made


def _new_type(name: str, module: str, supertype: Any) -> Any:
    make: Any = typing.NewType
    made = make(name, supertype)
    made.__module__ = module
    return made


def _bounds(parameter: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return what a TypeVar and its kin are made with, besides their name."""
    if isinstance(parameter, typing.TypeVarTuple):
        return (), {}
    said = {name: getattr(parameter, f"__{name}__") for name in ("bound", "covariant", "contravariant")}
    if getattr(parameter, "__infer_variance__", False):
        said["infer_variance"] = True
    return getattr(parameter, "__constraints__", ()), said


def _type_parameter(kind: Any, name: str, module: str, constraints: tuple[Any, ...], said: dict[str, Any]) -> Any:
    made = kind(name, *constraints, **said)
    made.__module__ = module
    return made


def _alias(name: str, value: Any, parameters: tuple[Any, ...]) -> Any:
    return _ALIAS(name, value, type_params=parameters)


# --- functions in functions ----------------------------------------------------------------------------------


def inner_functions(function: Any) -> Iterable[Any]:
    """Return the functions that a function of `functools` calls, beside those of its code; () for all others."""
    if type(function) is CACHED:
        return (getattr(function, "__wrapped__", None),)
    return function.registry.values() if is_dispatching(function) else ()


def is_dispatching(function: Any) -> bool:
    """Tell whether it is one of `functools.singledispatch`, whose weak references cannot be pickled."""
    return type(function) is FunctionType and function.__code__ is _DISPATCHING and hasattr(function, "registry")


def _cached_function(cached: Any) -> Any:
    """Return the function behind a cache; None if that cannot be told. ``__wrapped__`` may be somebody else's."""
    behind = [part for part in gc.get_referents(cached) if callable(part)]
    wrapped = getattr(cached, "__wrapped__", None)
    if any(part is wrapped for part in behind):
        return wrapped
    functions = [part for part in behind if not isinstance(part, type)]
    return functions[0] if len(functions) == 1 else None


def _cached_reduced(cached: Any) -> Reduced:
    function, parameters = _cached_function(cached), getattr(cached, "cache_parameters", None)
    if function is None or parameters is None:
        raise pickle.PicklingError("the function behind this cache cannot be told")
    attributes = {name: value for name, value in vars(cached).items() if name != "cache_parameters"}
    if attributes.get("__wrapped__") is function:
        del attributes["__wrapped__"]
    return _cached, (function, parameters()), attributes


def _cached(function: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)


def dispatching_reduced(function: Any) -> Reduced:
    """Return how a function of `functools.singledispatch` travels: as its functions and the types they are for."""
    registry = {kind: each for kind, each in function.registry.items() if kind is not object}
    own = {"register", "dispatch", "registry", "_clear_cache", "__wrapped__"}
    attributes = {name: value for name, value in vars(function).items() if name not in own}
    return functools.singledispatch, (function.registry[object],), (registry, attributes), None, None, _register


def _register(function: Any, state: tuple[dict[type, Any], dict[str, Any]]) -> None:
    for kind, each in state[0].items():
        function.register(kind, each)
    vars(function).update(state[1])


def _property_reduced(found: functools.cached_property[Any]) -> Reduced:
    state = {name: value for name, value in vars(found).items() if name != "lock"}  # Python 3.11 has one
    return functools.cached_property, (found.func,), state


# --- classes and modules --------------------------------------------------------------------------------------------


def check_class(cls: type) -> None:
    """Raise PicklingError for a class that cannot be made again."""
    if not cls.__flags__ & _HEAP_TYPE:
        raise pickle.PicklingError(
            f"it is written in C, and would be looked up in {cls.__module__!r}, which workers cannot import"
        )


def with_slots(cls: type, reduced: Reduced) -> Reduced:
    """Add a class's ``__slots__`` to how cloudpickle sends it: 3.1 leaves them out.

    Its instances had a ``__dict__`` at the worker, and could not be read where the class has none.
    """
    if "__slots__" in vars(cls) and isinstance(reduced, tuple):
        for given in reduced[1]:
            if isinstance(given, dict) and "__module__" in given:  # what the class is made with, before it is filled
                given["__slots__"] = vars(cls)["__slots__"]
    return reduced


def module_reduced(module: ModuleType) -> Reduced:
    """Return how a module travels: by its name if workers can import it, else with all that is in it."""
    if module.__name__ == "__main__":
        raise pickle.PicklingError("it is the notebook itself, which workers do not have: use its names directly")
    if importable(module.__name__) and sys.modules.get(module.__name__) is not None:
        return _imported, (module.__name__,)
    left_out = {"__builtins__", "__loader__", "__spec__"}
    state = {name: value for name, value in vars(module).items() if name not in left_out}
    return ModuleType, (module.__name__,), state


def _imported(name: str) -> ModuleType:
    __import__(name)
    return sys.modules[name]


TABLE: dict[type, Callable[[Any], Reduced]] = {
    functools.cached_property: _property_reduced,
    ModuleType: module_reduced,
}
"""What is added to cloudpickle's table."""
