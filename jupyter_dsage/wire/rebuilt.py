"""Exceptions whose class cannot be called with their ``args``, as pickle does: made again from their state.

``class Failed(Exception): def __init__(self, a, b): super().__init__(f"{a} {b}")`` is pickled well and cannot be read,
or is read with another text. Here ``__init__`` is not called: the object is made empty, and gets ``args``, its
attributes and those that its builtin base keeps in C (``errno``). What cannot be pickled is left out, and a note says
so.
"""

from __future__ import annotations

import contextlib
from types import GetSetDescriptorType, MemberDescriptorType
from typing import TYPE_CHECKING, Any

from jupyter_dsage.errors import UnpicklableError
from jupyter_dsage.wire import brief, payload, safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator

_OTHER = "The exception is read as another one."
_DEEPEST = 10
"""Exceptions inside exceptions that are made again."""


def dumps(error: BaseException) -> bytes:
    """Return an exception pickled, so that it is read as one of the same class; raises UnpicklableError if it cannot.

    Its own ``__reduce__`` has the last word where it has one.
    """
    label = "the exception"
    try:
        data = payload.dumps(error, label)
        again = payload.loads(data)
    except Exception:  # the user's class may raise anything: its state is tried then, unless it has the last word
        if _reduces_itself(type(error)):
            raise
    else:
        own = _reduces_itself(type(error))
        if type(again) is type(error) and (own or _says_the_same(again, error)):
            return data
        if own:
            raise UnpicklableError(_OTHER)
    data = payload.dumps(_Rebuilt(error), label)
    if type(payload.loads(data)) is not type(error):
        raise UnpicklableError(_OTHER)
    return data


def _reduces_itself(cls: type) -> bool:
    """Tell whether the user's class says itself how it is pickled."""
    own = [base for base in cls.__mro__ if base.__module__ != "builtins"]
    return any(name in vars(base) for base in own for name in ("__reduce__", "__reduce_ex__"))


def _says_the_same(again: BaseException, error: BaseException) -> bool:
    with contextlib.suppress(Exception):
        return str(again) == str(error)
    return False


class _Rebuilt:
    """Stands for an exception while it is pickled. `inside`: how many exceptions this one is in."""

    def __init__(self, error: BaseException, inside: int = 0) -> None:
        self._error = error
        self._inside = inside

    def __reduce__(self) -> Any:
        left: list[str] = []
        args = tuple(self._part(each, f"argument {at}", left) for at, each in enumerate(self._error.args))
        state = {name: self._part(value, f"attribute {name!r}", left) for name, value in _attributes(self._error)}
        for name in [name for name, value in state.items() if isinstance(value, _Left)]:
            del state[name]
        args = tuple(value.text if isinstance(value, _Left) else value for value in args)
        if left:
            told = f"Left at the worker, since it cannot be pickled: {', '.join(left)}."
            notes = state.get("__notes__")
            state["__notes__"] = [*(notes if isinstance(notes, list) else ()), told]
        return _rebuild, (type(self._error), args, state)

    def _part(self, value: Any, name: str, left: list[str]) -> Any:
        """Return a part as it travels; one that cannot is noted in `left`."""
        if isinstance(value, BaseException) and self._inside < _DEEPEST:
            value = _Rebuilt(value, self._inside + 1)
        elif type(value) in (list, tuple) and any(isinstance(each, BaseException) for each in value):
            value = type(value)(self._part(each, name, left) for each in value)
        try:
            payload.dumps(value, name)
        except UnpicklableError:
            left.append(name)
            return _Left(value)
        return value


class _Left:
    """What stays behind of an exception."""

    def __init__(self, value: Any) -> None:
        self.text = safe_text.safely(lambda: brief.value(value), "...")


def _attributes(error: BaseException) -> Iterator[tuple[str, Any]]:
    """Yield an exception's attributes, also those that classes keep in slots and in C."""
    yield from getattr(error, "__dict__", {}).items()
    for cls in type(error).__mro__:
        for name, kept in vars(cls).items():
            if isinstance(kept, (MemberDescriptorType, GetSetDescriptorType)) and name != "args" and name[:2] != "__":
                with contextlib.suppress(Exception):
                    if (value := kept.__get__(error, type(error))) is not None:
                        yield name, value


def _rebuild(cls: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    base = next(base for base in cls.__mro__ if base.__module__ == "builtins")
    made: BaseException = base.__new__(cls, *args)  # that of the user's class may want anything
    BaseException.__setattr__(made, "args", args)
    for name, value in state.items():
        try:
            BaseException.__setattr__(made, name, value)
        except (AttributeError, TypeError):  # what C computes from the rest
            continue
    return made
