"""Arguments and errors as short texts for people: capped, on one line, and never raising."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Any

from jupyter_dsage.wire.twice import FailedTwiceError, twice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LONGEST_CALL = 200
_LONGEST_ERROR = 200
_LONGEST_NOTE = 500
_LONGEST_VALUE = 60

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 60
_repr.maxlist = _repr.maxtuple = _repr.maxdict = _repr.maxset = 6


def call(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return the arguments of a call, as between its parentheses: ``1000, bins=10``."""
    parts = [_safe(value) for value in args] + [f"{name}={_safe(value)}" for name, value in kwargs.items()]
    return _line(", ".join(parts), _LONGEST_CALL)


def value(value: Any) -> str:
    """Return a value as it stands in a sentence."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  (a user's repr may raise anything)
        text = f"a {type(value).__qualname__} whose repr fails"
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."


def error(type_name: str, message: str) -> str:
    """Return an exception on one line: ``ValueError: scale < 0``."""
    return _line(f"{type_name.rpartition('.')[2]}: {message}" if message else type_name, _LONGEST_ERROR)


def note(text: str) -> str:
    """Return what is to be said of an engine on one line."""
    return _line(text, _LONGEST_NOTE)


def _safe(value: Any) -> str:
    try:
        return twice(lambda: _repr.repr(value))
    except FailedTwiceError:  # a user's repr may raise anything
        return f"<{type(value).__qualname__}>"


def _line(text: str, longest: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"
