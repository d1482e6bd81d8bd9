"""What a client has posted: not yet sent, and sent but not yet in the session's journal.

Requests that are to outlive the child are kept, in order, until the child says that they are stored; a child that is
started anew is sent the rest again. Who posts much is slowed down here (P10).
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, NamedTuple, Protocol

from jupyter_dsage import settings
from jupyter_dsage.client.waiting import Waiters
from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jupyter_dsage.wire.codec import Frame

    Post = tuple[m.Message, tuple[Frame, ...]]


class Deferred(Protocol):
    """Messages that are made when their turn comes.

    `size`: about how many bytes they will have; `room`: how many more calls may join, 0 once more is posted behind.
    """

    size: int
    room: int

    def due(self) -> bool:
        """Tell whether they should go now, though nothing else waits behind them."""

    def __call__(self) -> Iterable[Post]:
        """Make the messages."""


class Encoded(NamedTuple):
    """A message ready to be sent. `request`: it is kept until it is stored."""

    frames: list[Frame]
    request: bool
    size: int


def encoded(message: m.Message, *frames: Frame) -> Encoded:
    """Return a message ready to be sent; raises what `codec.encode` raises."""
    size = sum(memoryview(frame).nbytes for frame in frames)
    return Encoded(codec.encode(message, *frames), isinstance(message, m.REQUESTS), size)


class Outbox:
    """One client's. All calls come from the I/O thread, but for `wait_for_room`."""

    def __init__(self) -> None:
        self._waiting: collections.deque[Encoded | Deferred] = collections.deque()
        self._kept: collections.deque[Encoded] = collections.deque()
        self._stored = 0
        self.keeping = True
        """Whether there is a journal, so that requests are kept until they are in it."""
        self._behind = 0
        self._room = Waiters()
        self._open = True

    def put(self, item: Encoded | Deferred) -> None:
        """Post something; what gathers before it takes nothing more, so that the order stays."""
        if self._waiting and not isinstance(last := self._waiting[-1], Encoded):
            last.room = 0
        self._waiting.append(item)
        if item.size:
            self.charge(item.size)

    # --- room ----------------------------------------------------------------------------------------------

    def charge(self, size: int) -> None:
        """Note that so many bytes more are behind."""
        self._behind += size
        if size < 0:
            self._room.wake()

    def wait_for_room(self) -> None:
        """Wait until little enough is behind; from any thread but the I/O thread."""
        if self._behind > settings.JOURNAL_BEHIND_BYTES:
            self._room.wait(lambda: not self._open or self._behind <= settings.JOURNAL_BEHIND_BYTES, None)

    def close(self) -> None:
        """Let everybody go on: nothing will be sent any more."""
        self._open = False
        self._room.wake()
        self._waiting.clear()
        self._kept.clear()

    # --- sending -------------------------------------------------------------------------------------------

    def due(self, *, closing: bool) -> Iterator[list[Frame]]:
        """Yield what is to be sent now, in order; what still gathers is left, unless all is to go."""
        while self._waiting:
            first = self._waiting[0]
            if not isinstance(first, Encoded) and len(self._waiting) == 1 and not closing and not first.due():
                return
            self._waiting.popleft()
            if isinstance(first, Encoded):
                yield self._sent(first)
                continue
            made = [encoded(message, *frames) for message, frames in first()]
            self.charge(sum(item.size for item in made) - first.size)
            yield from [self._sent(item) for item in made]  # all are kept before the first is sent, which may fail

    @property
    def gathers(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._waiting)

    def _sent(self, item: Encoded) -> list[Frame]:
        if item.request and self.keeping:
            self._kept.append(item)
        elif item.size:
            self.charge(-item.size)
        return item.frames

    def stored(self, count: int) -> None:
        """Note that so many requests, from the first on, are in the journal."""
        freed = 0
        while self._stored < count and self._kept:
            freed += self._kept.popleft().size
            self._stored += 1
        if freed:
            self.charge(-freed)

    def again(self) -> list[list[Frame]]:
        """Return what a new child is to be sent again."""
        return [item.frames for item in self._kept]
