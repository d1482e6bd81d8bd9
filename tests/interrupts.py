"""Exceptions as signals raise them: at any line, or any step, of our code that the calling thread runs."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jupyter_dsage

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_OURS = str(Path(jupyter_dsage.__file__).parent)


class Interrupter:
    """Makes a call again and again, and raises KeyboardInterrupt at another place of our code each time.

    A place is a line that the call comes to for the first time, or with `steps` every fifth step of the interpreter.
    """

    def __init__(self, *, steps: bool = False) -> None:
        self._steps = steps
        self._seen: set[tuple[str, int]] = set()
        self._next = 3
        self.count = 0
        """Interrupts so far."""

    def _is_new(self, frame: FrameType, count: int) -> bool:
        if self._steps:
            if count < self._next:
                return False
            self._next += 5
            return True
        place = (frame.f_code.co_filename, frame.f_lineno)
        new = place not in self._seen
        self._seen.add(place)
        return new

    def raises(self, call: Callable[[], Any]) -> bool:
        """Make the call; return whether it was interrupted: then there may be more places.

        What the call itself raises is passed on; an interrupt that comes to nobody is an AssertionError.
        """
        wanted = "opcode" if self._steps else "line"
        count, raised = 0, False

        def local(frame: FrameType, event: str, _arg: Any) -> Any:
            nonlocal count, raised
            if event == wanted and not raised:
                count += 1
                if self._is_new(frame, count):
                    raised = True
                    raise KeyboardInterrupt
            return local

        def trace(frame: FrameType, _event: str, _arg: Any) -> Any:
            code = frame.f_code
            if not code.co_filename.startswith(_OURS) or code.co_name in {"__del__", "<module>"}:
                return None  # what a finalizer raises is printed by Python, and reaches nobody
            frame.f_trace_opcodes = self._steps
            return local

        before, collecting = sys.gettrace(), gc.isenabled()
        sys.settrace(trace)
        try:
            call()
        except KeyboardInterrupt:
            if not raised:
                raise
            self.count += 1
            return True
        finally:
            sys.settrace(before)
            if collecting:  # a tracer can raise in a `finally` before its first call, where no signal's exception comes
                gc.enable()
        assert not raised, "an interrupt was swallowed"
        return False
