"""Large frames to and from other hosts: records over mutual TLS, one connection a direction, one thread an end.

Used by the child and by worker servers beside their zmq connection, which tells which key's frame is on its way;
zmq's CURVE moves a tenth of this. A record on the wire: key (u64), size (u64), then the bytes in slices: size (u32, its
highest bit for one that zstd made smaller), the slice. A frame is written from where it lies and read into where it
stays. Knows nothing of jobs; `net.bulk_door` is the end that listens.
"""

from __future__ import annotations

import collections
import contextlib
import queue
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.errors import PeerGoneError, ProtocolError
from jupyter_dsage.net import tls
from jupyter_dsage.net.squeeze import Squeezer, present, unsqueezed

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from jupyter_dsage.net.tls import Identity

UP, DOWN = b"U", b"D"
"""The first byte of who dials: it will send, or it will receive."""
WELCOME = b"W"
"""The answer to it: only with TLS 1.3 done at both ends does the dialer know that its certificate was taken."""

_HEAD = struct.Struct("<QQ")
_SLICE = struct.Struct("<I")
_SQUEEZED = 1 << 31
_RECENT = 32
"""Slices over which the speed of a connection is taken: 8 MB, twice what a socket's buffers hold."""


def dial(host: str, port: int, identity: Identity, server_cert_pem: str, direction: bytes) -> ssl.SSLSocket:
    """Return a connection to a bulk door; raises PeerGoneError if nobody or somebody else is there."""
    context = tls.client_context(identity, server_cert_pem)
    try:
        raw = socket.create_connection((host, port), settings.BULK_CONNECT_SECONDS)
        try:
            tune(raw)
            sock = context.wrap_socket(raw)
        except BaseException:  # an interrupt too must leave no socket open; raised again
            raw.close()
            raise
    except OSError as error:
        raise _no_connection(host, port, error) from None
    try:
        if tls.peer_fingerprint(sock) != tls.fingerprint(server_cert_pem):
            raise OSError("its certificate is another one")  # noqa: TRY301  (one way out for all)
        sock.sendall(direction)
        if sock.recv(1) != WELCOME:
            raise OSError("it does not take our certificate")  # noqa: TRY301
    except OSError as error:
        sock.close()
        raise _no_connection(host, port, error) from None
    return sock


def _no_connection(host: str, port: int, error: OSError) -> PeerGoneError:
    return PeerGoneError(
        f"The bulk port {port} of {host} cannot be used ({error}): check that the server runs and that no firewall "
        "keeps that port shut."
    )


def tune(sock: socket.socket) -> None:
    """Have the system notice within BULK_SILENCE_SECONDS that the other end is gone, and send at once."""
    seconds = settings.BULK_SILENCE_SECONDS
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", seconds - 6),
        ("TCP_KEEPALIVE", seconds - 6),  # macOS's name for it
        ("TCP_KEEPINTVL", 2),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", seconds * 1000),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


