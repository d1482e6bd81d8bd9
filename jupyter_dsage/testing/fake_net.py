"""A network in memory: everything `net.transport` promises, between threads of one process, without sockets.

For tests of what stands above `net/`: give a `FakeNet` where a `UnixNetwork` would go. It passes the same tests
(tests/unit/test_transports.py). Like zmq's its links are never told that the listener is gone: what they send is
kept until somebody listens at the address again; and a peer that is gone is known at once.
"""

from __future__ import annotations

import errno
import itertools
import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from jupyter_dsage.errors import PeerGoneError
from jupyter_dsage.net.poller import Poller

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dsage.net.transport import Frame, Peer, Source


class _End:
    """One end of a connection: what has arrived there, and the pollers that watch it."""

    def __init__(self, net: FakeNet) -> None:
        self._net = net
        self.inbox: deque[Any] = deque()
        self.watchers: set[FakePoller] = set()
        self.closed = False

    def arrive(self, message: Any) -> None:
        """Take a message in; called under the network's lock."""
        self.inbox.append(message)
        for poller in self.watchers:
            poller.look_again()

    def take(self) -> Any:
        """Return the next message, or None."""
        with self._net.lock:
            self.check_open()
            return self.inbox.popleft() if self.inbox else None

    def check_open(self) -> None:
        """Raise ValueError, as files do, if this side has been closed."""
        if self.closed:
            raise ValueError("I/O operation on a closed link or listener.")


class FakeLink(_End):
    """A link in memory; see `transport.Link`."""

    def __init__(self, net: FakeNet, address: str) -> None:
        super().__init__(net)
        self.address = address
        self.peer: Peer = b""
        self.listener: FakeListener | None = None
        self.unsent: list[list[Frame]] = []
        """Messages sent while nobody listened."""

    def send(self, frames: Sequence[Frame]) -> None:
        """See `transport.Link`."""
        message = _copied(frames)
        with self._net.lock:
            self.check_open()
            if self.listener is None:
                self.unsent.append(message)
            else:
                self.listener.arrive((self.peer, message))

    def receive(self) -> list[Frame] | None:
        """See `transport.Link`."""
        message: list[Frame] | None = self.take()
        return message

    def close(self) -> None:
        """See `transport.Link`. What it sent to somebody who listens will still be received."""
        with self._net.lock:
            self.closed = True
            self._net.loose.pop(self, None)
            if self.listener is not None:
                del self.listener.links[self.peer]
                self.listener = None


class FakeListener(_End):
    """A listener in memory; see `transport.Listener`."""

    def __init__(self, net: FakeNet, address: str) -> None:
        super().__init__(net)
        self.address = address
        self.links: dict[Peer, FakeLink] = {}

    def send(self, peer: Peer, frames: Sequence[Frame], *, more: bool = False) -> None:  # noqa: ARG002
        """See `transport.Listener`."""
        message = _copied(frames)
        with self._net.lock:
            self.check_open()
            if peer not in self.links:
                raise PeerGoneError("The peer has disconnected.")
            self.links[peer].arrive(message)

    def keep(self) -> None:
        """See `transport.Listener`. It needs nothing on disk."""

    def receive(self) -> tuple[Peer, list[Frame]] | None:
        """See `transport.Listener`."""
        got: tuple[Peer, list[Frame]] | None = self.take()
        return got

    def close(self) -> None:
        """See `transport.Listener`. Its links wait for the next listener at the address."""
        with self._net.lock:
            if self.closed:
                return
            self.closed = True
            self._net.listeners.pop(self.address, None)
            for link in self.links.values():
                link.listener = None
                self._net.loose[link] = None
            self.links.clear()


class FakePoller:
    """Waits for ends of one `FakeNet`, and for descriptors (as the real one does); see `transport.Poller`."""

    def __init__(self, net: FakeNet) -> None:
        self._net = net
        self._ends: dict[_End, None] = {}
        self._files = Poller()
        self._woken = False

    def watch(self, source: Source) -> None:
        """See `transport.Poller`."""
        if not isinstance(source, _End):
            self._files.watch(source)
            return
        with self._net.lock:
            self._ends[source] = None
            source.watchers.add(self)

    def unwatch(self, source: Source) -> None:
        """See `transport.Poller`."""
        if not isinstance(source, _End):
            self._files.unwatch(source)
            return
        with self._net.lock:
            self._ends.pop(source, None)
            source.watchers.discard(self)

    def wait(self, seconds: float | None) -> list[Source]:
        """See `transport.Poller`."""
        deadline = None if seconds is None else time.monotonic() + max(seconds, 0)
        while True:
            with self._net.lock:
                ready: list[Any] = [end for end in self._ends if end.inbox]
                woken, self._woken = self._woken, False
            rest = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready += self._files.wait(0 if ready or woken else rest)
            if ready or woken or rest == 0:
                return ready

    def wake(self) -> None:
        """See `transport.Poller`."""
        with self._net.lock:
            self._woken = True
            self._files.wake()

    def look_again(self) -> None:
        """Have `wait` look at its ends again; called under the network's lock."""
        self._files.wake()

    def close(self) -> None:
        """See `transport.Poller`."""
        with self._net.lock:
            for end in self._ends:
                end.watchers.discard(self)
            self._ends.clear()
            self._files.close()


class FakeNet:
    """A `transport.Network` in memory. Its parts may be used from several threads, one thread each.

    >>> net = FakeNet()
    >>> listener, link = net.listen("here"), net.connect("here")
    >>> link.send([b"hello"])
    >>> peer, frames = listener.receive()
    >>> listener.send(peer, [*frames, b"yourself"])
    >>> link.receive()
    [b'hello', b'yourself']
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.listeners: dict[str, FakeListener] = {}
        self.loose: dict[FakeLink, None] = {}
        """Links to addresses where nobody listens, in the order in which they came."""
        self._numbers = itertools.count(1)

    def listen(self, address: str) -> FakeListener:
        """See `transport.Network`; raises OSError if the address is taken."""
        with self.lock:
            if address in self.listeners:
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), address)
            listener = self.listeners[address] = FakeListener(self, address)
            for link in [link for link in self.loose if link.address == address]:
                self._join(link, listener)
            return listener

    def connect(self, address: str) -> FakeLink:
        """See `transport.Network`."""
        with self.lock:
            link = FakeLink(self, address)
            self.loose[link] = None
            if address in self.listeners:
                self._join(link, self.listeners[address])
            return link

    def _join(self, link: FakeLink, listener: FakeListener) -> None:
        """Connect a loose link, under a new name, and pass on what it has kept."""
        del self.loose[link]
        link.listener, link.peer = listener, b"\0" + next(self._numbers).to_bytes(4, "big")
        listener.links[link.peer] = link
        for message in link.unsent:
            listener.arrive((link.peer, message))
        link.unsent.clear()

    def poller(self) -> FakePoller:
        """See `transport.Network`."""
        return FakePoller(self)

    def close(self) -> None:
        """See `transport.Network`."""
        with self.lock:
            self.listeners.clear()
            self.loose.clear()


def _copied(frames: Sequence[Frame]) -> list[Frame]:
    """Return the frames as they travel: what the sender does with its buffers afterwards changes nothing."""
    return [bytes(frame) for frame in frames]
