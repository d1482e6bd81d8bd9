"""A talk that outlives its connections: messages are numbered, kept until they have arrived, and taken once.

One on each side of the link between a child and a worker server. Pure: it is given what arrived and returns what to
send; connecting, sockets and clocks are `net.talk`'s. Frames above `BULK_BYTES` travel apart from their message, over
the bulk connection, and are put back in here, whichever comes first.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.errors import ProtocolError
from jupyter_dsage.wire import remote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dsage.wire.codec import Frame

_WINDOW = 1_000_000
"""Messages that may be under way; a number further ahead is nonsense."""
_MESSAGE_BYTES = 500
"""What a message that waits costs beside its frames: else a million empty ones would cost nothing."""


@dataclass(slots=True)
class Letter:
    """A message that was sent: its number, whom it is for, its frames."""

    number: int
    worker: int
    frames: list[Frame]

    def size(self) -> int:
        """Return the bytes of its frames."""
        return sum(memoryview(frame).nbytes for frame in self.frames)

    def apart(self) -> list[tuple[int, Frame]]:
        """Return (index, frame) of what goes over the bulk connection."""
        sizes = [(index, _size(frame)) for index, frame in enumerate(self.frames) if index]
        return [(index, self.frames[index]) for index, size in sizes if size > settings.BULK_BYTES]

    def sealed(self, got: int) -> list[Frame]:
        """Return what goes over the link, acknowledging all up to `got`."""
        apart = self.apart()
        bulk = tuple((index, _size(frame)) for index, frame in apart)
        without = {index for index, _ in apart}
        inline = [frame for index, frame in enumerate(self.frames) if index not in without]
        return remote.seal(remote.Envelope(self.number, self.worker, got, bulk), inline)

    def bulk(self) -> list[tuple[int, Frame]]:
        """Return (key, frame) of what goes over the bulk connection."""
        return [(key_of(self.number, index), frame) for index, frame in self.apart()]


@dataclass(slots=True)
class _Arriving:
    """A message that has come, perhaps without all of its frames."""

    worker: int
    frames: list[Frame]
    missing: dict[int, int] = field(default_factory=dict)
    """Index -> bytes of the frames still to come."""

    def bytes(self) -> int:
        """Return the memory that it takes, roughly."""
        return _MESSAGE_BYTES + sum(map(_size, self.frames))


def _size(frame: Frame) -> int:
    return memoryview(frame).nbytes


def key_of(number: int, index: int) -> int:
    """Return the name of a frame on the bulk connection."""
    return number * settings.MAX_FRAMES + index


class Conversation:
    """Both directions of one side. `most`: bytes of messages that may wait here to be put together (None: any)."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._next = 1
        self._kept: deque[Letter] = deque()
        self.kept_bytes = 0
        """Bytes of the messages that were sent and not acknowledged."""
        self.got = 0
        """All up to this number has arrived whole."""
        self._taken = 0
        """All up to this number has come, perhaps without all of its frames: a link keeps the order."""
        self._ahead: set[int] = set()
        """Numbers above `got` that have arrived whole."""
        self._arriving: dict[int, _Arriving] = {}
        self._early: dict[int, Frame] = {}
        """Frames that came before their message."""
        self._lanes: dict[int, deque[int]] = {}
        """Worker -> numbers of its messages that have come and wait for one before them, in order."""
        self._ready: deque[tuple[int, list[Frame]]] = deque()
        self._waiting = 0

    # --- out -----------------------------------------------------------------------------------------------

    def post(self, worker: int, frames: Sequence[Frame]) -> Letter:
        """Number a message and keep it."""
        letter = Letter(self._next, worker, list(frames))
        self._next += 1
        self._kept.append(letter)
        self.kept_bytes += letter.size()
        return letter

    def acknowledged(self, got: int) -> None:
        """Forget what has arrived at the other side; raises ProtocolError for what was never sent."""
        if got >= self._next:
            raise ProtocolError(f"Message {got} was acknowledged, and it was never sent.")
        while self._kept and self._kept[0].number <= got:
            self.kept_bytes -= self._kept.popleft().size()

    def kept(self) -> list[Letter]:
        """Return what has not been acknowledged, in order: to be sent again on a new connection."""
        return list(self._kept)

    # --- in ------------------------------------------------------------------------------------------------

    def take(self, envelope: remote.Envelope, inline: list[Frame]) -> None:
        """Take a numbered message in; one that came before is left.

        Raises ProtocolError, with nothing changed, for nonsense, and when one before it was lost on the way.
        """
        number = envelope.number
        if not 0 < number <= min(self._taken + 1, self.got + _WINDOW):
            raise ProtocolError(f"Message {number} is out of place: {self._taken + 1} comes next.")
        if number <= self._taken:
            return
        missing = dict(envelope.bulk)
        total = len(inline) + len(missing)
        if not inline or not all(0 < index < total for index in missing):
            raise ProtocolError("An envelope names frames that its message cannot have.")
        keys = {key_of(number, index): index for index in range(settings.MAX_FRAMES)}
        early = {index: self._early[key] for key, index in keys.items() if key in self._early}
        for index, frame in early.items():
            _check_size(frame, missing.get(index))
        rest = iter(inline)
        frames = [early.get(index, b"") if index in missing else next(rest) for index in range(total)]
        arriving = _Arriving(envelope.worker, frames, {i: n for i, n in missing.items() if i not in early})
        size = arriving.bytes() - sum(map(_size, early.values()))
        if (arriving.missing or envelope.worker in self._lanes) and not self._fits(size):
            raise ProtocolError("Too much waits for frames of the bulk connection that have not come.")
        self._taken = number
        self._waiting += size
        for index in early:
            del self._early[key_of(number, index)]
        self._arriving[number] = arriving
        if envelope.worker != remote.DEPOSIT:
            self._lanes.setdefault(envelope.worker, deque()).append(number)
        self._settle(number)

    def expects(self, key: int, size: int) -> bool:
        """Tell whether a frame of the bulk connection may come (asked before memory is taken, by its thread)."""
        number = key // settings.MAX_FRAMES
        return self._fits(size) and size <= settings.MAX_FRAME_BYTES and 0 < number <= self.got + _WINDOW

    def take_bulk(self, key: int, frame: Frame) -> None:
        """Take a frame of the bulk connection in; one that came before is left.

        Raises ProtocolError, with nothing changed, for nonsense.
        """
        number, index = divmod(key, settings.MAX_FRAMES)
        if not index or not 0 < number <= self.got + _WINDOW:
            raise ProtocolError(f"A frame of the bulk connection is out of place: number {index} of message {number}.")
        if number > self._taken:
            self._waiting += 0 if key in self._early else _size(frame)
            self._early.setdefault(key, frame)
            return
        arriving = self._arriving.get(number)
        if arriving is not None and index in arriving.missing:
            _check_size(frame, arriving.missing[index])
            del arriving.missing[index]
            arriving.frames[index] = frame
            self._waiting += _size(frame)
            self._settle(number)

    def ready(self) -> deque[tuple[int, list[Frame]]]:
        """Return the messages that are whole and whose turn has come, (worker, frames); the caller empties it."""
        return self._ready

    def waiting_bytes(self) -> int:
        """Return the memory of what waits here for frames that have not come."""
        return self._waiting

    def _fits(self, size: int) -> bool:
        return self._most is None or self._waiting + size <= self._most

    def _settle(self, number: int) -> None:
        """If a message is whole, note that it came, and hand on what its lane has waiting."""
        arriving = self._arriving[number]
        if arriving.missing:
            return
        self._ahead.add(number)
        while self.got + 1 in self._ahead:
            self.got += 1
            self._ahead.remove(self.got)
        if arriving.worker == remote.DEPOSIT:
            self._hand_on(number)
            return
        lane = self._lanes[arriving.worker]
        while lane and not self._arriving[lane[0]].missing:
            self._hand_on(lane.popleft())
        if not lane:
            del self._lanes[arriving.worker]

    def _hand_on(self, number: int) -> None:
        arriving = self._arriving.pop(number)
        self._waiting -= arriving.bytes()
        self._ready.append((arriving.worker, arriving.frames))


def _check_size(frame: Frame, size: int | None) -> None:
    if _size(frame) != size:
        raise ProtocolError("A frame of the bulk connection is not as long as its message says.")
