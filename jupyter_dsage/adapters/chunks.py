"""The chunks at one agent: each a lease, handed to its worker in the order of the grants, and waited for.

The other scheduler starts its tasks when it likes, while recalls come at once: what is recalled before it has come is
cut off here when it comes. `Agent` calls all of this on its thread, but for `Chunk`'s waiting.
"""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from jupyter_dsage.wire import codec, remote

if TYPE_CHECKING:
    from jupyter_dsage.wire import messages as m
    from jupyter_dsage.wire.codec import Frame


@dataclass(eq=False)
class Chunk:
    """One grant. `order`: it is the worker's so-many-th; `frames`: its message; `over`: done when it is over."""

    worker: int
    order: int
    frames: list[Frame]
    turn: Future[None] = field(default_factory=Future)
    """Done when those before it are over."""
    over: Future[None] = field(default_factory=Future)
    lease: int = 0
    handed: float = 0.0
    """When the room got it (monotonic seconds)."""

    def end(self) -> None:
        """Tell who waits that it is over."""
        self.begin()
        if not self.over.done():
            self.over.set_result(None)

    def begin(self) -> None:
        """Tell who waits that nothing is before it."""
        if not self.turn.done():
            self.turn.set_result(None)


class Chunks:
    """Those that have come and are not over."""

    def __init__(self) -> None:
        self._waiting: dict[int, dict[int, Chunk]] = {}
        """Worker -> order -> a chunk that came before its turn."""
        self._next: dict[int, int] = {}
        self._latest: dict[int, int] = {}
        """Worker -> the lease it was handed last; leases rise."""
        self._running: dict[int, list[Chunk]] = {}
        self._limits: dict[int, int] = {}
        """Lease that has not come -> from which job on it was recalled."""
        self.took: list[tuple[int, int, float]] = []
        """(worker, order, seconds) of those that are over, to be told."""

    def came(self, chunk: Chunk) -> list[Chunk]:
        """Take in a chunk; return those whose turn it is now, cut to what was not recalled."""
        self._waiting.setdefault(chunk.worker, {})[chunk.order] = chunk
        ready = []
        while (following := self._waiting[chunk.worker].pop(self._next.get(chunk.worker, 1), None)) is not None:
            self._next[chunk.worker] = following.order + 1
            self._hand(following)
            ready.append(following)
        return ready

    def _hand(self, chunk: Chunk) -> None:
        message, _ = remote.FROM_ROLE["client"](chunk.frames)
        if not isinstance(message, remote.Grant):
            return  # the room says what is wrong with it
        run = message.run
        chunk.lease, chunk.handed = run.lease, time.monotonic()
        self._latest[chunk.worker] = run.lease
        running = self._running.setdefault(chunk.worker, [])
        running.append(chunk)
        running[0].begin()
        limit = self._limits.pop(run.lease, run.stop)
        if limit < run.stop:
            cut = msgspec.structs.replace(run, stop=max(run.first, limit))
            chunk.frames = codec.encode(msgspec.structs.replace(message, run=cut))

    def expected(self, worker: int, lease: int) -> bool:
        """Tell whether a lease has not come yet."""
        return lease > self._latest.get(worker, 0)

    def recall(self, order: m.Recall) -> None:
        """Cut a lease that has not come yet."""
        self._limits[order.lease] = min(order.first, self._limits.get(order.lease, order.first))

    def ended(self, worker: int, lease: int) -> None:
        """Note that a lease is over."""
        running = self._running.get(worker, [])
        for chunk in [chunk for chunk in running if chunk.lease == lease]:
            running.remove(chunk)
            self.took.append((worker, chunk.order, time.monotonic() - chunk.handed))
            chunk.end()
        if running:
            running[0].begin()

    def gone(self, worker: int) -> None:
        """Note that a worker is gone: all that it had is over."""
        left = [*self._running.pop(worker, []), *self._waiting.pop(worker, {}).values()]
        for known in (self._next, self._latest):
            known.pop(worker, None)
        for chunk in left:
            chunk.end()

    def all_gone(self) -> None:
        """Note that everything ends."""
        for worker in {*self._running, *self._waiting}:
            self.gone(worker)
