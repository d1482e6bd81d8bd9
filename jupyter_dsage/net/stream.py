"""One connected socket between a process and the one that started it, as a link of whole messages.

Used between child and supervisor: no zmq there, since a supervisor forks. End-of-file is the news that the
other process is gone. A message on the wire: count of frames (u32), the length of each (u64), the frames.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.errors import PeerGoneError, ProtocolError

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from jupyter_dsage.net.transport import Frame

_COUNT = struct.Struct("<I")
_CHUNK = 262_144


class StreamLink:
    """A link over a connected stream socket; see `transport.Link`."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)  # noqa: FBT003  (the standard library's signature)
        self._socket = sock
        self._in = bytearray()
        self._out = bytearray()
        self._gone = False

    @property
    def wants_write(self) -> bool:
        """Whether something waits for the socket to take it: watch for writability, then call `flush`."""
        return bool(self._out) and not self._gone

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._socket.fileno()

    def send(self, frames: Sequence[Frame]) -> None:
        """See `transport.Link`."""
        if self._gone:
            raise PeerGoneError("The process at the other end is gone.")
        sizes = [memoryview(frame).nbytes for frame in frames]
        self._out += _COUNT.pack(len(frames)) + struct.pack(f"<{len(frames)}Q", *sizes)
        for frame in frames:
            self._out += frame
        self.flush()

    def flush(self) -> None:
        """Hand over to the socket what it takes now."""
        try:
            while self._out:
                sent = self._socket.send(self._out)
                del self._out[:sent]
        except BlockingIOError:
            return
        except OSError:
            self._gone = True  # what it sent before can still be read

    def receive(self) -> list[Frame] | None:
        """See `transport.Link`."""
        message = self._whole()
        while message is None:
            try:
                data = self._socket.recv(_CHUNK)
            except BlockingIOError:
                return None
            except OSError as error:
                self._gone = True
                raise PeerGoneError("The process at the other end is gone.") from error
            if not data:
                self._gone = True
                raise PeerGoneError("The process at the other end is gone.")
            self._in += data
            message = self._whole()
        return message

    def _whole(self) -> list[Frame] | None:
        """Take one whole message out of what has arrived, or return None."""
        if len(self._in) < _COUNT.size:
            return None
        (count,) = _COUNT.unpack_from(self._in)
        if count > settings.MAX_FRAMES:
            raise ProtocolError(f"A message with {count} frames.")
        at = _COUNT.size + 8 * count
        if len(self._in) < at:
            return None
        sizes = struct.unpack_from(f"<{count}Q", self._in, _COUNT.size)
        if max(sizes, default=0) > settings.MAX_FRAME_BYTES:
            raise ProtocolError("A message with a frame that is too large.")
        if len(self._in) < at + sum(sizes):
            return None
        frames: list[Frame] = []
        with memoryview(self._in) as arrived:
            for size in sizes:
                frames.append(bytes(arrived[at : at + size]))
                at += size
        del self._in[:at]
        return frames

    def close(self) -> None:
        """See `transport.Link`."""
        self._gone = True
        self._socket.close()
