"""A child's way to one worker server: dials, greets, beats, and dials again when the link drops.

Used by the `dsage` engine, on the child's thread; the bulk connections are dialled by a thread of its own, since a
handshake blocks. It knows nothing of jobs.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.errors import DsageError, PeerGoneError, ProtocolError
from jupyter_dsage.net import bulk
from jupyter_dsage.net.secure import SecureLink
from jupyter_dsage.net.talk import Talk
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire import remote

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from jupyter_dsage.net.keys import KeyPair
    from jupyter_dsage.net.tls import Identity
    from jupyter_dsage.net.transport import Poller
    from jupyter_dsage.net.zmq_transport import ZmqNetwork
    from jupyter_dsage.wire.codec import Frame

Heard = tuple[int, m.Message, "list[Frame]"]


class Dialer:
    """`hello`: makes the greeting; `host`, `port`, `key` (Z85): the server's."""

    def __init__(
        self,
        address: tuple[str, int, bytes],
        pair: KeyPair,
        identity: Identity,
        hello: Callable[[], remote.Dial],
        network: ZmqNetwork,
        poller: Poller,
    ) -> None:
        self._host, self._port, self._key = address
        self._pair = pair
        self._identity = identity
        self._hello = hello
        self._network = network
        self._poller = poller
        self.talk = Talk(poller.wake)
        self._link: SecureLink | None = None
        self._admitted: remote.Admitted | None = None
        self._up_socket: ssl.SSLSocket | None = None
        """The first of two bulk connections, until the second stands too."""
        self._dialled: queue.SimpleQueue[tuple[SecureLink, bytes, ssl.SSLSocket | DsageError]] = queue.SimpleQueue()
        self.up = False
        """Whether all connections are there, and the server has admitted us."""
        self.trouble = ""
        """Why it is not up, in words; empty while nothing is known to be wrong."""
        self.refused = False
        """Whether the last attempt ended for good reason: to try again soon is of little use."""
        self._strange = 0
        """Handshakes in a row that failed."""
        self.heard_at = 0.0
        """When the server was heard last (monotonic seconds)."""
        self._read_at = 0.0
        self._since = 0.0
        """When the last step of dialling was done: the next one is to follow within DIAL_SECONDS."""
        self._attempts = 0
        self._next_dial = 0.0
        self._wait = settings.DIAL_BACKOFF_SECONDS
        self._next_beat = 0.0
        self.latency = 0.0

    # --- time ----------------------------------------------------------------------------------------------

    def next_due(self) -> float:
        """Return when to call `read` though nothing is ready."""
        if self._link is None:
            return self._next_dial
        return self._next_beat if self.up else self._since + settings.DIAL_SECONDS

    def dial_now(self) -> None:
        """Do not wait until the next attempt is due."""
        self._next_dial, self._wait = 0.0, settings.DIAL_BACKOFF_SECONDS

    def read(self, now: float) -> list[Heard]:
        """Return what was heard, in order; an `Admitted` stands before all that follows from it."""
        heard: list[Heard] = []
        if now - self._read_at > settings.REDIAL_SECONDS:  # it was us who slept: dial anew, and blame nobody
            self.heard_at = max(self.heard_at, now - settings.REDIAL_SECONDS)
        self._read_at = now
        if self._link is None:
            if now >= self._next_dial:
                self._dial(now)
            return heard
        try:
            self._read_link(heard, now)
            self._take_dialled(heard, now)
            if self.up:
                heard += self._numbered()
        except ProtocolError as error:
            self._drop(f"it sent what it should not: {error}", now)
        self._look_after(now)
        return heard

    def _look_after(self, now: float) -> None:
        """Drop a link that is down or silent; beat."""
        link = self._link
        if link is None:
            return
        if link.look():
            self._strange = self._strange + 1 if link.strange else 0
            self.refused = link.refused or self._strange >= settings.STRANGE_DIALS
            self._drop(link.down, now)
        elif self.talk.broken:
            self._drop(f"the bulk connection: {self.talk.broken}", now)
        elif not self.up and now >= self._since + settings.DIAL_SECONDS:
            self._drop(self.trouble or "no answer", now)
        elif self.up and now >= self.heard_at + settings.REDIAL_SECONDS:
            self._drop("no answer", now)
        elif self.up and now >= self._next_beat:
            self._next_beat = now + settings.BEAT_SECONDS
            self.talk.say(remote.Beat(now))

    # --- the link ------------------------------------------------------------------------------------------

    def _dial(self, now: float) -> None:
        self._since = now
        self._attempts += 1
        # zmq takes the first address that a name has, so each other attempt asks for the other kind.
        ipv6 = self._attempts % 2 == 0
        self._link = SecureLink(self._network, self._host, self._port, self._pair, self._key, ipv6=ipv6)
        for source in (self._link, self._link.monitor):
            self._poller.watch(source)
        with contextlib.suppress(PeerGoneError):  # then `look` tells why
            self._link.send(remote.greeting(self._hello()))

    def _drop(self, why: str, now: float) -> None:
        self.trouble = why
        self.up = False
        self._admitted = None
        if self._up_socket is not None:
            self._up_socket.close()
            self._up_socket = None
        self.talk.disconnect()
        if self._link is not None:
            for source in (self._link, self._link.monitor):
                self._poller.unwatch(source)
            self._link.close()
            self._link = None
        self._next_dial = now + self._wait
        self._wait = min(2 * self._wait, settings.REDIAL_SECONDS)

    def _read_link(self, heard: list[Heard], now: float) -> None:
        while self._link is not None and (frames := self._link.receive()) is not None:
            self.heard_at = now
            envelope, rest = remote.unseal(frames)
            if envelope.number:
                self.talk.take(envelope, rest)
                continue
            message, _ = remote.from_server(rest)
            if isinstance(message, remote.Admitted):
                self._admit(message, now)
            elif isinstance(message, m.Refused):
                heard.append((0, message, []))
                self._drop(message.reason, now)
            elif isinstance(message, remote.Beat):
                self.talk.take(envelope, [])
                taken = max(0.0, now - message.clock)
                self.latency = taken if not self.latency else self.latency + 0.3 * (taken - self.latency)

    def _numbered(self) -> list[Heard]:
        out: list[Heard] = []
        for worker, frames in self.talk.heard():
            message, payload = remote.from_server(frames)
            out.append((worker, message, payload))
        return out

    def _admit(self, message: remote.Admitted, now: float) -> None:
        """Go on to the bulk connections; only when they stand is the link up."""
        link = self._link
        if link is None or self._admitted is not None:
            return
        self._admitted, self._since = message, now
        if not message.resumed:
            self.talk.restart()
        self.talk.connect(link.send, message.got)
        self.trouble = "its bulk connection is being made"
        port, certificate = message.bulk_port, message.certificate

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

    def _take_dialled(self, heard: list[Heard], now: float) -> None:
        while not self._dialled.empty():
            link, direction, sock = self._dialled.get()
            if isinstance(sock, DsageError):
                if link is self._link:
                    self.trouble = str(sock)
                    self._since = 0.0  # this attempt is over
            elif link is not self._link:
                sock.close()
            elif direction == bulk.UP:
                self._up_socket, self._since = sock, now
            else:
                self._stand(sock, heard)

    def _stand(self, down: ssl.SSLSocket, heard: list[Heard]) -> None:
        """All connections are there."""
        if self._admitted is None or self._up_socket is None:
            down.close()
            return
        self.talk.carry(self._up_socket, out=True)
        self._up_socket = None
        self.talk.carry(down, out=False)
        self.up, self.trouble = True, ""
        self._wait, self._attempts = settings.DIAL_BACKOFF_SECONDS, self._attempts - 1
        heard.append((0, self._admitted, []))

    def close(self, last: m.Message | None = None) -> None:
        """Let go of the server; `last`: said before, if the link is up."""
        if last is not None and self.up:
            self.talk.post(0, last)
        self._drop("closed", 0.0)
        while not self._dialled.empty():
            sock = self._dialled.get()[2]
            if not isinstance(sock, DsageError):
                sock.close()
