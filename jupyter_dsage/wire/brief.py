"""Arguments and errors as short texts for people: capped, on one line, and never raising."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Any

from jupyter_dsage.wire import safe_text
from jupyter_dsage.wire.twice import FailedTwiceError, twice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_LONGEST_CALL = 200
_LONGEST_ERROR = 200
_LONGEST_NOTE = 500
_LONGEST_VALUE = 60

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 60
_repr.maxlist = _repr.maxtuple = _repr.maxdict = _repr.maxset = 6


def call(
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    shown: Callable[[Any], str] | None = None,
    names: Sequence[str] = (),
) -> str:
    """Return the arguments of a call, as between its parentheses: ``1000, bins=10``.

    `shown`: how one is shown; `names`: of the function's parameters, where the first arguments are to have theirs.
    """
    show = shown or _safe
    parts = [f"{name}={show(value)}" for name, value in zip(names, args, strict=False)]
    parts += [show(value) for value in args[len(parts) :]]
    parts += [f"{_key(name)}={show(value)}" for name, value in kwargs.items()]
    return _line(", ".join(parts), _LONGEST_CALL)


def interruptible(value: Any) -> str:
    """Return a value as `call` shows it, in the user's own thread: an interrupt meanwhile is raised."""
    try:
        return twice(lambda: safe_text.exact(_repr.repr(value)))
    except FailedTwiceError:  # a user's repr may raise anything
        return f"<{safe_text.type_name(value)}>"


def value(value: Any) -> str:
    """Return a value as it stands in a sentence."""
    text = safe_text.safely(lambda: repr(value), f"a {safe_text.type_name(value)} whose repr fails")
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."


def error(type_name: str, message: str) -> str:
    """Return an exception on one line: ``ValueError: scale < 0``."""
    return _line(f"{type_name.rpartition('.')[2]}: {message}" if message else type_name, _LONGEST_ERROR)


def note(text: str) -> str:
    """Return what is to be said of an engine on one line."""
    return _line(text, _LONGEST_NOTE)


def _key(name: object) -> str:
    return safe_text.exact(name) if isinstance(name, str) else _safe(name)


def _safe(value: Any) -> str:
    return safe_text.safely(lambda: _repr.repr(value), f"<{safe_text.type_name(value)}>")


def _line(text: str, longest: int) -> str:
    text = safe_text.visible(" ".join(safe_text.exact(text).split()))
    return text if len(text) <= longest else text[: longest - 1] + "…"
