"""A child's way to one worker server: CURVE for the link, and two bulk connections beside it.

Used by the `dsage` engine, on the child's thread; the bulk connections are dialled by a thread of its own, since a
handshake blocks. See `net.redialer` for what it does otherwise.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.errors import DsageError
from jupyter_dsage.net import bulk
from jupyter_dsage.net.redialer import Heard, Redialer
from jupyter_dsage.net.secure import SecureLink

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from jupyter_dsage.net.keys import KeyPair
    from jupyter_dsage.net.tls import Identity
    from jupyter_dsage.net.transport import Poller
    from jupyter_dsage.net.zmq_transport import ZmqNetwork
    from jupyter_dsage.wire import messages as m
    from jupyter_dsage.wire import remote


class Dialer(Redialer[SecureLink]):
    """`address`: host, port and key (Z85) of the server; `hello`: makes the greeting."""

    def __init__(
        self,
        address: tuple[str, int, bytes],
        pair: KeyPair,
        identity: Identity,
        hello: Callable[[], remote.Dial],
        network: ZmqNetwork,
        poller: Poller,
    ) -> None:
        super().__init__(hello, poller)
        self._host, self._port, self._key = address
        self._pair = pair
        self._identity = identity
        self._network = network
        self._up_socket: ssl.SSLSocket | None = None
        """The first of two bulk connections, until the second stands too."""
        self._dialled: queue.SimpleQueue[tuple[SecureLink, bytes, ssl.SSLSocket | DsageError]] = queue.SimpleQueue()
        self._strange = 0
        """Handshakes in a row that failed."""
        self._attempts = 0

    def _connect(self) -> SecureLink:
        self._attempts += 1
        # zmq takes the first address that a name has, so each other attempt asks for the other kind.
        ipv6 = self._attempts % 2 == 0
        link = SecureLink(self._network, self._host, self._port, self._pair, self._key, ipv6=ipv6)
        for source in (link, link.monitor):
            self._poller.watch(source)
        return link

    def _hang_up(self, link: SecureLink) -> None:
        if self._up_socket is not None:
            self._up_socket.close()
            self._up_socket = None
        for source in (link, link.monitor):
            self._poller.unwatch(source)
        link.close()

    def _fate(self, link: SecureLink) -> str:
        down = link.look()
        if down:
            self._strange = self._strange + 1 if link.strange else 0
            self.refused = link.refused or self._strange >= settings.STRANGE_DIALS
        return down

    def _greeted(self, link: SecureLink, heard: list[Heard], now: float) -> None:  # noqa: ARG002
        """Go on to the bulk connections; only when they stand is the link up."""
        if self._admitted is None:
            return
        self.trouble = "its bulk connection is being made"
        port, certificate = self._admitted.bulk_port, self._admitted.certificate

        def dial() -> None:
            for direction in (bulk.UP, bulk.DOWN):
                try:
                    sock: ssl.SSLSocket | DsageError
                    sock = bulk.dial(self._host, port, self._identity, certificate, direction)
                except DsageError as error:
                    sock = error
                self._dialled.put((link, direction, sock))
                self._poller.wake()
                if isinstance(sock, DsageError):
                    return

        threading.Thread(target=dial, name="dsage-bulk-dial", daemon=True).start()

    def _gather(self, link: SecureLink, heard: list[Heard], now: float) -> None:
        while not self._dialled.empty():
            asked, direction, sock = self._dialled.get()
            if isinstance(sock, DsageError):
                if asked is link:
                    self.trouble = str(sock)
                    self._since = 0.0  # this attempt is over
            elif asked is not link:
                sock.close()
            elif direction == bulk.UP:
                self._up_socket, self._since = sock, now
            elif self._admitted is None or self._up_socket is None:
                sock.close()
            else:
                squeezes = self._admitted.squeezes
                self.talk.carry(self._up_socket, out=True, squeezes=squeezes)
                self._up_socket = None
                self.talk.carry(sock, out=False, squeezes=squeezes)
                self._attempts -= 1
                self._stand(heard)

    def close(self, last: m.Message | None = None) -> None:
        """See `Redialer`."""
        super().close(last)
        while not self._dialled.empty():
            sock = self._dialled.get()[2]
            if not isinstance(sock, DsageError):
                sock.close()
