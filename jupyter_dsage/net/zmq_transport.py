"""The zmq transport: ROUTER listeners, DEALER links; what `net.secure` and TCP to other hosts build on.

One context for each `ZmqNetwork`, made on first use, so that importing or forking makes none. Frames are
copied on the way (``copy=True``): pyzmq's zero-copy sends would start a thread that outlives the session.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import zmq

from jupyter_dsage.errors import PeerGoneError
from jupyter_dsage.net.poller import Poller

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dsage.net.transport import Frame, Peer


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

    def send(self, peer: Peer, frames: Sequence[Frame], *, more: bool = False) -> None:  # noqa: ARG002
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

    def keep(self) -> None:
        """See `transport.Listener`. Addresses of other hosts are no files."""

    def close(self) -> None:
        """See `transport.Listener`."""
        self.socket.close(linger=200)
        if self.address.startswith("ipc://"):
            Path(self.address.removeprefix("ipc://")).unlink(missing_ok=True)


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

    def poller(self) -> Poller:
        """See `transport.Network`."""
        return Poller()

    def close(self) -> None:
        """See `transport.Network`."""
        if self._context is not None:
            self._context.destroy(linger=200)
            self._context = None
