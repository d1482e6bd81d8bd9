"""Where bulk connections come in: a listening socket whose thread lets in only pinned certificates.

Used by worker servers. Handshakes are driven side by side without blocking, each with a deadline, so that peers that
say nothing or nonsense stop nobody; what got in is handed over as a plain blocking TLS socket. Reads no frame.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.errors import StartError
from jupyter_dsage.net import tls
from jupyter_dsage.net.bulk import DOWN, UP, WELCOME, tune
from jupyter_dsage.net.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.net.tls import Identity

log = logging.getLogger(__name__)

_BACKLOG = 128
_BREATH_SECONDS = 0.05
"""After the system had no descriptor left for a connection."""


@dataclass(slots=True, eq=False)
class _Knock:
    """A connection that has not shown yet whose it is."""

    sock: ssl.SSLSocket
    address: str
    deadline: float
    shaken: bool = False
    """Whether the handshake is over, and only the direction is awaited."""


class BulkDoor:
    """A listening socket, and the thread that opens to those who are pinned."""

    def __init__(self, address: str, port: int, identity: Identity | None = None) -> None:
        """Listen; port 0 is any. Raises StartError if the port is taken or the extra is missing."""
        self.identity = identity or tls.make_identity()
        """Its certificate is what the other end must know."""
        self._pins: dict[bytes, tuple[str, Callable[[ssl.SSLSocket, bytes], None]]] = {}
        self._lock = threading.Lock()
        self._context = tls.server_context(self.identity, [])
        self._listener = _listen(address, port)
        self.port: int = self._listener.getsockname()[1]
        self._bell, self._bell_end = socket.socketpair()
        self._knocks: dict[int, _Knock] = {}
        """By descriptor, the oldest first."""
        self._throttle = Throttle()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._bell_end, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="dsage-bulk-door", daemon=True)
        self._thread.start()

    def pin(self, cert_pem: str, admitted: Callable[[ssl.SSLSocket, bytes], None]) -> None:
        """Let in who has a certificate; raises ProtocolError for what is none.

        `admitted` gets each connection and its first byte (UP, DOWN); the door's thread calls it, so it must be quick.
        """
        with self._lock:
            pins = {**self._pins, tls.fingerprint(cert_pem): (cert_pem, admitted)}
            self._context = tls.server_context(self.identity, (pem for pem, _ in pins.values()))
            self._pins = pins

    def unpin(self, cert_pem: str) -> None:
        """Let in who has a certificate no more; connections that are in stay."""
        with self._lock:
            self._pins = {key: pin for key, pin in self._pins.items() if key != tls.fingerprint(cert_pem)}
            self._context = tls.server_context(self.identity, (pem for pem, _ in self._pins.values()))

    def close(self) -> None:
        """Stop listening and drop who is not in yet. Closing twice is no error."""
        with contextlib.suppress(OSError):
            self._bell.close()
        self._thread.join(settings.DIE_SECONDS)

    # --- the thread ---

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        finally:
            for knock in list(self._knocks.values()):
                self._drop(knock)
            self._selector.close()
            self._listener.close()
            self._bell_end.close()

    def _turn(self) -> bool:
        """Serve what is ready; return whether to go on."""
        first = next(iter(self._knocks.values()), None)
        wait = None if first is None else max(0.0, first.deadline - time.monotonic())
        for key, _ in self._selector.select(wait):
            if key.fileobj is self._bell_end:
                return False
            if key.fileobj is self._listener:
                self._accept()
            elif (knock := self._knocks.get(key.fd)) is not None:
                self._advance(knock)
        now = time.monotonic()
        for knock in list(self._knocks.values()):
            if knock.deadline > now:
                break
            self._refuse(knock, f"it showed no certificate in {settings.BULK_HANDSHAKE_SECONDS:g} s")
        return True

    def _accept(self) -> None:
        try:
            raw, address = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:  # no descriptor is left, or the peer is gone again
            if self._held_back("*") is not None:
                log.warning("A bulk connection could not be accepted: %s", error)
            self._drop_oldest()
            time.sleep(_BREATH_SECONDS)
            return
        try:
            raw.setblocking(False)  # noqa: FBT003  (the standard library's signature)
            tune(raw)
            sock = self._context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
        except OSError:  # gone already
            raw.close()
            return
        if len(self._knocks) >= settings.BULK_PENDING:
            self._drop_oldest()
        knock = _Knock(sock, address[0], time.monotonic() + settings.BULK_HANDSHAKE_SECONDS)
        self._knocks[sock.fileno()] = knock
        self._selector.register(sock, selectors.EVENT_READ)

    def _advance(self, knock: _Knock) -> None:
        """Go on with a handshake, as far as what has come takes it."""
        try:
            if not knock.shaken:
                knock.sock.do_handshake()
                knock.shaken = True
            direction = knock.sock.recv(1)
        except ssl.SSLWantReadError:
            self._selector.modify(knock.sock, selectors.EVENT_READ)
        except ssl.SSLWantWriteError:
            self._selector.modify(knock.sock, selectors.EVENT_WRITE)
        except OSError as error:
            self._refuse(knock, getattr(error, "reason", None) or str(error))
        else:
            self._judge(knock, direction)

    def _judge(self, knock: _Knock, direction: bytes) -> None:
        """Let in a peer whose handshake is over, if its certificate is pinned."""
        pin = self._pins.get(tls.peer_fingerprint(knock.sock))
        if pin is None or direction not in {UP, DOWN}:
            self._refuse(knock, "its certificate is not known" if pin is None else "it said nothing of use")
            return
        self._forget(knock)
        try:
            knock.sock.settimeout(settings.BULK_HANDSHAKE_SECONDS)
            knock.sock.sendall(WELCOME)
            pin[1](knock.sock, direction)
        except Exception as error:  # noqa: BLE001  (the door must stay open for others)
            log.warning("A bulk connection from %s was let in, and then failed: %s", knock.address, error)
            knock.sock.close()

    def _refuse(self, knock: _Knock, why: str) -> None:
        self._drop(knock)
        held = self._held_back(knock.address)
        if held is not None:
            more = f" ({held} more refused since the last line)" if held else ""
            log.warning("Refused a bulk connection from %r: %s.%s", knock.address, why, more)

    def _held_back(self, address: str) -> int | None:
        return self._throttle.note(address, time.monotonic())

    def _drop_oldest(self) -> None:
        oldest = next(iter(self._knocks.values()), None)
        if oldest is not None:
            self._refuse(oldest, "too many connections have shown no certificate")

    def _drop(self, knock: _Knock) -> None:
        self._forget(knock)
        knock.sock.close()

    def _forget(self, knock: _Knock) -> None:
        del self._knocks[knock.sock.fileno()]
        self._selector.unregister(knock.sock)


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listener = socket.create_server((address, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise StartError(f"The bulk port {port} of {address} cannot be used ({error}): name another one.") from None
    listener.setblocking(False)  # noqa: FBT003  (the standard library's signature)
    return listener
