"""The bytes the child keeps for its batches: functions and segments. It never looks into them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.wire.codec import Frame


class Payloads:
    """Functions by id (for the session's life) and segments by number (until none of their jobs can run).

    `read`: returns the payload of a row of the journal, for segments that an earlier child took in.
    """

    def __init__(self, read: Callable[[int], Frame] | None = None) -> None:
        self._read = read
        self._functions: dict[str, tuple[m.Function | m.Service, list[Frame]]] = {}
        self._segments: dict[int, Frame] = {}
        self._rows: dict[int, int] = {}
        """Segment -> its row in the journal."""
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

    def place_of(self, function: str) -> tuple[str, tuple[str, ...]] | None:
        """Return where a function's sender worked and imported from; None where that is not known."""
        message = self._functions[function][0] if function in self._functions else None
        return (message.cwd, message.path) if isinstance(message, m.Function) and message.cwd else None

    def add_segment(self, frame: Frame) -> int:
        """Keep a segment; return the number it is known by."""
        number = self._next_segment
        self._next_segment += 1
        self._segments[number] = frame
        return number

    def on_disk(self, number: int, row: int, *, only: bool = False) -> None:
        """Note where a segment stands in the journal; `only`: it is not kept in memory."""
        self._rows[number] = row
        if only:
            del self._segments[number]

    def segment(self, number: int) -> Frame:
        """Return a segment's bytes."""
        if number not in self._segments and self._read is not None:
            return self._read(self._rows[number])
        return self._segments[number]

    def row_of(self, number: int) -> tuple[int, Frame | None]:
        """Return where a segment's bytes are: its row in the journal, or else (0) they themselves, if they are here."""
        row = self._rows.get(number, 0)
        return row, None if row else self._segments.get(number)

    def drop(self, number: int) -> int:
        """Forget a segment; return its row in the journal, 0 if it has none."""
        self._segments.pop(number, None)
        return self._rows.pop(number, 0)
