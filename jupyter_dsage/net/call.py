"""Hosts that call the child back: their streams come in at an address that the user named, by pinned mutual TLS.

`CallIn` is the child's end: it tells by its name which node calls. `call` is the node's. What may call stands in a
*call file* of mode 0600 on a folder that both see: where to call, whom to trust, and a certificate of its own.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from jupyter_dsage import private_files, settings
from jupyter_dsage.errors import NotOursError, ProtocolError, StartError
from jupyter_dsage.net import bulk, tls
from jupyter_dsage.net.bulk_door import BulkDoor

if TYPE_CHECKING:
    import queue
    from collections.abc import Callable
    from pathlib import Path

_NAME_BYTES = 64


class CallFile(msgspec.Struct, frozen=True):
    """What a node needs: the child's address and certificate, a certificate and its key, its room server's name."""

    host: str
    port: int
    server: str
    certificate: str
    key: str
    place: str

    def write(self, path: Path) -> None:
        """Write it for this user only; raises OSError."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(self))


def read_file(path: Path) -> CallFile:
    """Return what a call file says; raises StartError for one that others could have read, or that is none."""
    try:
        return msgspec.json.decode(private_files.read(path, closed=private_files.SECRET), type=CallFile)
    except NotOursError as error:
        raise StartError(f"{error} Its key may be known to others: start the session's engine anew.") from None
    except (OSError, msgspec.DecodeError) as error:
        raise StartError(f"{path} cannot be used ({error}): was it made by a session that has ended?") from None


def call(known: CallFile, name: str) -> ssl.SSLSocket:
    """Return a connection to the child, which has been told who calls; raises PeerGoneError."""
    identity = tls.Identity(known.certificate, known.key.encode())
    sock = bulk.dial(known.host, known.port, identity, known.server, bulk.UP)
    sock.sendall(name.encode()[:_NAME_BYTES].ljust(_NAME_BYTES))
    return sock


class CallIn:
    """Listens at once. `calls`: takes (name, the stream) of each call; `wake`: called after that.

    Raises StartError for an address where it cannot listen.
    """

    def __init__(
        self, host: str, port: int, calls: queue.SimpleQueue[tuple[str, socket.socket]], wake: Callable[[], None]
    ) -> None:
        self._calls = calls
        self._wake = wake
        try:
            self._door = BulkDoor(host, port)
        except StartError as error:
            raise StartError(f"The nodes cannot call back at {host}:{port}: {error}") from None
        self._host = host
        self._identity = tls.make_identity()
        self._door.pin(self._identity.cert_pem, self._came)

    def call_file(self, place: str) -> CallFile:
        """Return what a node needs to call."""
        theirs = (self._identity.cert_pem, self._identity.key_pem.decode())
        return CallFile(self._host, self._door.port, self._door.identity.cert_pem, *theirs, place)

    def _came(self, sock: ssl.SSLSocket, _: bytes) -> None:
        """Take a call; on the door's thread, so that all that could take long is left to another."""
        threading.Thread(target=self._serve, args=(sock,), name="dsage-call", daemon=True).start()

    def _serve(self, sock: ssl.SSLSocket) -> None:
        ours, theirs = socket.socketpair()
        with sock, ours:
            try:
                name = _name(sock)
            except (OSError, ProtocolError):
                theirs.close()
                return
            self._calls.put((name, theirs))
            self._wake()
            pump(sock, ours)

    def close(self) -> None:
        """Listen no more; streams that have come go on until their ends are closed."""
        self._door.close()


def _name(sock: ssl.SSLSocket) -> str:
    """Read who calls; raises ProtocolError for what cannot be a name."""
    sock.settimeout(settings.BULK_HANDSHAKE_SECONDS)
    octets = b""
    while len(octets) < _NAME_BYTES:
        part = sock.recv(_NAME_BYTES - len(octets))
        if not part:
            raise ProtocolError("A call ended before it said its name.")
        octets += part
    name = octets.decode(errors="replace").strip()
    if not name.isprintable() or not name:
        raise ProtocolError("A call has no name.")
    return name


def pump(tls_end: ssl.SSLSocket, plain: socket.socket) -> None:
    """Carry bytes both ways until either end is gone; one thread, since TLS state is one thread's."""
    for end in (tls_end, plain):
        end.setblocking(False)  # noqa: FBT003  (the standard library's signature)
    out = inward = memoryview(b"")
    """What is left to be sent by TLS, and to the plain end."""
    with suppress(OSError):
        while True:
            moved = False
            with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                if not inward:
                    inward = memoryview(tls_end.recv(settings.BULK_SLICE_BYTES))
                    if not inward:
                        return
                    moved = True
            with suppress(BlockingIOError):
                if inward:
                    inward = inward[plain.send(inward) :]
                    moved = True
            with suppress(BlockingIOError):
                if not out:
                    out = memoryview(plain.recv(settings.BULK_SLICE_BYTES))
                    if not out:
                        return
                    moved = True
            with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                if out:
                    out = out[tls_end.send(out) :]
                    moved = True
            if not moved:
                reads = ([] if inward else [tls_end]) + ([] if out else [plain])
                writes = ([tls_end] if out else []) + ([plain] if inward else [])
                select.select(reads, writes, [])
