"""The client's I/O thread: owns what is known of jobs and requests, sends, and hands what arrives to its session.

Other threads hand over to it: a message, calls, or a step that is to be done (`ChildLink.call`). Handing over is one
append, so an exception that a signal raises in the user's thread tears nothing: what was handed over is done whole, and
what was not has not begun. Of user code it runs only the callbacks of futures. Where the session has a journal it goes
on with the next child, and sends it again what the one before had not stored.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import math
import select
import threading
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from jupyter_dsage import clock, settings
from jupyter_dsage.client.outbox import Encoded, Outbox, encoded
from jupyter_dsage.client.submit import Call
from jupyter_dsage.client.waiting import LOOK_SECONDS, Reply, Step
from jupyter_dsage.errors import PeerGoneError, ProtocolError, SessionLost
from jupyter_dsage.wire import codec, segments
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.client.child_process import Started
    from jupyter_dsage.client.outbox import Deferred
    from jupyter_dsage.net.transport import Link
    from jupyter_dsage.wire.codec import Frame

T = TypeVar("T")
log = logging.getLogger("jupyter_dsage")


class Receiver(Protocol):
    """Whom a link tells; all methods are called on its thread."""

    def hello(self) -> m.Hello:
        """Return the greeting for a child."""

    def receive(self, message: m.Message, frames: list[Frame]) -> None:
        """Take a message from the child."""

    def connection_broken(self, reason: str) -> bool:
        """Take note that the connection has ended and the child has not; return whether to connect to it again."""

    def child_gone(self) -> Started | None:
        """Take note that the child is gone; return the one that comes after it, or None."""

    def broken(self, error: BaseException) -> None:
        """Take note that the link's thread ends by a defect; `ended` comes next."""

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
        self._handed: collections.deque[Encoded | Step[Any] | Call] = collections.deque()
        """What other threads have handed over, in order: messages, steps, calls (each with its `Submitter`)."""
        self._later: collections.deque[Callable[[], object]] = collections.deque()
        """What the I/O thread does after the step that asked for it has been answered."""
        self._busy = False
        """Whether it is doing some of that."""
        self._link: Link | None = None
        """The connection, once the child has welcomed this client: until then what is posted waits."""
        self.awake = False
        """Whether the I/O thread looks soon, so that it need not be woken."""
        self.reached = False
        """Whether the child has answered."""
        self._closing = False
        self._ended: Reply[None] = Reply()
        self._thread = threading.Thread(target=self._run, name="dsage-io", daemon=True)

    def start(self) -> None:
        """Start the thread: whoever is told of things is ready for it."""
        self._thread.start()

    # --- from any thread -----------------------------------------------------------------------------------

    def post(self, message: m.Message, *frames: Frame) -> None:
        """Have a message sent; never blocks.

        Raises what `codec.encode` raises of a message that cannot be sent, here and not on the I/O thread.
        """
        item = encoded(message, *frames)
        if self.on_thread():
            self._outbox.put(item)
            return
        self._handed.append(item)
        self._wake()

    def call(self, do: Callable[[], T], timeout: float | None = None) -> T:
        """Have a step done by the I/O thread, whole or not at all, and return what it returns, or raise what it raises.

        If an exception ends the wait for it, it is done all the same. On the I/O thread it is done at once. Raises
        SessionLost where the thread has ended, TimeoutError after `timeout` seconds (None: no limit).
        """
        if self.on_thread():
            return do()
        task = Step(do)
        self._handed.append(task)
        self._poller.wake()
        deadline = math.inf if timeout is None else clock.monotonic() + timeout
        while not task.wait(max(0.0, min(LOOK_SECONDS, deadline - clock.monotonic()))):
            if self._ended.done and not task.done:
                raise SessionLost("The session is over.")
            if clock.monotonic() >= deadline:
                break
        return task.result(0)

    def submit(self, call: Call) -> None:
        """Hand over a call, in one step; see `Submitter.take`."""
        self._handed.append(call)
        if not self.awake:
            self._wake()

    def number_calls(self) -> None:
        """Have all calls numbered that were handed over."""
        if self.on_thread():
            self._take_handed()
        elif not self._ended.done:
            with contextlib.suppress(SessionLost):  # it has ended meanwhile, and has numbered them before
                self.call(lambda: None)

    def _wake(self) -> None:
        self.awake = True
        self._poller.wake()

    def wait_for_room(self) -> None:
        """Wait while too much is posted that is not in the journal yet; never on the I/O thread."""
        if not self.on_thread():
            self._outbox.wait_for_room()

    def on_thread(self) -> bool:
        """Tell whether the caller runs on the I/O thread, where waiting would wait for ever."""
        return threading.current_thread() is self._thread

    def close(self) -> None:
        """Stop the thread; what was posted before is sent first."""
        self._closing = True
        self._poller.wake()
        if not self.on_thread():
            self._ended.wait()
            self._thread.join()

    def wait_ended(self, seconds: float) -> bool:
        """Wait until the child is gone; return whether it went in time."""
        return self.on_thread() or self._ended.wait(seconds)

    # --- from the I/O thread -------------------------------------------------------------------------------

    def post_later(self, make: Deferred) -> None:
        """Have messages sent that are made when their turn comes."""
        self._outbox.put(make)

    def charge(self, size: int) -> None:
        """Note that what was posted last has grown by so many bytes."""
        self._outbox.charge(size)

    def after(self, do: Callable[[], object]) -> None:
        """Have something done when the step that is being done has been answered: callbacks, which may take long."""
        self._later.append(do)

    def _run(self) -> None:
        child: Started | None = self._child
        try:
            while child is not None:
                broken = self._attend(child)
                if broken and not self._has_ended(child) and self._receiver.connection_broken(broken):
                    continue
                child = None if self._closing else self._receiver.child_gone()
        except BaseException as error:
            log.exception("The I/O thread of a session has ended by a defect.")
            self._receiver.broken(error)
        finally:
            self._closing = True
            self._outbox.close()
            segments.drop_spare()
            try:
                self._receiver.ended()
                self._do_later()
                self._take_handed()
            finally:
                self._ended.set(None)
                self._take_handed()  # what came between the two; what comes from here on sees that this has ended
                self._poller.close()
                self._network.close()

    def _has_ended(self, child: Started) -> bool:
        """Tell whether a child whose connection has ended is gone, or goes within a moment; or this is closed."""
        end, deadline = select.poll(), clock.monotonic() + settings.CHILD_END_SECONDS
        end.register(child.life, select.POLLIN)
        while not self._closing and clock.monotonic() < deadline:
            if end.poll(50):
                return True
        return self._closing

    def _attend(self, child: Started) -> str:
        """Serve one child until it is gone, or this is closed; return why the connection ended before that, if so."""
        try:
            link = self._network.connect(child.address)
        except OSError as error:
            return str(error)
        try:
            self._poller.watch(link)
            self._poller.watch(child.life)
            link.send(codec.encode(self._receiver.hello()))
            self._serve(child, link)
        except (PeerGoneError, ProtocolError) as error:  # mostly since the child has ended: that is looked into next
            return str(error)
        else:
            return ""
        finally:
            self._link = None
            self._poller.unwatch(link)
            self._poller.unwatch(child.life)
            link.close()

    def _serve(self, child: Started, link: Link) -> None:
        rest: float | None = settings.CHILD_CHECK_SECONDS
        next_look = clock.monotonic() + settings.CHILD_CHECK_SECONDS
        while True:
            ready = self._poller.wait(rest)
            self.awake = False
            self._take_handed()
            rest = self._empty_outbox()
            while (frames := link.receive()) is not None:
                self._take(frames, link)
            if self._closing or child.life in ready:
                self._take_handed()
                self._empty_outbox()
                return
            if clock.monotonic() >= next_look:
                next_look = clock.monotonic() + settings.CHILD_CHECK_SECONDS
                child.look_after()

    def _take_handed(self) -> None:
        """Do what other threads have handed over."""
        handed = self._handed
        while handed:
            item = handed.popleft()
            if isinstance(item, Call):
                item.submitter.take(item, handed)
            elif isinstance(item, Encoded):
                self._outbox.put(item)
            else:
                item.run()
            self._do_later()

    def _do_later(self) -> None:
        """Do what is to come after a step, one thing after another: a callback that submits must not nest the next."""
        if self._busy:
            return
        self._busy = True
        try:
            while self._later:
                self._later.popleft()()
        finally:
            self._busy = False

    def _empty_outbox(self) -> float:
        """Send what is posted; return the seconds after which to look again."""
        if self._link is None:
            return settings.CHILD_CHECK_SECONDS
        for frames in self._outbox.due(closing=self._closing):
            self._link.send(frames)
        if not self._outbox.gathers:
            return settings.CHILD_CHECK_SECONDS
        self.awake = True  # what is submitted meanwhile wakes nobody
        return settings.GATHER_SECONDS

    def _take(self, frames: list[Frame], link: Link) -> None:
        try:
            message, payload = codec.to_client(frames)
        except ProtocolError as error:
            log.error("A message of the child was dropped: %s", error)  # noqa: TRY400  (its trace tells nothing)
            return
        self.reached = True
        if isinstance(message, m.Welcome):
            self._welcomed(message, link)
        elif isinstance(message, m.Stored):
            self._outbox.stored(message.count)
            return
        self._receiver.receive(message, payload)
        self._do_later()

    def _welcomed(self, welcome: m.Welcome, link: Link) -> None:
        self._outbox.keeping = bool(welcome.store)
        self._outbox.stored(welcome.got)
        for kept in self._outbox.again():
            link.send(kept)
        link.send(codec.encode(self._first))
        self._link = link
        self._empty_outbox()
