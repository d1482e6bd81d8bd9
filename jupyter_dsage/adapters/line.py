"""The line to one agent: orders out in order, news in, chunks as the other scheduler's tasks."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from typing import TYPE_CHECKING, Protocol, TypeVar

from jupyter_dsage import settings
from jupyter_dsage.adapters.parcel import Parcel
from jupyter_dsage.wire import codec, remote
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from jupyter_dsage.adapters.agent import Hello
    from jupyter_dsage.adapters.cluster import Cluster
    from jupyter_dsage.wire.codec import Frame

log = logging.getLogger(__name__)

T = TypeVar("T")


class Owner(Protocol):
    """Who has the lines; see `relay.Relay`."""

    def told(self, line: Line, letter: list[Frame]) -> None:
        """Take one message of an agent, sealed."""

    def lagged(self, seconds: float) -> None:
        """Take what the other scheduler needed for a chunk, beyond its jobs."""

    def doubtful(self, line: Line) -> None:
        """Look at once whether a place is still there."""


class Line:
    """One agent, from the moment when it is there."""

    def __init__(self, cluster: Cluster, place: str, slots: int, hello: Hello, owner: Owner) -> None:
        self.place = place
        self.slots = slots
        self.host = hello.host
        self.services = hello.services
        self.workers: dict[int, int] = {}
        """Worker -> its pid, 0 until it has joined."""
        self.functions: set[str] = set()
        self.segments: set[int] = set()
        self._cluster = cluster
        self._owner = owner
        self._out: list[list[Frame]] = []
        self._sent = 0
        self._some = asyncio.Event()
        self._orders: dict[int, int] = {}
        self._under_way: dict[tuple[int, int], tuple[float, bool]] = {}
        """(worker, order) -> when that chunk was given to the scheduler, and whether it was its worker's only one."""
        self.troubled_since = 0.0
        """Since when no call of it has come through (monotonic seconds), 0 while they do."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._begin(self._pump())
        self._begin(self._poll())

    def _begin(self, what: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the line to %s: %s: %s", self.place, type(error).__name__, error)

    def close(self) -> None:
        """Let go of the agent."""
        for task in list(self._tasks):
            task.cancel()

    # --- out -----------------------------------------------------------------------------------------------

    def tell(self, worker: int, frames: list[Frame]) -> None:
        """Send the agent a message, in order with those before it."""
        self._out.append(remote.seal(remote.Envelope(0, worker, 0), frames))
        self._some.set()

    def deposit(self, frames: list[Frame]) -> None:
        """Send the agent a payload that its workers share."""
        if sum(memoryview(frame).nbytes for frame in frames) <= settings.CARRIED_BYTES:
            self.tell(remote.DEPOSIT, frames)
        else:
            self._begin(self._carry(frames))

    async def _carry(self, frames: list[Frame]) -> None:
        await self._call(functools.partial(self._cluster.carry, self.place, Parcel([frames])))

    async def _pump(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            while self._out:
                letters, self._out = self._out, []
                parcel = Parcel(letters, self._sent + 1)
                self._sent += len(letters)
                await self._call(functools.partial(self._cluster.tell, self.place, parcel))

    async def _call(self, what: Callable[[], Awaitable[T]]) -> T:
        """Make a call of the agent until it comes through; this line is closed if it never does."""
        while True:
            try:
                answer = await what()
            except Exception as error:  # noqa: BLE001  (whatever the library raises: the call did not come through)
                log.info("a call of %s did not come through: %s: %s", self.place, type(error).__name__, error)
                self.troubled_since = self.troubled_since or time.monotonic()
                self._owner.doubtful(self)
                await asyncio.sleep(settings.GUARD_SECONDS)
            else:
                self.troubled_since = 0.0
                return answer

    # --- chunks --------------------------------------------------------------------------------------------

    def run(self, worker: int, frames: list[Frame]) -> asyncio.Task[None]:
        """Have a chunk run as a task of the scheduler."""
        order = self._orders[worker] = self._orders.get(worker, 0) + 1
        alone = not any(other == worker for other, _ in self._under_way)
        self._under_way[worker, order] = time.monotonic(), alone
        task = asyncio.create_task(self._run(worker, order, frames))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def _run(self, worker: int, order: int, frames: list[Frame]) -> None:
        try:
            await self._cluster.run(self.place, worker, order, frames)
        except Exception as error:  # noqa: BLE001  (whatever the library raises: nobody knows what ran)
            log.warning("a chunk of worker %d: %s: %s", worker, type(error).__name__, error)
            self._owner.doubtful(self)
            if worker in self.workers:
                self.tell(0, codec.encode(m.KillWorker(worker)))
        finally:
            self._under_way.pop((worker, order), None)

    # --- in ------------------------------------------------------------------------------------------------

    async def _poll(self) -> None:
        after = 0
        while True:
            news = await self._call(functools.partial(self._cluster.news, self.place, after))
            after = news.number
            for worker, order, seconds in news.took:
                began, alone = self._under_way.get((worker, order), (0.0, False))
                if alone:
                    self._owner.lagged(max(0.0, time.monotonic() - began - seconds))
            for letter in news.letters:
                self._owner.told(self, letter)
