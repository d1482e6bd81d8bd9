"""An exception raised by a job, made ready to travel: itself if it can, and its texts in any case."""

from __future__ import annotations

import os
import sys
import sysconfig
import traceback
from typing import TYPE_CHECKING

from jupyter_dsage.errors import PayloadTooLargeError, UnpicklableError, UsageError
from jupyter_dsage.wire import rebuilt, safe_text, sources
from jupyter_dsage.wire.notes import note_once
from jupyter_dsage.wire.raised import Raised

if TYPE_CHECKING:
    from types import TracebackType

_LONGEST = 200_000
"""Characters of a traceback that travel; a recursion error's is long, and its end tells as much."""
_LONGEST_TEXT = 10_000
"""Characters of a repr that travel beside it: an exception may hold a whole table."""
_MOST_FOLDERS = 6
"""Folders of the import path that are named."""
_SENTENCES = {PayloadTooLargeError, UnpicklableError, UsageError}
"""Errors whose sentence says it all; the traceback would show our own lines."""


def describe(error: BaseException) -> Raised:
    """Return what travels of an exception. Never raises, whatever the exception's own methods do."""
    kind = type(error)
    name = safe_text.type_name(error, whole=True)
    said = safe_text.safely(lambda: str(error), "")[:_LONGEST_TEXT]
    if kind in _SENTENCES and (data := _pickled(error)) is not None:
        return Raised(data, kind.__qualname__, safe_text.safely(lambda: repr(error), said), said, said=said)
    if kind is ModuleNotFoundError:
        note_once(error, _searched())
    text = safe_text.safely(lambda: repr(error), f"<{name} whose repr fails>")
    text = text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "..."
    shown = safe_text.safely(lambda: _format(error), f"{name}: <its traceback cannot be formatted>")
    if not isinstance(error, Exception):
        return Raised(None, name, text, shown, "exit", said=said)
    return Raised(_pickled(error), name, text, shown, said=said)


def _searched() -> str:
    """Return where this worker looks for modules, and what to do where one is missing."""
    ours = tuple({os.path.realpath(path) for path in sysconfig.get_paths().values()})
    folders = [path for path in sys.path if not os.path.realpath(path).startswith(ours) and not path.endswith(".zip")]
    looked = ", ".join([*folders[:_MOST_FOLDERS], *(["…"] if len(folders) > _MOST_FOLDERS else []), "its own packages"])
    return (
        f"The worker looked in {looked}. Put the module's folder on sys.path in the notebook and run the cell again; "
        "for a package that was installed since, %dsage refresh. On another host it must be installed there."
    )


def _format(error: BaseException) -> str:
    frames = _without_ours(error.__traceback__)
    lines = traceback.format_exception(type(error), error, frames)
    whole = sources.with_cells("".join(lines))
    return whole if len(whole) <= _LONGEST else "...\n" + whole[-_LONGEST:]


def _without_ours(frames: TracebackType | None) -> TracebackType | None:
    """Cut out the lines of this package and of Python's import system: the user's own are the story."""
    while frames is not None and (_is_ours(frames) or _is_event_loop(frames)):
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


def _is_event_loop(frame: TracebackType) -> bool:
    """Tell whether a frame is asyncio's: that of an ``async def`` job begins there."""
    return str(frame.tb_frame.f_globals.get("__name__")).startswith("asyncio.")


def _pickled(error: BaseException) -> bytes | None:
    try:
        return rebuilt.dumps(error)
    except BaseException:  # noqa: BLE001  (its methods may even exit; then it travels as its texts, as RemoteError)
        return None
