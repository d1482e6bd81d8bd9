"""The client's I/O thread: sends what other threads post, hands what arrives to its session, notices the end.

The only thread that touches the socket. It never runs user code but the callbacks of futures.
"""

from __future__ import annotations

import collections
import logging
import threading
from typing import TYPE_CHECKING, Protocol

from jupyter_dsage import settings
from jupyter_dsage.errors import ProtocolError
from jupyter_dsage.wire import codec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jupyter_dsage.net.transport import FileLike, Network
    from jupyter_dsage.wire.codec import Frame
    from jupyter_dsage.wire.messages import Message

    Post = tuple[Message, tuple[Frame, ...]]
    Encoded = list[Frame]

log = logging.getLogger("jupyter_dsage")


class Deferred(Protocol):
    """Messages that are made when their turn comes."""

    def due(self) -> bool:
        """Tell whether they should go now, though nothing else waits behind them."""

    def __call__(self) -> Iterable[Post]:
        """Make the messages."""


class Receiver(Protocol):
    """Who a link tells; both are called on its thread."""

    def receive(self, message: Message, frames: list[Frame]) -> None:
        """Take a message from the child."""

    def ended(self) -> None:
        """Take note that the child is gone; nothing comes after this."""


class ChildLink:
    """The connection to one child. `life`: a descriptor that becomes readable when the child is gone."""

    def __init__(self, network: Network, address: str, life: FileLike, receiver: Receiver) -> None:
        self._network = network
        self._link = network.connect(address)
        self._life = life
        self._receiver = receiver
        self._poller = network.poller()
        self._outbox: collections.deque[Encoded | Deferred] = collections.deque()
        self._awake = threading.Lock()
        self._woken = False
        self._closing = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dsage-io", daemon=True)
        self._thread.start()

    def post(self, message: Message, *frames: Frame) -> None:
        """Have a message sent; from any thread, never blocks.

        Raises what `codec.encode` raises of a message that cannot be sent, here and not on the I/O thread.
        """
        self._put(codec.encode(message, *frames))

    def post_later(self, make: Deferred) -> None:
        """Have messages sent that are made on the I/O thread when their turn comes."""
        self._put(make)

    def is_last(self, make: Deferred) -> bool:
        """Tell whether this is what was posted last, and is not yet sent."""
        try:
            return self._outbox[-1] is make
        except IndexError:
            return False

    def _put(self, item: Encoded | Deferred) -> None:
        self._outbox.append(item)
        with self._awake:
            if self._woken or self._closing:
                return
            self._woken = True
            self._poller.wake()

    def on_thread(self) -> bool:
        """Tell whether the caller runs on the I/O thread, where waiting would wait for ever."""
        return threading.current_thread() is self._thread

    def close(self) -> None:
        """Stop the thread; what was posted before is sent first."""
        with self._awake:
            if not self._closing:
                self._closing = True
                self._poller.wake()
        if not self.on_thread():
            self._thread.join()

    def _run(self) -> None:
        self._poller.watch(self._link)
        self._poller.watch(self._life)
        try:
            self._serve()
        finally:
            self._poller.unwatch(self._link)
            self._poller.unwatch(self._life)
            self._link.close()
            with self._awake:
                self._closing = True
                self._poller.close()
            self._network.close()
            self._receiver.ended()
            self._ended.set()

    def wait_ended(self, seconds: float) -> bool:
        """Wait until the child is gone; return whether it went in time."""
        return self.on_thread() or self._ended.wait(seconds)

    def _serve(self) -> None:
        rest: float | None = None
        while True:
            ready = self._poller.wait(rest)
            with self._awake:
                self._woken = False
            rest = self._empty_outbox()
            while (frames := self._link.receive()) is not None:
                self._take(frames)
            if self._closing or self._life in ready:
                return

    def _empty_outbox(self) -> float | None:
        """Send what is posted; return the seconds after which to look again, if something gathers."""
        while self._outbox:
            last = self._outbox[0]
            if not isinstance(last, list) and len(self._outbox) == 1 and not self._closing and not last.due():
                return settings.GATHER_SECONDS
            self._send(self._outbox.popleft())
        return None

    def _send(self, item: Encoded | Deferred) -> None:
        if isinstance(item, list):
            self._link.send(item)
            return
        for message, frames in item():
            self._link.send(codec.encode(message, *frames))

    def _take(self, frames: list[Frame]) -> None:
        try:
            message, payload = codec.to_client(frames)
        except ProtocolError as error:
            log.error("A message of the child was dropped: %s", error)  # noqa: TRY400  (its trace tells nothing)
            return
        self._receiver.receive(message, payload)
