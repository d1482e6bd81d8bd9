"""A function for its jobs: each gets what it captured as that was captured, whatever another job has changed (P17)."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any

from jupyter_dsage import settings
from jupyter_dsage.wire import captures
from jupyter_dsage.wire.payload import PackedFunction

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.wire.payload import Frame
    from jupyter_dsage.wire.surroundings import Surroundings


def for_jobs(data: Frame) -> tuple[Callable[..., Any], Surroundings | None]:
    """Return the function of a payload, to be called by one job after another, and what it is to find around it.

    Raises whatever its imports raise.

    What can change is copied for each job (10 to 30 us for a function of a notebook): lists, dicts, objects of
    classes. Arrays and other buffers of more than `COPIED_BYTES` in all are shared by the jobs of a worker, and cannot
    be written to. Other objects that take more than that as a pickle are shared as they are.
    """
    shared = memoryview(data).nbytes > settings.COPIED_BYTES
    packed = PackedFunction(data, shared=shared)
    function = packed.load()
    if packed.pickle_bytes > settings.COPIED_BYTES or not captures.may_change(function):
        return function, packed.surroundings
    return _Anew(packed, parameters(function)), packed.surroundings


def parameters(function: Any) -> tuple[str, ...]:
    """Return the names of a function's parameters that can be given by position, as far as they are known."""
    if type(function) is _Anew:
        return function.parameters
    code = function.__code__ if type(function) is FunctionType else None
    return code.co_varnames[: code.co_argcount] if code else ()


class _Anew:
    """A function that is unpickled anew for each call."""

    __slots__ = ("_packed", "parameters")

    def __init__(self, packed: PackedFunction, names: tuple[str, ...]) -> None:
        self._packed = packed
        self.parameters = names

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._packed.load()(*args, **kwargs)
