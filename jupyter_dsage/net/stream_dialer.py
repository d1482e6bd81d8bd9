"""A child's way to a room server over a stream of bytes that something else carries, such as ssh.

The stream is what a *carrier* has made: a socket, and word of why it ended. Large frames go over the same stream. See
`net.redialer` for what it does otherwise, and `worker.rooms` for the other side.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Protocol

from jupyter_dsage import settings
from jupyter_dsage.errors import PeerGoneError, ProtocolError
from jupyter_dsage.net.packet_link import PacketLink
from jupyter_dsage.net.redialer import Heard, Redialer
from jupyter_dsage.wire import remote

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from jupyter_dsage.net.transport import Frame, Poller
    from jupyter_dsage.wire import messages as m


class Carrier(Protocol):
    """What carries the stream: one try to reach the host."""

    sock: socket.socket
    """Our end of the stream."""
    first: bytes
    """What goes down the stream before all messages."""
    marker: bytes
    """What the other end says first; what a host's shell prints before it is left. Empty: nothing."""

    def fate(self, *, ended: bool) -> tuple[str, bool]:
        """Return why it is no use any more, empty while it is; and whether to try again soon is of little use.

        `ended`: whether the stream has.
        """

    def close(self) -> None:
        """Let go of it; never blocks."""

    def wait_gone(self, seconds: float) -> None:
        """Wait until what carried the stream has gone; end by force what has not in time."""


class _CarrierLink(PacketLink):
    """A packet link that knows what carries it, and keeps the end of the stream for who asks."""

    def __init__(self, carrier: Carrier) -> None:
        super().__init__(carrier.sock)
        self.carrier = carrier
        self._begun = not carrier.marker
        if carrier.first:
            self._out.append((memoryview(carrier.first), ()))

    def _begins(self) -> bool:
        """Tell whether the other end has said its marker; leave what came before."""
        at = -1 if self._begun else self._in.find(self.carrier.marker)
        if at >= 0:
            del self._in[: at + len(self.carrier.marker)]
            self._begun = True
        elif not self._begun and len(self._in) > settings.PACKET_BYTES:
            raise ProtocolError("its shell prints and prints, and no bridge of ours begins")
        return self._begun

    def take(self) -> list[Frame] | None:
        """See `StreamLink`."""
        return super().take() if self._begins() else None

    def _take_bulk(self) -> bool:
        return self._begins() and super()._take_bulk()

    def receive(self) -> list[Frame] | None:
        """See `transport.Link`; the end is told by `gone`."""
        try:
            return super().receive()
        except PeerGoneError:
            return None


class StreamDialer(Redialer[_CarrierLink]):
    """`carrier`: makes a try to reach the host; `step_seconds`, `patience`: see `Redialer`."""

    def __init__(
        self,
        hello: Callable[[], remote.Dial],
        carrier: Callable[[], Carrier | None],
        poller: Poller,
        step_seconds: float,
        patience: float,
    ) -> None:
        super().__init__(hello, poller)
        self._carrier = carrier
        self._ending: list[Carrier] = []
        """Former tries, which may still be passing on what was sent last."""
        self.step_seconds = step_seconds
        self.patience = patience

    def _connect(self) -> _CarrierLink | None:
        self.wait_gone(0)
        carrier = self._carrier()
        if carrier is None:
            return None
        link = _CarrierLink(carrier)
        self._poller.watch(link)
        return link

    def _hang_up(self, link: _CarrierLink) -> None:
        self._poller.unwatch(link)
        link.close()
        link.carrier.close()
        self._ending.append(link.carrier)

    def close(self, last: m.Message | None = None) -> None:
        """See `Redialer`. The last word must not wait behind large frames, which nobody needs any more."""
        if last is not None and self._link is not None:
            if self.up:
                self.talk.post(0, last)
            else:  # the greeting may be on its way: what it makes there is not needed any more
                with contextlib.suppress(PeerGoneError):
                    self._link.send(remote.greeting(last))
            self._link.finish(settings.LAST_WORD_MS / 1000)
        super().close()

    def wait_gone(self, seconds: float) -> None:
        """Wait until former tries have gone; end by force what has not in time."""
        deadline = time.monotonic() + seconds
        while self._ending:
            self._ending.pop().wait_gone(max(0.0, deadline - time.monotonic()))

    def _fate(self, link: _CarrierLink) -> str:
        why, self.refused = link.carrier.fate(ended=link.gone)
        self.heard_at = max(self.heard_at, link.heard_at)  # a large frame on its way is news too
        return why or ("the connection ended" if link.gone else "")

    def _greeted(self, link: _CarrierLink, heard: list[Heard], now: float) -> None:  # noqa: ARG002
        self.talk.carry_along(link, squeezes=self._admitted is not None and self._admitted.squeezes)
        self._stand(heard)
