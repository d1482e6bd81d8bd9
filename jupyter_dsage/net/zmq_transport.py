"""The zmq transport: ROUTER listeners, DEALER links; ``ipc://`` between processes of one host.

One context for each `ZmqNetwork`, made on first use, so that importing or forking makes none. Frames are
copied on the way (``copy=True``): pyzmq's zero-copy sends would start a thread that outlives the session.
"""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import zmq

from jupyter_dsage.errors import PeerGoneError
from jupyter_dsage.net.stream import StreamLink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dsage.net.transport import Frame, Peer, Source


def _prepare(socket: zmq.Socket[bytes]) -> None:
    socket.linger = 0
    # Credits bound what is under way (two leases a worker, FEED_BYTES a batch); a high-water mark of zmq's own
    # would drop or block instead.
    socket.sndhwm = 0
    socket.rcvhwm = 0


class ZmqLink:
    """A DEALER connected to one listener."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: str) -> None:
        self.socket = context.socket(zmq.DEALER)
        _prepare(self.socket)
        self.socket.reconnect_ivl = 10
        self.socket.connect(address)

    def send(self, frames: Sequence[Frame]) -> None:
        """See `transport.Link`."""
        self.socket.send_multipart(frames)

    def receive(self) -> list[Frame] | None:
        """See `transport.Link`."""
        try:
            return list(self.socket.recv_multipart(zmq.NOBLOCK))
        except zmq.Again:
            return None

    def close(self) -> None:
        """See `transport.Link`. What was handed to send is given a moment to leave."""
        self.socket.close(linger=200)


class ZmqListener:
    """A ROUTER bound to one address. A peer is its routing id, which zmq makes anew for each connection."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: str) -> None:
        self.address = address
        self.socket = context.socket(zmq.ROUTER)
        _prepare(self.socket)
        self.socket.router_mandatory = True
        self.socket.bind(address)

    def send(self, peer: Peer, frames: Sequence[Frame]) -> None:
        """See `transport.Listener`."""
        try:
            self.socket.send_multipart([peer, *frames])
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            raise PeerGoneError("The peer has disconnected.") from None

    def receive(self) -> tuple[Peer, list[Frame]] | None:
        """See `transport.Listener`."""
        try:
            peer, *frames = self.socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None
        return peer, list(frames)

    def close(self) -> None:
        """See `transport.Listener`."""
        self.socket.close(linger=200)
        if self.address.startswith("ipc://"):
            Path(self.address.removeprefix("ipc://")).unlink(missing_ok=True)


class ZmqPoller:
    """zmq's poll over its sockets and over descriptors, with a pipe to be woken by."""

    def __init__(self) -> None:
        self._poll = zmq.Poller()
        self._sources: dict[object, Source] = {}
        self._wake_out, self._wake_in = os.pipe()
        os.set_blocking(self._wake_out, False)
        os.set_blocking(self._wake_in, False)
        self._poll.register(self._wake_out, zmq.POLLIN)
        self._open = threading.Lock()
        """Held to write to the pipe, so that `wake` never hits a descriptor that has become somebody else's."""

    def watch(self, source: Source) -> None:
        """See `transport.Poller`."""
        key = _key(source)
        self._sources[key] = source
        self._poll.register(key, zmq.POLLIN)

    def unwatch(self, source: Source) -> None:
        """See `transport.Poller`."""
        key = _key(source)
        if self._sources.pop(key, None) is not None:
            self._poll.unregister(key)

    def wait(self, seconds: float | None) -> list[Source]:
        """See `transport.Poller`."""
        for key, source in self._sources.items():
            if isinstance(source, StreamLink):
                self._poll.modify(key, zmq.POLLIN | (zmq.POLLOUT if source.wants_write else 0))
        ready: list[Source] = []
        for key, flags in self._poll.poll(None if seconds is None else math.ceil(max(seconds, 0) * 1000)):
            if key == self._wake_out:
                os.read(self._wake_out, 65536)
                continue
            source = self._sources[key]
            if flags & zmq.POLLOUT and isinstance(source, StreamLink):
                source.flush()
            if flags & ~zmq.POLLOUT:
                ready.append(source)
        return ready

    def wake(self) -> None:
        """See `transport.Poller`."""
        with self._open:
            if self._wake_in < 0:
                return  # closed; the other thread has not heard yet
            try:
                os.write(self._wake_in, b".")
            except BlockingIOError:
                return  # the pipe is full of wake-ups already

    def close(self) -> None:
        """See `transport.Poller`."""
        with self._open:
            if self._wake_out >= 0:
                os.close(self._wake_out)
                os.close(self._wake_in)
                self._wake_out = self._wake_in = -1


def _key(source: Source) -> object:
    if isinstance(source, (ZmqLink, ZmqListener)):
        return source.socket
    return source.fileno()  # type: ignore[union-attr]


class ZmqNetwork:
    """One zmq context and what belongs to it."""

    def __init__(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None

    @property
    def context(self) -> zmq.Context[zmq.Socket[bytes]]:
        """The zmq context, made on first use."""
        if self._context is None:
            self._context = zmq.Context()
        return self._context

    def listen(self, address: str) -> ZmqListener:
        """See `transport.Network`."""
        return ZmqListener(self.context, address)

    def connect(self, address: str) -> ZmqLink:
        """See `transport.Network`."""
        return ZmqLink(self.context, address)

    def poller(self) -> ZmqPoller:
        """See `transport.Network`."""
        return ZmqPoller()

    def close(self) -> None:
        """See `transport.Network`."""
        if self._context is not None:
            self._context.destroy(linger=200)
            self._context = None
