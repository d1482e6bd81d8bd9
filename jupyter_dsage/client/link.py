"""The client's I/O thread: sends what other threads post, hands what arrives to its session, notices a child's end.

It alone reads the socket; who posts writes into it if nobody else does at that moment. It never runs user code but the
callbacks of futures. Where the session has a journal it goes on with the next child, and sends it again what the one
before had not stored.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Protocol

from jupyter_dsage import settings
from jupyter_dsage.client.outbox import Deferred, Encoded, Outbox
from jupyter_dsage.errors import PeerGoneError, ProtocolError
from jupyter_dsage.wire import codec, segments
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from jupyter_dsage.client.child_process import Started
    from jupyter_dsage.net.transport import Link
    from jupyter_dsage.wire.codec import Frame

log = logging.getLogger("jupyter_dsage")


class Receiver(Protocol):
    """Who a link tells; all are called on its thread."""

    def hello(self) -> m.Hello:
        """Return the greeting for a child."""

    def receive(self, message: m.Message, frames: list[Frame]) -> None:
        """Take a message from the child."""

    def child_gone(self) -> Started | None:
        """Take note that the child is gone; return the one that comes after it, or None."""

    def ended(self) -> None:
        """Take note that there is no child any more; nothing comes after this."""


class ChildLink:
    """The connection to a session's child, and to those that come after it. `first`: what each is asked first."""

    def __init__(self, child: Started, receiver: Receiver, first: m.Message | None = None) -> None:
        self._child = child
        self._network = child.network()
        self._receiver = receiver
        self._first = first or m.Sync()
        self._poller = self._network.poller()
        self._outbox = Outbox()
        self._sending = threading.Lock()
        """Held by who sends: the I/O thread, or who posts."""
        self._link: Link | None = None
        """The connection, once the child has welcomed this client: until then what is posted waits."""
        self._awake = threading.Lock()
        self._woken = False
        self._closing = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dsage-io", daemon=True)
        self._thread.start()

    # --- from any thread -----------------------------------------------------------------------------------

    def post(self, message: m.Message, *frames: Frame) -> None:
        """Have a message sent; never blocks.

        Raises what `codec.encode` raises of a message that cannot be sent, here and not on the I/O thread.
        """
        self._put(self._outbox.encoded(message, *frames))

    def post_later(self, make: Deferred) -> None:
        """Have messages sent that are made on the I/O thread when their turn comes."""
        self._put(make)

    def charge(self, size: int) -> None:
        """Note that what was posted last has grown by so many bytes."""
        self._outbox.charge(size)

    def wait_for_room(self) -> None:
        """Wait while too much is posted that is not in the journal yet; never on the I/O thread."""
        if not self.on_thread():
            self._outbox.wait_for_room()

    def _put(self, item: Encoded | Deferred) -> None:
        self._outbox.put(item)
        if self._send_now():
            return
        with self._awake:
            if self._woken or self._closing:
                return
            self._woken = True
            self._poller.wake()

    def _send_now(self) -> bool:
        """Send what is due from the caller's thread, if nobody else is sending; tell whether nothing is left to do.

        It saves a wake of the I/O thread, about 0.1 ms, and works while a cell holds the interpreter lock.
        """
        if not self._sending.acquire(blocking=False):
            return False
        try:
            link = self._link
            if link is None:
                return False
            for frames in self._outbox.due(closing=False):
                link.send(frames)
            return not self._outbox.gathers and not getattr(link, "wants_write", False)
        except PeerGoneError:
            return False  # the I/O thread finds out why, and sends again what must be
        finally:
            self._sending.release()

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

    def wait_ended(self, seconds: float) -> bool:
        """Wait until the child is gone; return whether it went in time."""
        return self.on_thread() or self._ended.wait(seconds)

    # --- the I/O thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        child: Started | None = self._child
        try:
            while child is not None:
                self._attend(child)
                child = None if self._closing else self._receiver.child_gone()
        finally:
            with self._awake:
                self._closing = True
                self._poller.close()
            self._network.close()
            self._outbox.close()
            segments.drop_spare()
            self._receiver.ended()
            self._ended.set()

    def _attend(self, child: Started) -> None:
        """Serve one child until it is gone, or this is closed."""
        link = self._network.connect(child.address)
        self._poller.watch(link)
        self._poller.watch(child.life)
        try:
            link.send(codec.encode(self._receiver.hello()))
            self._serve(child, link)
        except PeerGoneError:
            log.debug("The connection to the child has ended.")  # with the child, whose end is looked into next
        finally:
            with self._sending:
                self._link = None
            self._poller.unwatch(link)
            self._poller.unwatch(child.life)
            link.close()

    def _serve(self, child: Started, link: Link) -> None:
        rest: float | None = settings.CHILD_CHECK_SECONDS
        next_look = time.monotonic() + settings.CHILD_CHECK_SECONDS
        while True:
            ready = self._poller.wait(rest)
            with self._awake:
                self._woken = False
            rest = self._empty_outbox()
            while (frames := link.receive()) is not None:
                self._take(frames, link)
            if self._closing or child.life in ready:
                return
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + settings.CHILD_CHECK_SECONDS
                child.look_after()

    def _empty_outbox(self) -> float:
        """Send what is posted; return the seconds after which to look again."""
        with self._sending:
            if self._link is None:
                return settings.CHILD_CHECK_SECONDS
            for frames in self._outbox.due(closing=self._closing):
                self._link.send(frames)
        return settings.GATHER_SECONDS if self._outbox.gathers else settings.CHILD_CHECK_SECONDS

    def _take(self, frames: list[Frame], link: Link) -> None:
        try:
            message, payload = codec.to_client(frames)
        except ProtocolError as error:
            log.error("A message of the child was dropped: %s", error)  # noqa: TRY400  (its trace tells nothing)
            return
        if isinstance(message, m.Welcome):
            self._welcomed(message, link)
        elif isinstance(message, m.Stored):
            self._outbox.stored(message.count)
            return
        self._receiver.receive(message, payload)

    def _welcomed(self, welcome: m.Welcome, link: Link) -> None:
        self._outbox.keeping = bool(welcome.store)
        self._outbox.stored(welcome.got)
        with self._sending:
            for kept in self._outbox.again():
                link.send(kept)
            link.send(codec.encode(self._first))
            self._link = link
        self._empty_outbox()
