"""What runs inside a worker of another scheduler: one child's room there, and the adapter's way to it.

The jobs themselves run in workers of our own beside that process, forked by a supervisor that this one starts; so they
are ended, limited, blamed and listened to as anywhere. One thread serves the room; what the other scheduler calls here
(`tell`, `grant`, `news`) only hands over. An agent that its adapter is silent to for long lets go of all it has.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import os
import queue
import shutil
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

from msgspec import Struct

from jupyter_dsage import settings
from jupyter_dsage.adapters.chunks import Chunk, Chunks
from jupyter_dsage.adapters.parcel import Parcel
from jupyter_dsage.errors import ProtocolError
from jupyter_dsage.net.runtime import runtime_folder
from jupyter_dsage.net.unix_transport import UnixNetwork
from jupyter_dsage.net.url_parts import MOST_SLOTS
from jupyter_dsage.services import SHIPPED
from jupyter_dsage.store.sessions import new_host_folder
from jupyter_dsage.wire import codec, remote, segments
from jupyter_dsage.wire import messages as m
from jupyter_dsage.worker.reception import check_versions
from jupyter_dsage.worker.room import Room

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_dsage.wire.codec import Frame

log = logging.getLogger(__name__)

Place = tuple[str, tuple[str, ...]]
"""The working directory and the import path of the workers; empty: those of the process the agent is in."""


class Hello(Struct, frozen=True, array_like=True):
    """What an agent says of itself when it is there."""

    host: str
    pid: int
    services: tuple[str, ...]


class Agent:
    """`dial`: the child's greeting, as a message."""

    def __init__(self, dial: remote.Dial, place: Place = ("", ())) -> None:
        check_versions(dial, f"a worker on {socket.gethostname()}")
        self._poller = UnixNetwork().poller()
        self._inbox: queue.SimpleQueue[Chunk | tuple[int, list[Frame]]] = queue.SimpleQueue()
        self._taken = 0
        """Up to which number messages have come."""
        self._lock = threading.Lock()
        self._news: collections.deque[tuple[int, list[Frame]]] = collections.deque()
        """(number, message) for the adapter, kept until it says that it has them."""
        self._numbers = 0
        self._waiter: asyncio.Event | None = None
        self._waiter_loop: asyncio.AbstractEventLoop | None = None
        self._over: dict[int, int] = {}
        """Worker -> how many of its chunks are over."""
        self._chunks = Chunks()
        self._silent = 0.0
        """Seconds since the adapter was heard, in capped steps: a process that was held up itself blames nobody."""
        self.leaving = False
        """Whether it lets go of everything, or has."""
        self.kept_bytes = 0
        cwd, path = place
        self._folder = new_host_folder(runtime_folder())
        place = cwd or os.getcwd(), path or tuple(sys.path)  # noqa: PTH109
        setup = m.SupervisorSetup("", self._folder, *place, follow=bool(path))
        self._room: Room[Agent] = Room(dial, "client", b"", setup, UnixNetwork(), self._poller, log, self)
        self._room.slots = MOST_SLOTS
        self._thread = threading.Thread(target=self._serve, name="dsage-agent", daemon=True)
        self._thread.start()

    def hello(self) -> Hello:
        """Return what it says of itself."""
        return Hello(socket.gethostname(), os.getpid(), tuple(sorted(SHIPPED)))

    # --- called by the other scheduler, on its threads -------------------------------------------------------

    def tell(self, parcel: Parcel) -> None:
        """Take in messages, numbered in order; those that have come before are left."""
        with self._lock:
            for number, (envelope, *frames) in enumerate(parcel.letters, parcel.number):
                if number > self._taken:
                    self._taken = number
                    self._inbox.put((remote.unseal([envelope, *frames])[0].worker, frames))
        self._heard()

    def carry(self, parcel: Parcel) -> None:
        """Take in large payloads, which are in no order with anything."""
        for letter in parcel.letters:
            self._inbox.put((remote.DEPOSIT, letter))
        self._heard()

    def grant(self, worker: int, order: int, letter: list[Frame]) -> tuple[Chunk, bool]:
        """Take in a worker's next chunk; return it, and whether one before it is not over."""
        chunk = Chunk(worker, order, letter)
        with self._lock:
            if self.leaving:
                chunk.end()
                return chunk, False
            behind = order > self._over.get(worker, 0) + 1
            self._inbox.put(chunk)
        self._poller.wake()
        return chunk, behind

    async def news(self, after: int) -> Parcel:
        """Return what is new behind number `after`, at once or when there is something; what is before it has come."""
        self._heard()
        with self._lock:
            while self._news and self._news[0][0] <= after:
                self._news.popleft()
            event = None
            if not self._news and not self._chunks.took and not self.leaving:
                event = self._waiter = asyncio.Event()
                self._waiter_loop = asyncio.get_running_loop()
        if event is not None:
            try:
                await asyncio.wait_for(event.wait(), settings.NEWS_SECONDS)
            except TimeoutError:
                log.debug("there is no news")
        return self._bundle(after)

    def _bundle(self, after: int) -> Parcel:
        letters: list[list[Frame]] = []
        size, number = 0, after
        with self._lock:
            for number, letter in self._news:  # noqa: B007  (the last one counts)
                letters.append(letter)
                size += sum(memoryview(frame).nbytes for frame in letter)
                if size > settings.NEWS_BYTES:
                    break
            took, self._chunks.took = self._chunks.took, []
        return Parcel(letters, number, tuple(took))

    def leave(self) -> None:
        """Let go of everything."""
        with self._lock:
            self.leaving = True
        self._poller.wake()

    def wait_gone(self, seconds: float) -> bool:
        """Wait until everything is gone that it had; tell whether it is."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _heard(self) -> None:
        self._silent = 0.0
        self._poller.wake()

    # --- the thread ----------------------------------------------------------------------------------------

    def _serve(self) -> None:
        before = time.monotonic()
        try:
            while not self.leaving:
                due = self._room.next_due()
                ready = self._poller.wait(min(1.0, max(0.0, (due or before + 1.0) - time.monotonic())))
                self._room.read(ready)
                self._room.hear()
                now = time.monotonic()
                self._silent, before = self._silent + min(now - before, 1.0), now
                if self._silent > settings.ADAPTER_SILENT_SECONDS:
                    log.warning("the adapter of %s has been silent for long: its workers end", self._room.name)
                    self.leaving = True
        except Exception:  # whatever it is, its workers end, and the adapter finds no agent any more
            log.exception("the agent of %s ends because of a defect; please report it", self._room.name)
        finally:
            self._end()

    def _end(self) -> None:
        with self._lock:
            self.leaving = True
        self._room.leave()
        self._room.wait_gone(settings.DIE_SECONDS - 1)
        shutil.rmtree(self._folder, ignore_errors=True)
        while not self._inbox.empty():
            if isinstance(chunk := self._inbox.get(), Chunk):
                chunk.end()
        self._chunks.all_gone()
        self._wake_waiter()
        self._poller.close()
        segments.drop_spare()

    # --- the room's way to the child (`room.Talking`) --------------------------------------------------------

    def heard(self) -> Iterator[tuple[int, list[Frame]]]:
        """See `room.Talking`."""
        while not self._inbox.empty():
            got = self._inbox.get()
            if isinstance(got, Chunk):
                yield from self._came(got)
                continue
            message = remote.FROM_ROLE["client"].header(got[1][0])
            if isinstance(message, m.Recall | m.EndJob) and self._chunks.expected(message.worker, message.lease):
                if isinstance(message, m.Recall) and message.worker in self._room.workers:
                    self._chunks.recall(message)
                    self.post(0, m.Recalled(message.worker, message.lease, message.first))
                continue
            yield got

    def _came(self, chunk: Chunk) -> Iterator[tuple[int, list[Frame]]]:
        if chunk.worker not in self._room.workers:  # it has died meanwhile
            chunk.end()
            return
        for ready in self._chunks.came(chunk):
            yield ready.worker, ready.frames

    def post(self, worker: int, message: m.Message, *frames: Frame) -> None:
        """See `room.Talking`."""
        letter = remote.seal(remote.Envelope(0, worker, 0), codec.encode(message, *frames))
        with self._lock:
            self._numbers += 1
            self._news.append((self._numbers, letter))
            if isinstance(message, m.Report) and message.ended:
                self._over[worker] = self._over.get(worker, 0) + 1
                self._chunks.ended(worker, message.lease)
            elif isinstance(message, m.WorkerGone):
                self._over.pop(worker, None)
                self._chunks.gone(worker)
        self._wake_waiter()

    def _wake_waiter(self) -> None:
        with self._lock:
            event, self._waiter = self._waiter, None
        if event is not None and self._waiter_loop is not None and not self._waiter_loop.is_closed():
            self._waiter_loop.call_soon_threadsafe(event.set)

    def disconnect(self) -> None:
        """See `room.Talking`."""


_agents: dict[str, Agent] = {}
"""The agents in this process, by their children's tokens."""


def settle(greeting: list[bytes], place: Place = ("", ())) -> Hello:
    """Make the agent of a child that greets; raises VersionMismatchError."""
    dial, _ = remote.FROM_ROLE["client"](greeting)
    if not isinstance(dial, remote.Dial):
        raise ProtocolError("The first message is the child's greeting.")
    for token in [token for token, agent in _agents.items() if agent.wait_gone(0)]:
        del _agents[token]
    agent = _agents[dial.token] = Agent(dial, place)
    return agent.hello()


def found(token: str) -> Agent:
    """Return a child's agent; raises LookupError where it has ended."""
    agent = _agents.get(token)
    if agent is None or agent.leaving:
        raise LookupError("There is no agent of this child any more.")
    return agent


def part(token: str) -> bool:
    """Have a child's agent leave; tell whether all is gone that it had."""
    agent = _agents.get(token)
    if agent is None:
        return True
    agent.leave()
    if not agent.wait_gone(0):
        return False
    del _agents[token]
    return True
