"""The link between a child and a worker server: one zmq connection, CURVE at both ends, made anew when it drops.

The child's end never reconnects by itself: `net.dialer` dials again and greets anew, so that nothing is sent into a
connection that the other side knows nothing of. The server's end tells for each message who sent it, by the doorman's
word and not the sender's.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import zmq
from zmq.utils.monitor import recv_monitor_message

from jupyter_dsage import settings
from jupyter_dsage.errors import PeerGoneError, StartError
from jupyter_dsage.net.doorman import curve_client, curve_server, role_of
from jupyter_dsage.net.zmq_transport import ZmqLink, ZmqListener

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dsage.net.keys import KeyPair
    from jupyter_dsage.net.transport import Frame, Peer
    from jupyter_dsage.net.zmq_transport import ZmqNetwork

DOMAIN = "dsage"
_DOWN = zmq.EVENT_CLOSED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CONNECT_RETRIED
_REFUSED = zmq.EVENT_HANDSHAKE_FAILED_AUTH
_STRANGE = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
_IN = zmq.EVENT_HANDSHAKE_SUCCEEDED


def tcp(host: str, port: int) -> str:
    """Return zmq's address of a TCP port."""
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def _address(host: str) -> str:
    """Return the address of a name, since zmq listens at addresses only; raises OSError."""
    return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])


class Asked(ZmqLink):
    """A socket on which zmq itself tells or asks something, as a source for a poller."""

    def __init__(self, asked: zmq.Socket[bytes]) -> None:
        self.socket = asked


class SecureLink(ZmqLink):
    """A DEALER that connects once. `down`: why it is no use any more; empty while it is, or may come to be."""

    def __init__(
        self, network: ZmqNetwork, host: str, port: int, pair: KeyPair, server: bytes, *, ipv6: bool = False
    ) -> None:
        self.socket = network.context.socket(zmq.DEALER)
        curve_client(self.socket, pair, server)
        self.socket.sndhwm = self.socket.rcvhwm = 0
        self.socket.reconnect_ivl = -1
        self.socket.ipv6 = ipv6 or ":" in host
        self.socket.connect_timeout = int(settings.DIAL_SECONDS * 1000)
        self.monitor = Asked(self.socket.get_monitor_socket(_DOWN | _REFUSED | _STRANGE | _IN))
        self.down = ""
        self.refused = False
        """Whether it was no accident: the other side does not want us."""
        self.strange = False
        """Whether the handshake failed: what is there is not whom we want, or it was just ending."""
        self.admitted = False
        """Whether the handshake has succeeded: each side has shown that it has its key."""
        self.socket.connect(tcp(host, port))

    def send(self, frames: Sequence[Frame]) -> None:
        """See `transport.Link`. A connection that has failed takes nothing more, and must not be waited for."""
        try:
            self.socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            self.down = self.look() or "the connection ended"  # what the system said of it says more
            raise PeerGoneError("The connection to the worker server has ended.") from None

    def look(self) -> str:
        """Take note of what the system said of the connection; return why it is down, if it is."""
        while self.monitor.socket.poll(0):
            event = recv_monitor_message(self.monitor.socket)["event"]
            if event & _IN:
                self.admitted = True
            elif event & _REFUSED:
                self.refused = True
                self.down = "it does not admit this key: ask who runs it for 'jupyter dsage keys authorize KEY'"
            elif event & _STRANGE and not self.down:
                self.strange = True
                self.down = "what answers there does not have the key that is known, or is no worker server"
            elif event & _DOWN and not self.down:
                self.down = "the connection ended" if self.admitted else "nobody answers there"
        return self.down

    def close(self) -> None:
        """See `transport.Link`."""
        if not self.socket.closed:
            self.socket.disable_monitor()
            self.monitor.socket.close(linger=0)
            self.socket.close(linger=settings.LAST_WORD_MS)


class SecureListener(ZmqListener):
    """A ROUTER whose peers have shown their keys to the doorman.

    Raises StartError for an address where it cannot listen; port 0 is any.
    """

    def __init__(self, network: ZmqNetwork, host: str, port: int, pair: KeyPair) -> None:
        self.socket = network.context.socket(zmq.ROUTER)
        curve_server(self.socket, pair, DOMAIN)
        self.socket.sndhwm = self.socket.rcvhwm = 0
        self.socket.router_mandatory = True
        self.socket.maxmsgsize = settings.MAX_INLINE_BYTES
        self.socket.backlog = settings.BACKLOG
        try:
            address = _address(host)
            self.socket.ipv6 = ":" in address
            self.socket.bind(tcp(address, port) if port else tcp(address, 0).removesuffix("0") + "*")
        except (OSError, zmq.ZMQError) as error:
            self.socket.close(linger=0)
            raise StartError(
                f"Nobody can listen at {host}:{port} ({error.strerror}): name an address of this host, and a port "
                "that is free."
            ) from None
        self.address = bytes(self.socket.get(zmq.LAST_ENDPOINT)).decode().rstrip("\0")
        self.port = int(self.address.rpartition(":")[2])

    def hear(self) -> tuple[Peer, str, bytes, list[Frame]] | None:
        """Return the next message that is here, who sent it, in which role and with which key; or None."""
        while True:
            try:
                peer, *frames = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return None
            who = role_of(frames[0]) if frames else None
            if who is not None:  # no doorman's word, no reading
                return peer.bytes, *who, [frame.bytes for frame in frames]

    def send(self, peer: Peer, frames: Sequence[Frame], *, more: bool = False) -> None:  # noqa: ARG002
        """See `transport.Listener`."""
        try:
            self.socket.send_multipart([peer, *frames])
        except zmq.ZMQError as error:
            raise PeerGoneError("The peer has disconnected.") from error