class _End:
    """One end of one direction: a socket, and the thread that alone uses its TLS state and closes it."""

    def __init__(self, sock: ssl.SSLSocket, ended: Callable[[Exception | None], None], name: str) -> None:
        sock.settimeout(None)
        self._socket = sock
        self._ended = ended
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"dsage-bulk-{name}", daemon=True)

    def _run(self) -> None:
        error: Exception | None = None
        try:
            self._work()
        except Exception as caught:  # noqa: BLE001  (it is told; a thread has nobody to raise it to)
            error = caught
        self._socket.close()
        self._ended(None if self._closing else error)

    def _work(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """End at once, with what is under way lost, and wait for the thread. Closing twice is no error."""
        self._closing = True
        with contextlib.suppress(OSError):
            # Not SSLSocket.shutdown: it drops the TLS state first, and the thread would write in clear.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        if threading.current_thread() is not self._thread:
            self._thread.join(settings.DIE_SECONDS)


class BulkSender(_End):
    """Sends frames from a thread of its own, in order."""

    def __init__(
        self,
        sock: ssl.SSLSocket,
        ended: Callable[[Exception | None], None] = lambda _: None,
        *,
        squeezes: bool = False,
    ) -> None:
        """`ended`: called once, by the thread, when no more can be sent; with None after `close`.

        `squeezes`: the other end reads what zstd made smaller; done where the connection is slower than that.
        """
        super().__init__(sock, ended, "send")
        self._squeezer = Squeezer() if squeezes and present() else None
        self._times: collections.deque[tuple[int, float]] = collections.deque(maxlen=_RECENT)
        """(bytes, seconds) of the slices that were sent last."""
        self._queue: queue.SimpleQueue[tuple[int, memoryview] | None] = queue.SimpleQueue()
        self._thread.start()

    def send(self, key: int, frame: bytes | memoryview) -> None:
        """Have a frame sent; it must not change until it is. Never blocks; raises PeerGoneError after the end."""
        if self._closing or not self._thread.is_alive():
            raise PeerGoneError("The bulk connection to the other end is gone.")
        self._queue.put((key, memoryview(frame).cast("B")))

    def _work(self) -> None:
        while (record := self._queue.get()) is not None:
            key, octets = record
            self._socket.sendall(_HEAD.pack(key, octets.nbytes))
            for start in range(0, octets.nbytes, settings.BULK_SLICE_BYTES):
                self._send_slice(octets[start : start + settings.BULK_SLICE_BYTES])
            del record, octets  # so that they are not kept while the next is awaited

    def _send_slice(self, part: memoryview) -> None:
        squeezed = self._squeezer.squeeze(part) if self._squeezer is not None and self._slow() else None
        body, mark = (part, 0) if squeezed is None else (squeezed, _SQUEEZED)
        begun = time.monotonic()
        self._socket.sendall(_SLICE.pack(body.nbytes | mark))
        self._socket.sendall(body)
        self._times.append((body.nbytes, time.monotonic() - begun))

    def _slow(self) -> bool:
        """Tell whether the connection takes less than the compressor; what its buffers swallow says nothing."""
        if len(self._times) < _RECENT:
            return False
        octets, seconds = (sum(each) for each in zip(*self._times, strict=True))
        return bool(octets < settings.SQUEEZE_BELOW * seconds)

    def close(self) -> None:
        """See `_End.close`."""
        self._queue.put(None)
        super().close()


class BulkReceiver(_End):
    """Receives frames in a thread of its own, each into memory of its own."""

    def __init__(
        self,
        sock: ssl.SSLSocket,
        arrived: Callable[[int, bytearray], None],
        ended: Callable[[Exception | None], None],
        allowed: Callable[[int, int], bool],
    ) -> None:
        """All three are called by the thread. `allowed`: whether a key's frame of a size may come.

        `arrived` must not block: an end that reads nothing is gone for the other. `ended` is called once: with None
        after `close` or if the other end closed between frames, else with why.
        """
        super().__init__(sock, ended, "receive")
        self._arrived = arrived
        self._allowed = allowed
        self._thread.start()

    def _work(self) -> None:
        head = bytearray(_HEAD.size)
        while self._fill(head):
            key, size = _HEAD.unpack(head)
            if size > settings.MAX_FRAME_BYTES or not self._allowed(key, size):
                raise ProtocolError(f"A peer sent a bulk frame of {size:,} bytes that nobody expects.")
            frame = bytearray(size)
            self._take(frame)
            self._arrived(key, frame)
            del frame  # so that it is not kept while the next is awaited

    def _take(self, frame: bytearray) -> None:
        """Read the slices of a frame to where they belong; raises ProtocolError for nonsense."""
        head = bytearray(_SLICE.size)
        with memoryview(frame) as view:
            at = 0
            while at < len(frame):
                if not self._fill(head):
                    raise PeerGoneError("The bulk connection ended inside a frame.")
                size = _SLICE.unpack(head)[0]
                squeezed, size = bool(size & _SQUEEZED), size & ~_SQUEEZED
                most = min(settings.BULK_SLICE_BYTES, len(frame) - at)
                if not 0 < size <= most:
                    raise ProtocolError(f"A slice of {size:,} bytes, where {most:,} are left.")
                if squeezed:
                    packet = bytearray(size)
                    self._fill_whole(packet)
                    part = unsqueezed(bytes(packet), most)
                    view[at : at + len(part)] = part
                    at += len(part)
                else:
                    self._fill_whole(view[at : at + size])
                    at += size

    def _fill_whole(self, whole: bytearray | memoryview) -> None:
        if not self._fill(whole):
            raise PeerGoneError("The bulk connection ended inside a frame.")

    def _fill(self, whole: bytearray | memoryview) -> bool:
        """Read until `whole` is full; False if the stream ended before its first byte."""
        with memoryview(whole) as view:
            at = 0
            while at < len(view):
                got = self._socket.recv_into(view[at : at + settings.BULK_SLICE_BYTES])
                if not got and at:
                    raise PeerGoneError("The bulk connection ended inside a frame.")
                if not got:
                    return False
                at += got
        return True
