"""The doorman of a server: tells zmq who may come in (ZAP, RFC 27), and what a socket needs for CURVE.

Used by worker servers and by who dials them. The server's poll loop waits for `Doorman.socket` and calls `serve`;
without a doorman alive nobody gets in, since the domain is enforced. It reads no message and knows no file: `admit`
gives a key's role.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import zmq
from zmq.utils import z85

from jupyter_dsage.errors import UsageError
from jupyter_dsage.net.keys import key_text, parse_key
from jupyter_dsage.net.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jupyter_dsage.net.keys import KeyPair

log = logging.getLogger(__name__)

_ADDRESS = "inproc://zeromq.zap.01"
_VERSION = b"1.0"
_REQUEST_FRAMES = 7
"""Version, request's id, domain, address, identity, mechanism, key."""
_KEY_BYTES = 32
_AT_A_TIME = 1000
"""Requests answered before the loop gets its turn again; each takes some 20 us."""
_ENFORCE_DOMAIN = 93
"""ZMQ_ZAP_ENFORCE_DOMAIN, which not every pyzmq has a name for: without it, no doorman means that all get in."""
_KEY_SHOWN = 8


class Doorman:
    """Answers zmq's questions about those who connect to the sockets of one domain, in one context."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        domain: str,
        admit: Callable[[bytes], str | None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`admit`: gives the role of a public key (Z85), None for a stranger's."""
        self._domain = domain.encode()
        self._admit = admit
        self._now = now
        self._throttle = Throttle()
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind(_ADDRESS)

    def serve(self) -> None:
        """Answer what waits. Never blocks, and never raises for what it is asked."""
        for _ in range(_AT_A_TIME):
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            except zmq.ZMQError as error:
                log.warning("The doorman could not be asked: %s", error)
                return
            self._answer(frames)

    def _answer(self, frames: list[bytes]) -> None:
        """Answer one request; one that is malformed is dropped, which keeps its peer outside."""
        if b"" not in frames:
            return
        start = frames.index(b"") + 1
        way, request = frames[:start], frames[start:]
        if len(request) < 2 or request[0] != _VERSION:  # noqa: PLR2004  (version and id, which the answer repeats)
            return
        user, why = self._judge(request)
        if not user:
            self._log(request[3].decode("ascii", "replace") if len(request) > 3 else "?", why)  # noqa: PLR2004
        status = [b"200", b"OK", user] if user else [b"400", b"Not admitted", b""]
        try:
            self.socket.send_multipart([*way, _VERSION, request[1], *status, b""], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            log.warning("The doorman could not answer: %s", error)

    def _judge(self, request: Sequence[bytes]) -> tuple[bytes, str]:
        """Return role and key of who asks to come in; for a stranger nothing, and why."""
        if len(request) != _REQUEST_FRAMES or request[5] != b"CURVE" or len(request[6]) != _KEY_BYTES:
            return b"", "it did not show a CURVE key"
        if request[2] != self._domain:
            return b"", "it came for another domain"
        key = z85.encode(request[6])
        try:
            role = self._admit(key)
        except Exception as error:  # noqa: BLE001  (files of keys may be gone or spoilt; the server must go on)
            return b"", f"whom to admit cannot be read: {error}"
        if role is None:
            return b"", f"its key {key_text(key)[:_KEY_SHOWN]}... is not authorized"
        return f"{role} {key_text(key)}".encode(), ""

    def _log(self, address: str, why: str) -> None:
        held = self._throttle.note(address, self._now())
        if held is not None:
            more = f" ({held} more refused since the last line)" if held else ""
            log.warning("Refused a connection from %r: %s.%s", address, why, more)

    def close(self) -> None:
        """Leave the door, which keeps everybody outside. Closing twice is no error."""
        self.socket.close()


def curve_server(socket: zmq.Socket[bytes], pair: KeyPair, domain: str) -> None:
    """Have a socket admit only those whom the doorman of this domain lets in. To be called before `bind`."""
    _prepare(socket)
    socket.curve_secretkey = pair.secret
    socket.curve_publickey = pair.public
    socket.curve_server = True
    socket.zap_domain = domain.encode()
    socket.setsockopt(_ENFORCE_DOMAIN, 1)


def curve_client(socket: zmq.Socket[bytes], pair: KeyPair, server: bytes) -> None:
    """Have a socket connect only to the server that has a public key (Z85). To be called before `connect`."""
    _prepare(socket)
    socket.curve_secretkey = pair.secret
    socket.curve_publickey = pair.public
    socket.curve_serverkey = server


def _prepare(socket: zmq.Socket[bytes]) -> None:
    socket.linger = 0
    socket.handshake_ivl = 3000  # a peer that says nothing is dropped after 3 s
    socket.heartbeat_ivl = 2000
    socket.heartbeat_timeout = 10_000  # what is silent for so long is gone


def role_of(frame: zmq.Frame) -> tuple[str, bytes] | None:
    """Return the role and public key (Z85) of who sent a frame; None if no doorman let it in."""
    try:
        user = frame.get("User-Id")
    except (KeyError, zmq.ZMQError):
        return None
    role, _, text = str(user).partition(" ")
    try:
        return role, parse_key(text)
    except UsageError:
        return None
