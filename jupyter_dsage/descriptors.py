"""Descriptors that are never left open: an exception that a signal raises between opening and holding one closes it.

Used where sessions are found and records read: in the user's thread, where an interrupt comes at any place.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Descriptor(io.FileIO):
    """An open descriptor, of whatever it is; it is closed without a warning when nobody has it any more."""

    def __del__(self) -> None:
        self.close()


def opened(function: Callable[..., int], *args: Any, mode: str = "rb") -> Descriptor:
    """Return the descriptor that a function such as ``os.open`` returns; raises what it raises.

    One step of the interpreter from the call on (`map` is C), which no signal's exception tears.
    """
    return next(map(Descriptor, map(function, *((arg,) for arg in args)), (mode,)))
