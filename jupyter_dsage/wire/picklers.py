"""The two picklers: Python's own, which refuses what lives in ``__main__``, and cloudpickle's, which sends that."""

from __future__ import annotations

import importlib
import pickle
import sys
from collections import ChainMap
from functools import cache
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable


class LivesInMainError(Exception):
    """Raised to leave the pickler when it meets what the other process cannot import."""


class Pickler(pickle.Pickler):
    """The C pickler, refusing what it would name by a reference into ``__main__``."""

    def reducer_override(self, obj: Any) -> Any:
        """Return how an object is pickled, NotImplemented for as usual; raises LivesInMainError."""
        if isinstance(obj, (type, FunctionType)) and obj.__module__ == "__main__":
            raise LivesInMainError
        return _of_module(obj)


def _of_module(obj: Any) -> Any:
    """Return how the generator behind `random.random` or `numpy.random.rand` is pickled: as the one of its module.

    By value it would bring its state along, and every job that calls such a function would get the same numbers.
    """
    for module, name in (("random", "_inst"), ("numpy.random.mtrand", "_rand")):
        if (loaded := sys.modules.get(module)) is not None and obj is getattr(loaded, name, None):
            return _attribute, (module, name)
    return NotImplemented


def _attribute(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


@cache
def cloud_pickler() -> type[pickle.Pickler]:
    """Return cloudpickle's pickler, taught to keep the file names of code (3.1.3 calls all of it <dynamic-code>).

    Without them a traceback cannot show the lines of the user's cell.
    """
    from cloudpickle import CloudPickler

    reduce = CloudPickler.dispatch_table[CodeType]

    def reduce_code(code: CodeType) -> Any:
        return _code_of, (*reduce(code), code.co_filename)

    class ByValue(CloudPickler):  # type: ignore[misc]
        dispatch_table: ClassVar = ChainMap({CodeType: reduce_code}, CloudPickler.dispatch_table)

        def reducer_override(self, obj: Any) -> Any:
            known = _of_module(obj)
            return super().reducer_override(obj) if known is NotImplemented else known

    return ByValue


def _code_of(make: Callable[..., CodeType], args: tuple[Any, ...], filename: str) -> CodeType:
    return make(*args).replace(co_filename=filename)
