"""A link over a stream of bytes that something else carries, such as ssh: whole messages, and large frames beside them.

Both travel in packets, and a message overtakes what is left of a large frame, so that a cancel does not wait behind
200 MB; `net.pacing` bounds what it cannot overtake. A packet: kind (u8), size (u32), that many bytes. A message packet
holds one message as in `net.stream`; a bulk packet the next part of a frame, or, before its first part, its key and
size (u64 each); a squeezed one the same by zstd, on links that are slower than that; a receipt says how many bytes of
bulk packets were read (u64). Nothing travels as a descriptor here.
"""

from __future__ import annotations

import collections
import select
import struct
import time
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.errors import PeerGoneError, ProtocolError
from jupyter_dsage.net.pacing import Pacer
from jupyter_dsage.net.squeeze import Squeezer, unsqueezed
from jupyter_dsage.net.stream import StreamLink

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from jupyter_dsage.net.transport import Frame

_PACKET = struct.Struct("<BI")
_FRAME = struct.Struct("<QQ")
_COUNT = struct.Struct("<I")
_TOTAL = struct.Struct("<Q")
_MESSAGE, _BULK, _SQUEEZED, _RECEIPT = range(4)
_READS = 32
"""Reads at a time, of PACKET_BYTES at most."""


class PacketLink(StreamLink):
    """A link over a connected stream socket; see `transport.Link`, and `net.talk` for its large frames."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._bulk: collections.deque[memoryview] = collections.deque()
        """What is left of the large frames, each behind its key and size; the first is under way."""
        self._key = 0
        self._frame = bytearray()
        """The large frame that arrives."""
        self._filled = 0
        self._part = 0
        """Bytes of the bulk packet that arrives which are still to come."""
        self._pacer = Pacer()
        self._read_bulk = 0
        """Bytes of bulk packets that were read, and not told yet if it is more than `_told`."""
        self._told = 0
        self.squeezes = False
        """Whether the other end reads squeezed packets."""
        self._squeezer = Squeezer()
        self.heard_at = 0.0
        """When anything was read from it last (monotonic seconds)."""
        self.allowed: Callable[[int, int], bool] = lambda _key, _size: False
        """Whether a key's frame of a size may come."""
        self.arrived: Callable[[int, Frame], None] = lambda _key, _frame: None
        """Takes each large frame that has come."""

    @property
    def wants_write(self) -> bool:
        """See `StreamLink`."""
        return bool(self._out or (self._bulk and self._pacer.may())) and not self.gone

    # --- out -----------------------------------------------------------------------------------------------

    def send(self, frames: Sequence[Frame], *, more: bool = False) -> None:  # noqa: ARG002
        """See `transport.Link`."""
        if self.gone:
            raise PeerGoneError("The process at the other end is gone.")
        views = [memoryview(frame).cast("B") for frame in frames]
        sizes = [view.nbytes for view in views]
        head = _COUNT.pack(len(views)) + struct.pack(f"<{len(views)}Q", *sizes)
        packet = _PACKET.pack(_MESSAGE, len(head) + sum(sizes))
        with self._writing:
            self._out.append((memoryview(b"".join([packet, head, *views])), ()))
        self.flush()

    def send_bulk(self, key: int, frame: Frame) -> None:
        """Have a large frame sent when no message waits; it must not change until then."""
        if self.gone:
            raise PeerGoneError("The process at the other end is gone.")
        view = memoryview(frame).cast("B")
        with self._writing:
            self._bulk.append(memoryview(_FRAME.pack(key, view.nbytes)))
            self._bulk.append(view)
        self.flush()

    def flush(self) -> None:
        """See `StreamLink`."""
        with self._writing:
            try:
                while self._out or (self._bulk and self._pacer.may()):
                    if not self._out:
                        self._cut()
                    self._write_first()
            except BlockingIOError:
                return
            except OSError:
                self.gone = True  # what it sent before can still be read

    def finish(self, seconds: float) -> None:
        """Let go of large frames, and wait until all messages have left, or for so long."""
        with self._writing:
            self._bulk.clear()
        deadline = time.monotonic() + seconds
        self.flush()
        while self.wants_write and (rest := deadline - time.monotonic()) > 0:
            select.select([], [self], [], rest)
            self.flush()

    def _cut(self) -> None:
        """Make a packet of the next part of the first large frame."""
        part = self._bulk[0][: settings.PACKET_BYTES]
        if part.nbytes == self._bulk[0].nbytes:
            self._bulk.popleft()
        else:
            self._bulk[0] = self._bulk[0][part.nbytes :]
        kind = _BULK
        if self.squeezes and part.nbytes > _FRAME.size and 0 < self._pacer.rate < settings.SQUEEZE_BELOW:
            squeezed = self._squeezer.squeeze(part)
            kind, part = (_BULK, part) if squeezed is None else (_SQUEEZED, squeezed)
        self._out.append((memoryview(_PACKET.pack(kind, part.nbytes)), ()))
        self._out.append((part, ()))
        self._pacer.sent(part.nbytes, time.monotonic())

    def _receipt(self) -> None:
        """Tell how much of large frames was read."""
        if self._told < self._read_bulk and not self.gone:
            self._told = self._read_bulk
            with self._writing:
                packet = _PACKET.pack(_RECEIPT, _TOTAL.size) + _TOTAL.pack(self._told)
                self._out.append((memoryview(packet), ()))
            self.flush()

    # --- in ------------------------------------------------------------------------------------------------

    def receive(self) -> list[Frame] | None:
        """See `transport.Link`. A stream that never pauses is left for others after 2 MB; a poller comes back to it."""
        message = self.take()
        if message is None and self.fill():
            message = self.take()
        return message

    def fill(self) -> bool:
        """See `StreamLink`; the bytes of a large frame are read to where they stay."""
        anything = False
        try:
            for _ in range(_READS):
                self._read()
                anything = True
                while self._take_bulk():
                    pass
                if self._in:  # a message, or the beginning of one
                    break
            self._receipt()
        except BlockingIOError:
            self._receipt()
            return anything
        except OSError as error:
            self.gone = True
            raise PeerGoneError("The process at the other end is gone.") from error
        return True

    def _read(self) -> None:
        """Read once; raises BlockingIOError if there is nothing, PeerGoneError at the end."""
        if self._part and not self._in:
            with memoryview(self._frame) as view:
                got = self._socket.recv_into(view[self._filled : self._filled + self._part])
            self._advance(got)
        else:
            data = self._socket.recv(settings.PACKET_BYTES)
            got = len(data)
            self._in += data
        if not got:
            self.gone = True
            raise PeerGoneError("The process at the other end is gone.")
        self.heard_at = time.monotonic()

    def take(self) -> list[Frame] | None:
        """See `StreamLink`."""
        while self._take_bulk():
            pass
        packet = None if self._part else self._packet(_MESSAGE, settings.MAX_INLINE_BYTES)
        return None if packet is None else _frames(packet)

    def _packet(self, kind: int, most: int) -> bytes | None:
        """Take a packet of this kind that has come whole; None if that is not what comes next."""
        if len(self._in) < _PACKET.size or self._in[0] != kind:
            return None
        size = _PACKET.unpack_from(self._in)[1]
        if size > most:
            raise ProtocolError(f"A packet of kind {kind} and {size:,} bytes.")
        if len(self._in) < _PACKET.size + size:
            return None
        packet = bytes(memoryview(self._in)[_PACKET.size : _PACKET.size + size])
        del self._in[: _PACKET.size + size]
        return packet

    def _take_bulk(self) -> bool:
        """Take in what has arrived of packets that are no messages; return whether there may be more."""
        if self._part:
            here = min(self._part, len(self._in))
            self._frame[self._filled : self._filled + here] = self._in[:here]
            del self._in[:here]
            self._advance(here)
            return here > 0
        if len(self._in) < _PACKET.size or self._in[0] == _MESSAGE:
            return False
        kind, size = _PACKET.unpack_from(self._in)
        if kind == _BULK and self._frame:
            if not 0 < size <= min(settings.PACKET_BYTES, len(self._frame) - self._filled):
                raise ProtocolError("A large frame is longer than it said.")
            self._part = size
            del self._in[: _PACKET.size]
            return True
        if kind not in (_BULK, _SQUEEZED, _RECEIPT):
            raise ProtocolError(f"A packet of kind {kind}.")
        packet = self._packet(kind, settings.PACKET_BYTES)
        if packet is not None:
            self._other(kind, packet)
        return packet is not None

    def _other(self, kind: int, packet: bytes) -> None:
        """Take in a receipt, the beginning of a large frame, or a squeezed part of one."""
        if kind == _RECEIPT and len(packet) == _TOTAL.size:
            self._pacer.got(_TOTAL.unpack(packet)[0], time.monotonic())
            self.flush()
        elif kind == _BULK and len(packet) == _FRAME.size:
            self._begin(*_FRAME.unpack(packet))
            self._read_bulk += len(packet)
        elif kind == _SQUEEZED and self._frame:
            part = unsqueezed(packet, min(settings.PACKET_BYTES, len(self._frame) - self._filled))
            self._frame[self._filled : self._filled + len(part)] = part
            self._part = len(part)
            self._advance(len(part))
            self._read_bulk += len(packet) - len(part)
        else:
            raise ProtocolError(f"A packet of kind {kind} and {len(packet)} bytes does not belong here.")

    def _begin(self, key: int, size: int) -> None:
        if not size or not self.allowed(key, size):
            raise ProtocolError(f"A peer sent a large frame of {size:,} bytes that nobody expects.")
        self._key, self._frame, self._filled = key, bytearray(size), 0

    def _advance(self, got: int) -> None:
        self._filled += got
        self._part -= got
        self._read_bulk += got
        if self._filled == len(self._frame):
            frame, self._frame = self._frame, bytearray()
            self.arrived(self._key, memoryview(frame))

    def close(self) -> None:
        """See `transport.Link`."""
        self._bulk.clear()
        super().close()


class Lane:
    """The part of a link that carries large frames, as a sender for `net.talk`."""

    def __init__(self, link: PacketLink) -> None:
        self._link = link

    def send(self, key: int, frame: Frame) -> None:
        """See `PacketLink.send_bulk`."""
        self._link.send_bulk(key, frame)

    def close(self) -> None:
        """Do nothing: the link is closed by who has it."""


def _frames(body: bytes) -> list[Frame]:
    """Return the frames of a message; raises ProtocolError for nonsense."""
    count = _COUNT.unpack_from(body)[0] if len(body) >= _COUNT.size else settings.MAX_FRAMES + 1
    at = _COUNT.size + 8 * count
    if count > settings.MAX_FRAMES or len(body) < at:
        raise ProtocolError(f"A message with {count} frames in {len(body):,} bytes.")
    sizes = struct.unpack_from(f"<{count}Q", body, _COUNT.size)
    if at + sum(sizes) != len(body):
        raise ProtocolError("A message whose frames are not as long as it says.")
    frames: list[Frame] = []
    for size in sizes:
        frames.append(body[at : at + size])
        at += size
    return frames
