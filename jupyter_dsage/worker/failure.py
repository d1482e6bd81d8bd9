"""An exception raised by a job, made ready to travel: itself if it can, and its texts in any case."""

from __future__ import annotations

import traceback

from jupyter_dsage.errors import PayloadTooLargeError, UnpicklableError, UsageError
from jupyter_dsage.wire import payload
from jupyter_dsage.wire.payload import Raised

_LONGEST = 200_000
"""Characters of a traceback that travel; a recursion error's is long, and its end tells as much."""
_LONGEST_TEXT = 10_000
"""Characters of a repr that travel beside it: an exception may hold a whole table."""


def describe(error: BaseException) -> Raised:
    """Return what travels of an exception. Never raises, whatever the exception's own methods do."""
    kind = type(error)
    if kind in {
        PayloadTooLargeError,
        UnpicklableError,
        UsageError,
    }:  # their sentence says it all; the traceback would show our own lines
        return Raised(payload.dumps(error, "the error"), kind.__qualname__, repr(error), str(error), said=str(error))
    said = _safely(lambda: str(error), "")[:_LONGEST_TEXT]
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    text = _safely(lambda: repr(error), f"<{name} whose repr fails>")
    text = text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "..."
    shown = _safely(lambda: _format(error), f"{name}: <its traceback cannot be formatted>")
    if not isinstance(error, Exception):
        return Raised(None, name, text, shown, "exit", said=said)
    return Raised(_pickled(error), name, text, shown, said=said)


def _format(error: BaseException) -> str:
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_globals.get("__package__") == __package__:
        frames = frames.tb_next  # the user's own lines are the story
    lines = traceback.format_exception(type(error), error, frames)
    whole = "".join(lines)
    return whole if len(whole) <= _LONGEST else "...\n" + whole[-_LONGEST:]


def _pickled(error: Exception) -> bytes | None:
    try:
        data = payload.dumps(error, "the exception")
        same = type(payload.loads(data)) is type(error)
    except BaseException:  # noqa: BLE001  (its methods may even exit; then it travels as its texts, as RemoteError)
        return None
    return data if same else None


def _safely(make: object, instead: str) -> str:
    try:
        return str(make())  # type: ignore[operator]
    except BaseException:  # noqa: BLE001  (a user's repr may raise anything, and even exit)
        return instead
