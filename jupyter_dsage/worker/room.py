"""One child's place on a host: its supervisor and workers there, its payloads, and what they have to tell it.

Worker servers have one a child, which outlives its connections by `linger`; so have agents inside the workers of other
schedulers. It decides nothing: leases go to the workers they are for, once the host has what they need; what workers
tell goes to the child, now or on its next connection.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from jupyter_dsage import settings
from jupyter_dsage.errors import PeerGoneError, ProtocolError
from jupyter_dsage.net.local_host import LocalHost
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire import remote

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection, Iterator

    from jupyter_dsage.net.transport import Network, Peer, Poller, Source
    from jupyter_dsage.wire.codec import Frame

    Payload = tuple[m.Function | m.Service, list[Frame]]


class Talking(Protocol):
    """What is said to the child and heard from it; `net.talk.Talk`, where a link goes to another host."""

    @property
    def kept_bytes(self) -> int:
        """Bytes that were said and have not arrived yet."""

    def post(self, worker: int, message: m.Message, *frames: Frame) -> None:
        """Tell the child something, now or when it can be reached again."""

    def heard(self) -> Iterator[tuple[int, list[Frame]]]:
        """Yield the messages that have come: (whom it is for, frames)."""

    def disconnect(self) -> None:
        """Let go of the child."""


T = TypeVar("T", bound=Talking)


class Room(Generic[T]):
    """Made when a child is admitted for the first time."""

    def __init__(
        self,
        dial: remote.Dial,
        role: str,
        key: bytes,
        setup: m.SupervisorSetup,
        network: Network,
        poller: Poller,
        log: logging.Logger,
        talk: T,
        most: int | None = None,
    ) -> None:
        self.name = f"child {dial.token[:6]} ({role})"
        """For the log."""
        self.token = dial.token
        self.role = role
        self.key = key
        self.wanted = dial.slots
        self.linger = dial.linger
        self.lineage = dial.lineage
        self.certificate = dial.certificate
        self.squeezes = dial.squeezes
        self.slots = 0
        """How many workers it may have; the server says."""
        self.peer: Peer | None = None
        """The connection of now; None while the link is down."""
        self.heard_at = 0.0
        self.over = False
        """Whether the child said that it needs the place no more."""
        self.talk = talk
        self._log = log
        self._host = LocalHost(setup, network, poller, log)
        self.workers: set[int] = set()
        self._functions: dict[str, Payload] = {}
        self._segments: dict[int, Frame] = {}
        self._segment_bytes = 0
        self._most = most
        self._forgotten: set[int] = set()
        """Segments to forget that have not come yet."""
        self._grants: dict[int, collections.deque[remote.Grant | m.Leave]] = {}
        """Worker -> what waits for it until the host has the payloads."""

    # --- from the child ------------------------------------------------------------------------------------

    def hear(self) -> None:
        """Take in what has come from the child; raises ProtocolError for nonsense."""
        decode = remote.FROM_ROLE[self.role]
        for worker, frames in self.talk.heard():
            message, payload = decode(frames)
            try:
                self._obey(worker, message, payload)
            except PeerGoneError as error:
                self._log.info("%s: %s", type(message).__name__, error)
            self._check_most()

    def _check_most(self) -> None:
        """Raise ProtocolError for a caller that fills the server's memory; a client could run code anyway."""
        if self._most is None:
            return
        size = self._segment_bytes + self.talk.kept_bytes
        things = len(self._functions) + len(self._forgotten) + sum(map(len, self._grants.values()))
        if size > self._most or things > settings.MAX_CALLER_THINGS:
            raise ProtocolError(
                f"A caller may have {self._most:,} bytes at this server: take outcomes, and send less at a time."
            )

    def _obey(self, worker: int, message: m.Message, frames: list[Frame]) -> None:
        match message:
            case remote.Grant() | m.Leave():
                self._grants.setdefault(worker, collections.deque()).append(message)
                self._pump(worker)
            case m.Function() | m.Service():
                self._functions[message.function] = (message, frames)
                self._pump_all()
            case remote.Segment():
                self._forget({message.segment} & self._segments.keys())
                self._segments[message.segment] = frames[0]
                self._segment_bytes += memoryview(frames[0]).nbytes
                self._pump_all()
                self._forget(self._forgotten & {message.segment})
            case remote.Forget():
                self._forgotten |= set(message.segments) - self._segments.keys()
                self._forget(set(message.segments) & self._segments.keys())
            case m.SpawnWorker():
                self._spawn(message.worker)
            case m.KillWorker() | m.Recall() | m.EndJob() | m.ReadOutput():
                if message.worker in self.workers:
                    self._host.order(message)
            case remote.WantSlots():
                self.wanted = message.slots
            case remote.Part():
                self.over = True
            case _:
                raise ProtocolError(f"A {type(message).__name__} message does not belong here.")

    def _spawn(self, worker: int) -> None:
        if worker in self.workers:
            raise ProtocolError(f"Worker {worker} is there already.")
        if len(self.workers) < self.slots:
            self.workers.add(worker)
            self._host.spawn(worker)
            return
        story = m.Story(worker, "", 0, f"no slot: {self.slots} are granted, and all are taken", 0.0, 0, "")
        self.talk.post(worker, m.WorkerGone(worker, None, None, story))

    def _forget(self, segments: set[int]) -> None:
        self._forgotten -= segments
        for segment in segments:
            self._segment_bytes -= memoryview(self._segments.pop(segment)).nbytes

    def _pump_all(self) -> None:
        for worker in list(self._grants):
            self._pump(worker)

    def _pump(self, worker: int) -> None:
        """Send a worker what waits for it, in order, as far as the payloads are here."""
        waiting = self._grants[worker]
        while waiting:
            first = waiting[0]
            if isinstance(first, remote.Grant):
                if first.with_function and first.run.function not in self._functions:
                    return
                if first.with_segment and first.run.segment not in self._segments:
                    return
            waiting.popleft()
            try:
                self._pass_on(worker, first)
            except PeerGoneError as error:
                self._log.info("worker %d: %s", worker, error)
        del self._grants[worker]

    def _pass_on(self, worker: int, message: remote.Grant | m.Leave) -> None:
        if isinstance(message, m.Leave):
            self._host.send(worker, message)
            return
        if message.with_function:
            function, frames = self._functions[message.run.function]
            self._host.send(worker, function, *frames)
        segment = [self._segments[message.run.segment]] if message.with_segment else []
        self._host.send(worker, message.run, *segment)

    # --- from the workers ----------------------------------------------------------------------------------

    def read(self, ready: Collection[Source]) -> None:
        """Pass on what workers and supervisor tell."""
        for worker, message, frames in self._host.read(ready):
            if isinstance(message, m.WorkerGone):
                self.workers.discard(worker)
                self._grants.pop(worker, None)
            self.talk.post(worker, message, *frames)

    def next_due(self) -> float | None:
        """Return when `read` has something to tell though nothing arrives, or None."""
        return self._host.next_due()

    # --- the end -------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """Let go of the child and of all workers."""
        self.talk.disconnect()
        self._host.leave()

    def wait_gone(self, seconds: float) -> None:
        """Wait until supervisor and workers are gone, and what they left."""
        self._host.wait_gone(seconds)
