"""What somebody who means no good can do to a worker server: connections by hand, right or wrong at each step."""

from __future__ import annotations

import secrets
import select
import socket
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import zmq

from jupyter_dsage import settings
from jupyter_dsage.net.doorman import curve_client
from jupyter_dsage.net.keys import KeyPair, Keys
from jupyter_dsage.net.tls import make_identity
from jupyter_dsage.wire import codec, remote
from jupyter_dsage.worker.reception import versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jupyter_dsage.wire.messages import Message

DEADLINE = 20.0  # seconds; what takes longer has failed


def fresh_pair() -> KeyPair:
    """Return the key pair of a stranger."""
    return KeyPair(*zmq.curve_keypair())


class Caller:
    """One who has a key, right or not, and writes messages by hand."""

    def __init__(self, context: zmq.Context, port: int, pair: KeyPair, server: bytes) -> None:
        self.socket = context.socket(zmq.DEALER)
        curve_client(self.socket, pair, server)
        self.socket.sndhwm = 0
        self.socket.connect(f"tcp://127.0.0.1:{port}")
        self.token = secrets.token_hex(16)
        self.certificate = make_identity().cert_pem
        self.number = 0
        self.hung_up = False

    def dial(self, **changed: object) -> None:
        """Greet, as a child does, but for what is changed."""
        package, python, cloudpickle = versions()
        fields = {
            "protocol": settings.PROTOCOL,
            "package": package,
            "python": python,
            "cloudpickle": cloudpickle,
            "token": self.token,
            "slots": 1,
            "linger": 60.0,
            "got": 0,
            "certificate": self.certificate,
        } | changed
        self.raw(remote.greeting(remote.Dial(**fields)))

    def say(self, worker: int, message: Message, *frames: bytes) -> None:
        """Send the next numbered message."""
        self.number += 1
        self.raw(remote.seal(remote.Envelope(self.number, worker, 0), codec.encode(message, *frames)))

    def raw(self, frames: Sequence[bytes | memoryview]) -> None:
        """Send any frames, unless the server has hung up on us."""
        try:
            self.socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            self.hung_up = True

    def hear(self, kind: type | None = None, deadline: float = DEADLINE) -> object:
        """Return the next message from the server (of a kind); raises TimeoutError."""
        until = time.monotonic() + deadline
        while (left := until - time.monotonic()) > 0:
            if not self.socket.poll(int(left * 1000) + 1):
                break
            _, rest = remote.unseal(self.socket.recv_multipart())
            message, _ = remote.from_server(rest)
            if kind is None or isinstance(message, kind):
                return message
        raise TimeoutError("the server said nothing of the kind")

    def silent(self, seconds: float) -> bool:
        """Tell whether the server says nothing for this long."""
        return not self.socket.poll(int(seconds * 1000))


@contextmanager
def caller(port: int, pair: KeyPair | None = None, server: bytes | None = None) -> Iterator[Caller]:
    """Connect with a key pair (None: this user's client's) to the server whose key is the user's own, or another."""
    keys = Keys()
    with zmq.Context() as context:
        made = Caller(context, port, pair or keys.client(), server or keys.server().public)
        try:
            yield made
        finally:
            made.socket.close(linger=0)


def sockets(port: int, count: int) -> list[socket.socket]:
    """Open many connections that say nothing."""
    return [socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) for _ in range(count)]


def ended(sock: socket.socket) -> bool:
    """Tell whether the other side has closed a connection, reading what it sent before."""
    try:
        while sock.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


class Recorder:
    """A relay on loopback that keeps what went to the server, for a replay."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._to = port
        self.sent = bytearray()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with closing(self._accept()) as near, closing(socket.create_connection(("127.0.0.1", self._to))) as far:
            others = {near: far, far: near}
            while True:
                for sock in select.select([near, far], [], [])[0]:
                    data = sock.recv(65536)
                    if not data:
                        return
                    if sock is near:
                        self.sent += data
                    others[sock].sendall(data)

    def _accept(self) -> socket.socket:
        """Return the first connection on which something is said; one that only looks who listens is closed."""
        while True:
            near, _ = self._listener.accept()
            if near.recv(1, socket.MSG_PEEK):
                return near
            near.close()

    def close(self) -> None:
        self._listener.close()
        self._thread.join(DEADLINE)
