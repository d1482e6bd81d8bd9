"""The bytes the child keeps for its batches: functions and segments. It never looks into them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_dsage.wire import messages as m
    from jupyter_dsage.wire.codec import Frame


class Payloads:
    """Functions by id (for the session's life) and segments by number (until none of their jobs can run)."""

    def __init__(self) -> None:
        self._functions: dict[str, tuple[m.Function | m.Service, list[Frame]]] = {}
        self._segments: dict[int, Frame] = {}
        self._next_segment = 1

    def learn(self, message: m.Function | m.Service, frames: list[Frame]) -> None:
        """Keep a function; one that is there already is the same, since its id is its content's hash."""
        self._functions.setdefault(message.function, (message, frames))

    def knows(self, function: str) -> bool:
        """Tell whether a function was sent."""
        return function in self._functions

    def function(self, function: str) -> tuple[m.Function | m.Service, list[Frame]]:
        """Return a function as it is sent to workers."""
        return self._functions[function]

    def service_of(self, function: str) -> str | None:
        """Return the service's name where a function is one, else None."""
        return getattr(self._functions[function][0], "service", None)

    def add_segment(self, frame: Frame) -> int:
        """Keep a segment; return the number it is known by."""
        number = self._next_segment
        self._next_segment += 1
        self._segments[number] = frame
        return number

    def segment(self, number: int) -> Frame:
        """Return a segment's bytes."""
        return self._segments[number]

    def drop(self, number: int) -> None:
        """Forget a segment."""
        del self._segments[number]
