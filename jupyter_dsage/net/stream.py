"""One connected socket between two processes of this host, as a link of whole messages.

Used between child and supervisor as a socket pair, and by `net.unix_transport`. End-of-file is the news that the other
process is gone. A message on the wire: count of frames (u32), the size of each (u64), the frames. A frame that is a
memory segment (`wire.segments`) travels as a descriptor beside the message's first byte, its size marked by `_SHARED`.
"""

from __future__ import annotations

import collections
import os
import socket
import struct
import threading
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.errors import PeerGoneError, ProtocolError
from jupyter_dsage.wire import segments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dsage.net.transport import Frame
    from jupyter_dsage.wire.segments import Segment

_COUNT = struct.Struct("<I")
_HEADS = tuple(struct.Struct(f"<I{count}Q") for count in range(settings.MAX_FRAMES + 1))
_CHUNK = 65_536
"""Bytes read at a time. Four times as many, and each read takes 8 instead of 0.7 us: room of more than 128 KB is got
from the system, and given back. What is larger than this is mostly a segment."""
_SHARED = 1 << 63
_DESCRIPTORS = socket.CMSG_SPACE(settings.MAX_FRAMES * 4)
_FLAGS = int(getattr(socket, "MSG_CMSG_CLOEXEC", 0))
_TRUNCATED = int(socket.MSG_CTRUNC)
"""Plain numbers: to test a flag of `socket`'s own, which are enumerations, costs 1.5 us more at each read."""


class StreamLink:
    """A link over a connected stream socket; see `transport.Link`."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)  # noqa: FBT003  (the standard library's signature)
        self._socket = sock
        self._in = bytearray()
        self._arrived: collections.deque[int] = collections.deque()
        """Descriptors whose message has not been taken yet; -1: the rest of one message's had no room here."""
        self._out: collections.deque[tuple[Frame, Sequence[Segment]]] = collections.deque()
        """What the socket has not taken, each with the segments that go beside its first byte."""
        self._writing = threading.Lock()
        self.gone = False

    @property
    def wants_write(self) -> bool:
        """Whether something waits for the socket to take it: watch for writability, then call `flush`."""
        return bool(self._out) and not self.gone

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._socket.fileno()

    def connected(self) -> bool:
        """Tell whether there is another end yet: of a pair there always is."""
        return True

    # --- out -----------------------------------------------------------------------------------------------

    def send(self, frames: Sequence[Frame], *, more: bool = False) -> None:
        """See `transport.Link`. `more`: another message follows at once; they leave together."""
        if self.gone:
            raise PeerGoneError("The process at the other end is gone.")
        sizes: list[int] = []
        parts: list[Frame] = [b""]  # the first is its head
        shared: list[Segment] = []
        for frame in frames:
            size = frame.nbytes if type(frame) is memoryview else len(frame)
            segment = segments.of(frame)
            if segment is None and size > settings.SHARED_FRAME_BYTES:
                segment = segments.of(segments.put([frame]))
            if segment is None:
                parts.append(frame)
                sizes.append(size)
            else:
                shared.append(segment)
                sizes.append(size | _SHARED)
        count = len(sizes)
        parts[0] = _HEADS[count].pack(count, *sizes)
        with self._writing:
            if self._out and not shared and not self._out[-1][1] and len(self._out[-1][0]) < _CHUNK:
                parts.insert(0, self._out.pop()[0])  # one call of the system for both
            self._out.append((b"".join(parts), shared))
        if not more:
            self.flush()

    def flush(self) -> None:
        """Hand over to the socket what it takes now; the one call that another thread may make, beside `send`."""
        with self._writing:
            try:
                while self._out:
                    self._write_first()
            except BlockingIOError:
                return
            except OSError:
                self.gone = True  # what it sent before can still be read

    def _write_first(self) -> None:
        data, shared = self._out[0]
        if shared:
            sent = socket.send_fds(self._socket, [data], [segment.descriptor for segment in shared])
        else:
            sent = self._socket.send(data)
        if sent == len(data):
            self._out.popleft()
        else:
            self._out[0] = (memoryview(data)[sent:], ())

    # --- in ------------------------------------------------------------------------------------------------

    def receive(self) -> list[Frame] | None:
        """See `transport.Link`."""
        while (message := self.take()) is None:
            if not self.fill():
                return None
        return message

    def fill(self) -> bool:
        """Read once what has arrived; return whether anything had. Raises PeerGoneError at the end."""
        try:
            data, beside, flags, _ = self._socket.recvmsg(_CHUNK, _DESCRIPTORS, _FLAGS)
        except BlockingIOError:
            return False
        except OSError as error:
            self.gone = True
            raise PeerGoneError("The process at the other end is gone.") from error
        for level, kind, content in beside:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._arrived.extend(struct.unpack(f"{len(content) // 4}i", content[: len(content) // 4 * 4]))
        if flags & _TRUNCATED:
            self._note_lost(beside)
        if len(self._arrived) > _MOST_ARRIVED:
            raise ProtocolError("Descriptors came that belong to no message.")
        if not data:
            self.gone = True
            raise PeerGoneError("The process at the other end is gone.")
        self._in += data
        return True

    def _note_lost(self, beside: Sequence[tuple[int, int, bytes]]) -> None:
        """Take note that descriptors were dropped: this process has none left. The message itself is whole.

        Raises ProtocolError where there was room, and the peer sent more than a message can have.
        """
        if sum(len(content) for _, _, content in beside) >= settings.MAX_FRAMES * 4:
            raise ProtocolError("Descriptors came that belong to no message.")
        segments.run_short()
        self._arrived.append(-1)

    def take(self) -> list[Frame] | None:
        """Take one whole message out of what has arrived, or return None."""
        if len(self._in) < _COUNT.size:
            return None
        (count,) = _COUNT.unpack_from(self._in)
        if count > settings.MAX_FRAMES:
            raise ProtocolError(f"A message with {count} frames.")
        at = _COUNT.size + 8 * count
        if len(self._in) < at:
            return None
        _, *sizes = _HEADS[count].unpack_from(self._in)
        end = at
        for size in sizes:
            if size & ~_SHARED > settings.MAX_FRAME_BYTES:
                raise ProtocolError("A message with a frame that is too large.")
            if not size & _SHARED:
                end += size
        if len(self._in) < end:
            return None
        frames: list[Frame] = []
        with memoryview(self._in) as arrived:
            for size in sizes:
                if size & _SHARED:
                    frames.append(self._take_in(size & ~_SHARED))
                else:
                    frames.append(bytes(arrived[at : at + size]))
                    at += size
        del self._in[:at]
        if any(frame is segments.LOST for frame in frames):
            self._arrived.popleft()
        return frames

    def _take_in(self, size: int) -> memoryview:
        if not self._arrived:
            raise ProtocolError("A message came without its descriptor.")
        if self._arrived[0] < 0:
            return segments.LOST
        return segments.take_in(self._arrived.popleft(), size)

    def close(self) -> None:
        """See `transport.Link`."""
        with self._writing:
            self.gone = True
            self._out.clear()
            self._socket.close()
        while self._arrived:
            if (descriptor := self._arrived.popleft()) >= 0:
                os.close(descriptor)


_MOST_ARRIVED = 1024
"""Descriptors that may have arrived before their messages are taken: a read brings those of a few messages."""
