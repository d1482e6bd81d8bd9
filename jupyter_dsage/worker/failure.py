"""An exception raised by a job, made ready to travel: itself if it can, and its texts in any case."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from jupyter_dsage.errors import PayloadTooLargeError, UnpicklableError, UsageError
from jupyter_dsage.wire import payload, safe_text
from jupyter_dsage.wire.payload import Raised

if TYPE_CHECKING:
    from types import TracebackType

_LONGEST = 200_000
"""Characters of a traceback that travel; a recursion error's is long, and its end tells as much."""
_LONGEST_TEXT = 10_000
"""Characters of a repr that travel beside it: an exception may hold a whole table."""
_SENTENCES = {PayloadTooLargeError, UnpicklableError, UsageError}
"""Errors whose sentence says it all; the traceback would show our own lines."""


def describe(error: BaseException) -> Raised:
    """Return what travels of an exception. Never raises, whatever the exception's own methods do."""
    kind = type(error)
    name = safe_text.type_name(error, whole=True)
    said = safe_text.safely(lambda: str(error), "")[:_LONGEST_TEXT]
    if kind in _SENTENCES and (data := _pickled(error)) is not None:
        return Raised(data, kind.__qualname__, safe_text.safely(lambda: repr(error), said), said, said=said)
    text = safe_text.safely(lambda: repr(error), f"<{name} whose repr fails>")
    text = text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "..."
    shown = safe_text.safely(lambda: _format(error), f"{name}: <its traceback cannot be formatted>")
    if not isinstance(error, Exception):
        return Raised(None, name, text, shown, "exit", said=said)
    return Raised(_pickled(error), name, text, shown, said=said)


def _format(error: BaseException) -> str:
    frames = _without_ours(error.__traceback__)
    lines = traceback.format_exception(type(error), error, frames)
    whole = "".join(lines)
    return whole if len(whole) <= _LONGEST else "...\n" + whole[-_LONGEST:]


def _without_ours(frames: TracebackType | None) -> TracebackType | None:
    """Cut out the lines of this package and of Python's import system: the user's own are the story."""
    while frames is not None and _is_ours(frames):
        frames = frames.tb_next
    at = frames
    while at is not None:
        while at.tb_next is not None and _is_ours(at.tb_next):
            at.tb_next = at.tb_next.tb_next
        at = at.tb_next
    return frames


def _is_ours(frame: TracebackType) -> bool:
    return frame.tb_frame.f_globals.get("__package__") == __package__ or frame.tb_frame.f_code.co_filename.startswith(
        "<frozen importlib"
    )


def _pickled(error: BaseException) -> bytes | None:
    try:
        data = payload.dumps(error, "the exception")
        same = type(payload.loads(data)) is type(error)
    except BaseException:  # noqa: BLE001  (its methods may even exit; then it travels as its texts, as RemoteError)
        return None
    return data if same else None
