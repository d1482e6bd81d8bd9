"""Large buffers beside a pickle, as in PEP 574: a payload's arrays are written once, and mapped where they are read.

A payload that has some is one frame: `MAGIC`, how many buffers there are and how long the pickle is; offset and size of
each buffer; the pickle; the buffers, each at the beginning of a page. One that has none is the pickle alone.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from jupyter_dsage import settings
from jupyter_dsage.errors import ProtocolError
from jupyter_dsage.wire import segments

if TYPE_CHECKING:
    import pickle
    from collections.abc import Sequence

    Frame = bytes | memoryview

MAGIC = b"DSGBUFS1"
"""No pickle of protocol 2 or later begins like this."""
_HEAD = struct.Struct("<8sQQ")
_PLACE = struct.Struct("<QQ")


class Beside:
    """Gathers the buffers of one payload; `take` is a pickler's ``buffer_callback``."""

    def __init__(self) -> None:
        self.views: list[memoryview] = []

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(view.nbytes for view in self.views) if self.views else 0

    def take(self, buffer: pickle.PickleBuffer) -> bool:
        """Keep a large buffer, and return False; a small one stays in the pickle."""
        try:
            view = buffer.raw()
        except BufferError:
            return True
        if view.nbytes <= settings.SHARED_BYTES:
            return True
        self.views.append(view)
        return False


def pack(data: bytes, views: Sequence[memoryview]) -> Frame:
    """Return a payload of a pickle and its buffers, which are copied now."""
    if not views:
        return data
    places, at = b"", _on_page(_HEAD.size + _PLACE.size * len(views) + len(data))
    parts: list[bytes | memoryview] = []
    end = _HEAD.size + _PLACE.size * len(views) + len(data)
    for view in views:
        parts += [bytes(at - end), view]
        places += _PLACE.pack(at, view.nbytes)
        end = at + view.nbytes
        at = _on_page(end)
    return segments.put([_HEAD.pack(MAGIC, len(views), len(data)) + places + data, *parts])


def _on_page(at: int) -> int:
    return -(-at // segments.PAGE) * segments.PAGE


class Buffers:
    """The buffers of a payload, as its readers have them."""

    def __init__(self, frame: Frame = b"", places: Sequence[tuple[int, int]] = ()) -> None:
        self._frame = frame
        self._places = places
        self._segment = segments.of(frame)

    def some(self, first: int, stop: int) -> list[Any]:
        """Return some of them, fresh: the caller may change what is in them, and nobody else sees it."""
        return [self._one(*place) for place in self._places[first:stop]]

    def all(self) -> list[Any]:
        """Return all of them, as `some` does."""
        return self.some(0, len(self._places))

    def _one(self, at: int, size: int) -> Any:
        if self._segment is not None:
            return self._segment.copy(at, size)
        return bytearray(self._frame[at : at + size])


def unpack(frame: Frame) -> tuple[Frame, Buffers]:
    """Return the pickle of a payload and its buffers; raises ProtocolError for one that is cut off."""
    if frame[: len(MAGIC)] != MAGIC:
        return frame, Buffers()
    size = len(frame)
    try:
        _, count, length = _HEAD.unpack_from(frame)
        begin = _HEAD.size + _PLACE.size * count
        places = list(_PLACE.iter_unpack(frame[_HEAD.size : begin]))
    except struct.error:
        raise ProtocolError("A payload is cut off.") from None
    if begin + length > size or len(places) != count or any(at + n > size for at, n in places):
        raise ProtocolError("A payload is cut off.")
    return frame[begin : begin + length], Buffers(frame, places)
