"""What IPython shows of an exception: the user's lines, without those of IPython's magics and of this package."""

from __future__ import annotations

import contextlib
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Any

from jupyter_dsage import errors

_ORIGINAL = "_dsage_structured_traceback"
_EXPECTED = (errors.DsageError, TimeoutError, CancelledError, KeyboardInterrupt)
"""What our calls raise by themselves. Another exception without a job's note is a defect here: all of it is shown."""


def shorten(error: BaseException, shell: Any) -> None:
    """Have IPython show an exception from the user's first line on, without the lines of IPython and of this package.

    Once only: the exception may be a job's, which is shown in full when somebody asks for that job's result.
    """
    trace = error.__traceback__
    while trace is not None and _is_ours(trace):
        trace = trace.tb_next

    def render() -> list[str]:
        del error._render_traceback_  # type: ignore[attr-defined]
        if trace is None or isinstance(error, errors.DsageError):  # our own: its sentence says it all
            return list(shell.InteractiveTB.get_exception_only(type(error), error))
        return list(shell.InteractiveTB.structured_traceback(type(error), error, trace, tb_offset=0))

    error._render_traceback_ = render  # type: ignore[attr-defined]


def hide_own_frames(shell: Any) -> None:
    """Have a shell end a traceback at the user's line where an exception comes out of a call of this package."""
    shown = shell.InteractiveTB
    if hasattr(shown, _ORIGINAL):
        return
    original = shown.structured_traceback

    def structured_traceback(etype: Any = None, evalue: Any = None, etb: Any = None, *args: Any, **kwargs: Any) -> Any:
        with contextlib.suppress(Exception):  # whatever it is, the exception itself is shown
            etb = users_part(evalue, etb)
        return original(etype, evalue, etb, *args, **kwargs)

    setattr(shown, _ORIGINAL, original)
    shown.structured_traceback = structured_traceback


def show_own_frames(shell: Any) -> None:
    """Undo `hide_own_frames`."""
    shown = shell.InteractiveTB
    if hasattr(shown, _ORIGINAL):
        shown.structured_traceback = getattr(shown, _ORIGINAL)
        delattr(shown, _ORIGINAL)


def users_part(error: object, trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback up to the user's last line, if what comes after it is all of this package, and is expected."""
    frames = []
    while trace is not None:
        frames.append(trace)
        trace = trace.tb_next
    whole = frames[0] if frames else None
    if not isinstance(error, _EXPECTED) and not getattr(error, "__notes__", None):
        return whole
    at = len(frames)
    while at and (_is_ours(frames[at - 1]) or _is_waiting(frames[at - 1])):
        at -= 1
    if at == len(frames) or at == 0:
        return whole
    kept: TracebackType | None = None
    for frame in reversed(frames[:at]):
        kept = TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return kept


def _is_ours(trace: TracebackType) -> bool:
    return str(trace.tb_frame.f_globals.get("__name__", "")).startswith("jupyter_dsage.")


def _is_waiting(trace: TracebackType) -> bool:
    """Tell whether a frame is one of the standard library in which our calls wait."""
    return trace.tb_frame.f_globals.get("__name__") in ("queue", "threading", "contextlib")
