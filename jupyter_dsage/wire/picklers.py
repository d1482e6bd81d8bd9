"""The two picklers: Python's own, which refuses what workers cannot import, and cloudpickle's, which sends that."""

from __future__ import annotations

import copyreg
import importlib
import pickle
import sys
from collections import ChainMap
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from jupyter_dsage.wire import by_value

if TYPE_CHECKING:
    from collections.abc import Callable


class LivesInMainError(Exception):
    """Raised to leave the pickler when it meets what the other process cannot import."""


class Pickler(pickle.Pickler):
    """The C pickler, refusing what it would name by a reference into ``__main__`` and its kin (`by_value`)."""

    def reducer_override(self, obj: Any) -> Any:
        """Return how an object is pickled, NotImplemented for as usual; raises LivesInMainError."""
        if isinstance(obj, (type, FunctionType)):
            if by_value.is_local(obj):
                raise LivesInMainError
            return NotImplemented
        if (known := _stand_in(obj)) is not NotImplemented:
            return known
        reduced = by_value.reduced_by_itself(obj)
        if by_value.is_local_name(obj, reduced):
            raise LivesInMainError
        return reduced


def _stand_in(obj: Any) -> Any:
    """Return how an object is pickled that stands for another; NotImplemented for all others."""
    return found(obj) if (found := _STAND_INS.get(type(obj).__name__)) is not None else NotImplemented


def _generator(obj: Any) -> Any:
    """Return how the generator behind `random.random` or `numpy.random.rand` is pickled: as the one of its module.

    By value it would bring its state along, and every job that calls such a function would get the same numbers.
    """
    for module, name in (("random", "_inst"), ("numpy.random.mtrand", "_rand")):
        if (loaded := sys.modules.get(module)) is not None and obj is getattr(loaded, name, None):
            return _attribute, (module, name)
    return NotImplemented


def _lazy_import(obj: Any) -> Any:
    """Return how Sage's `LazyImport` is pickled, a name that is imported when it is first used: as what it imports."""
    get = getattr(type(obj), "_get_object", None)
    return NotImplemented if get is None else (_itself, (get(obj),))


_STAND_INS = {"Random": _generator, "RandomState": _generator, "LazyImport": _lazy_import}
"""By the name of the type: the types are not loaded for this."""


def _itself(value: Any) -> Any:
    return value


def _attribute(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


@cache
def cloud_pickler() -> type[pickle.Pickler]:
    """Return cloudpickle's pickler, taught to keep the file names of code (3.1.3 calls all of it <dynamic-code>).

    Without them a traceback cannot show the lines of the user's cell.
    """
    from cloudpickle import CloudPickler
    from cloudpickle.cloudpickle import _dynamic_class_reduce

    reduce = CloudPickler.dispatch_table[CodeType]

    def reduce_code(code: CodeType) -> Any:
        return _code_of, (*reduce(code), code.co_filename)

    table = ChainMap({CodeType: reduce_code, **by_value.TABLE}, CloudPickler.dispatch_table)
    in_table = table.keys() - copyreg.dispatch_table.keys()  # a `ChainMap` takes 1 us to look into

    class ByValue(CloudPickler):  # type: ignore[misc]
        dispatch_table: ClassVar = table

        def reducer_override(self, obj: Any) -> Any:
            kind = type(obj)
            if issubclass(kind, type):
                if not by_value.is_local(obj):
                    return by_value.with_slots(obj, super().reducer_override(obj))
                by_value.check_class(obj)
                return by_value.with_slots(obj, _dynamic_class_reduce(obj))
            if kind is FunctionType:
                if by_value.is_dispatching(obj) and not by_value.has_name(obj, obj.__qualname__):
                    return by_value.dispatching_reduced(obj)
                return self._dynamic_function_reduce(obj) if by_value.is_local(obj) else super().reducer_override(obj)
            if (known := _stand_in(obj)) is not NotImplemented:
                return known
            if kind in in_table:
                return NotImplemented
            reduced = by_value.reduced_by_itself(obj)
            if reduced is NotImplemented and issubclass(kind, ModuleType):
                return by_value.module_reduced(obj)  # one that is loaded when it is first used is of a class of its own
            return by_value.by_value(obj, reduced) if type(reduced) is str else reduced

    return ByValue


def _code_of(make: Callable[..., CodeType], args: tuple[Any, ...], filename: str) -> CodeType:
    return make(*args).replace(co_filename=filename)
