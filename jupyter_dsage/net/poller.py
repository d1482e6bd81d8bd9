"""Waits for links, listeners and descriptors of every transport: one poller for all; see `transport.Poller`.

The system's own selector waits for whatever has a descriptor. Sockets of zmq have none that can be waited for like
that; where there are some, zmq waits for them and for the selector.
"""

from __future__ import annotations

import contextlib
import math
import selectors
import socket
from typing import TYPE_CHECKING, Any

from jupyter_dsage import clock
from jupyter_dsage.net.stream import StreamLink

if TYPE_CHECKING:
    from jupyter_dsage.net.transport import Source

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_RETRY_SECONDS = 0.01
"""How often a link tries an address where nobody listens yet."""


class Many:
    """A source that is many in one, and does itself what is to be done when one of them is ready."""

    pending = False
    """Whether something was read that has not been received yet."""

    def look(self) -> bool:
        """Read and write what can be, without waiting; return whether there is something to receive."""
        raise NotImplementedError


class Poller:
    """See `transport.Poller`. A source with an attribute `socket` is one of zmq."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._streams: set[StreamLink] = set()
        self._unconnected: set[StreamLink] = set()
        """Links to addresses where nobody listens yet."""
        self._writing: set[StreamLink] = set()
        """Those of which the selector is asked when they take more."""
        self._many: set[Many] = set()
        self._zmq: Any = None
        self._sockets: dict[Any, Source] = {}
        self._wake_out, self._wake_in = socket.socketpair()
        """Sockets, since one that is closed says so: `wake` needs no lock, which an interrupt could leave held."""
        self._wake_out.settimeout(0)
        self._wake_in.settimeout(0)
        self._selector.register(self._wake_out, _READ, None)

    def watch(self, source: Source) -> None:
        """See `transport.Poller`."""
        of_zmq = getattr(source, "socket", None)
        if of_zmq is not None:
            self._watch_zmq(of_zmq, source)
            return
        if isinstance(source, StreamLink):
            if not source.connected():
                self._unconnected.add(source)
                return
            self._streams.add(source)
        elif isinstance(source, Many):
            self._many.add(source)
        descriptor = source.fileno()  # type: ignore[union-attr]
        if descriptor not in self._selector.get_map():
            self._selector.register(descriptor, _READ, source)

    def _watch_zmq(self, of_zmq: Any, source: Source) -> None:
        if self._zmq is None:
            import zmq

            self._zmq = zmq.Poller()
            self._zmq.register(self._selector.fileno(), _READ)  # zmq.POLLIN is this bit
        self._sockets[of_zmq] = source
        self._zmq.register(of_zmq, _READ)

    def unwatch(self, source: Source) -> None:
        """See `transport.Poller`."""
        of_zmq = getattr(source, "socket", None)
        if of_zmq is not None:
            if self._sockets.pop(of_zmq, None) is not None:
                self._zmq.unregister(of_zmq)
            return
        if isinstance(source, StreamLink):
            self._unconnected.discard(source)
            self._streams.discard(source)
            self._writing.discard(source)
        self._many.discard(source)
        for descriptor in [key.fd for key in self._selector.get_map().values() if key.data is source]:
            self._selector.unregister(descriptor)

    def wait(self, seconds: float | None) -> list[Source]:
        """See `transport.Poller`."""
        ready: list[Any] = [source for source in self._many if source.pending]
        deadline = math.inf if seconds is None else clock.monotonic() + seconds
        rest = 0.0 if ready else seconds
        while not self._once(rest, ready) and not ready and rest != 0:
            rest = None if seconds is None else max(0.0, deadline - clock.monotonic())
        return ready

    def _once(self, seconds: float | None, ready: list[Any]) -> bool:
        """Wait once, and add what is ready; return False if that was not to be waited for, such as a newcomer."""
        if self._unconnected:
            self._connect()
            seconds = min(_RETRY_SECONDS, math.inf if seconds is None else seconds) if self._unconnected else seconds
        for stream in self._streams:
            self._wish(stream)
        if self._sockets:
            milliseconds = None if seconds is None else math.ceil(max(seconds, 0) * 1000)
            ready += [self._sockets[each] for each, _ in self._zmq.poll(milliseconds) if each in self._sockets]
            seconds = 0
        events = self._selector.select(seconds)
        over = not events and not self._unconnected
        for key, kind in events:
            if key.data is None:
                self._wake_out.recv(4096)
                over = True
                continue
            if kind & _WRITE:
                key.data.flush()
            if kind & _READ and key.data not in ready and (key.data not in self._many or key.data.look()):
                ready.append(key.data)
        return over

    def _connect(self) -> None:
        for link in list(self._unconnected):
            if link.connected():
                self._unconnected.discard(link)
                self.watch(link)

    def _wish(self, stream: StreamLink) -> None:
        """Have the selector say when a stream takes more, if something is kept for it."""
        if (wanted := stream.wants_write) != (stream in self._writing):
            self._selector.modify(stream.fileno(), _READ | (_WRITE if wanted else 0), stream)
            (self._writing.add if wanted else self._writing.discard)(stream)

    def wake(self) -> None:
        """See `transport.Poller`."""
        with contextlib.suppress(OSError):  # full of wake-ups already, or closed: the other thread has not heard yet
            self._wake_in.send(b".")

    def close(self) -> None:
        """See `transport.Poller`."""
        self._selector.close()
        self._wake_out.close()
        self._wake_in.close()
