"""Between a child and another scheduler's cluster: places its workers there, passes on what is said.

It decides nothing about jobs: the child's scheduler says which worker is to be and gets what. A worker that no place
has room for waits until one has.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.adapters.line import Line
from jupyter_dsage.errors import EngineError
from jupyter_dsage.wire import adapted, codec, remote
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.adapters.cluster import Cluster
    from jupyter_dsage.wire.codec import Frame

log = logging.getLogger(__name__)


class Relay:
    """`say`: sends the child a message, sealed."""

    def __init__(self, cluster: Cluster, wanted: int, say: Callable[[list[Frame]], None]) -> None:
        self._cluster = cluster
        self._wanted = wanted
        self._say = say
        self._granted = 0
        self._lines: dict[str, Line] = {}
        self._homeless: list[int] = []
        """Workers that are to be started as soon as there is a place."""
        self._functions: dict[str, list[Frame]] = {}
        self._segments: dict[int, list[Frame]] = {}
        self._busy: dict[int, int] = {}
        """Segment -> chunks of it under way."""
        self._forgotten: set[int] = set()
        """Segments to forget when no chunk of theirs is under way any more."""
        self._lag = 0.0
        self._parting: set[asyncio.Task[None]] = set()
        self._doubt = asyncio.Event()
        self._settling: dict[str, asyncio.Task[None]] = {}
        """Place -> what makes an agent there."""
        self._refused: dict[str, str] = {}
        """Place -> why no agent can be there."""

    def _tell(self, worker: int, message: m.Message) -> None:
        self._say(remote.seal(remote.Envelope(0, worker, 0), codec.encode(message)))

    # --- places --------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Find the places and greet the child; raises EngineError where the cluster is of no use."""
        await self._look()
        if self._settling:
            await asyncio.wait(self._settling.values(), timeout=settings.AWAY_SECONDS)
        if self._refused and not self._lines:
            raise EngineError(next(iter(self._refused.values())))
        self._granted = self._slots()
        hosts = sorted({line.host for line in self._lines.values()})
        services = {name for line in self._lines.values() for name in line.services}
        self._tell(
            0,
            remote.Admitted(
                resumed=False,
                got=0,
                role="client",
                host=hosts[0] if len(hosts) == 1 else f"{len(hosts)} hosts",
                pid=0,
                slots=self._granted,
                services=tuple(sorted(services)),
                functions=True,
                bulk_port=0,
                certificate="",
            ),
        )

    def _slots(self) -> int:
        return min(self._wanted, sum(line.slots for line in self._lines.values()))

    async def watch(self) -> None:
        """Look around again and again; raises EngineError when the cluster is lost."""
        while True:
            try:
                await asyncio.wait_for(self._doubt.wait(), settings.LOOK_AROUND_SECONDS)
                await asyncio.sleep(settings.OBITUARY_SECONDS)  # whoever reports a loss has heard of it before
            except TimeoutError:
                pass
            self._doubt.clear()
            await self._look()
            self._share()
            self._give_back()

    async def beat(self) -> None:
        """Tell the child again and again that this process lives, also while its cluster does not answer."""
        while True:
            self._tell(0, remote.Beat(0.0))
            await asyncio.sleep(settings.BEAT_SECONDS)

    async def _look(self) -> None:
        """Take in which places there are now."""
        there = await self._cluster.places(self._wanted)
        now = time.monotonic()
        for place, line in list(self._lines.items()):
            if place not in there:
                self._lose(line, f"the end of its {type(self._cluster).__name__.removesuffix('Cluster')} worker")
            elif line.troubled_since and now - line.troubled_since > settings.AWAY_SECONDS:
                self._lose(line, "silence: no call of its place came through")
            else:
                line.slots = there[place]
        for place in self._refused.keys() - there.keys():
            del self._refused[place]
        for place in there.keys() - self._lines.keys() - self._refused.keys() - self._settling.keys():
            self._settling[place] = asyncio.create_task(self._settle(place, there[place]))

    async def _settle(self, place: str, slots: int) -> None:
        try:
            hello = await asyncio.wait_for(self._cluster.settle(place), settings.JOIN_SECONDS)
        except EngineError as error:
            log.warning("%s", error)
            self._refused[place] = str(error)
        except Exception as error:  # noqa: BLE001  (whatever the library raises: no agent is there, and the next look tries)
            log.warning("no agent at %s: %s: %s", place, type(error).__name__, error)
        else:
            self._lines[place] = Line(self._cluster, place, slots, hello, self)
            self._doubt.set()
        finally:
            del self._settling[place]

    def _lose(self, line: Line, why: str) -> None:
        """Tell of a place that is gone with all its workers: nobody knows what they ran."""
        del self._lines[line.place]
        line.close()
        for worker, pid in line.workers.items():
            story = m.Story(worker, line.host, pid, why, 0.0, 0, "")
            self._tell(worker, m.WorkerGone(worker, None, None, story, known=False))

    def _share(self) -> None:
        """Tell the child how many slots it has, if that has changed; place who waits."""
        if (slots := self._slots()) != self._granted:
            self._granted = slots
            self._tell(0, remote.Granted(slots))
        for worker in list(self._homeless):
            self._place(worker)

    def _give_back(self) -> None:
        """Let go of places that nobody needs, where they are taken from others."""
        if not self._cluster.reserves:
            return
        surplus = sum(line.slots for line in self._lines.values()) - self._wanted
        for line in [line for line in self._lines.values() if not line.workers][: max(0, surplus)]:
            del self._lines[line.place]
            line.close()
            self._parting = {task for task in self._parting if not task.done()}
            self._parting.add(asyncio.create_task(self._part(line.place)))

    def _place(self, worker: int) -> None:
        free = [line for line in self._lines.values() if len(line.workers) < line.slots]
        if not free:
            if worker not in self._homeless:
                self._homeless.append(worker)
            return
        if worker in self._homeless:
            self._homeless.remove(worker)
        line = max(free, key=lambda line: line.slots - len(line.workers))
        line.workers[worker] = 0
        line.tell(0, codec.encode(m.SpawnWorker(worker)))

    def _line_of(self, worker: int) -> Line | None:
        return next((line for line in self._lines.values() if worker in line.workers), None)

    # --- from the child ------------------------------------------------------------------------------------

    def hear(self, worker: int, frames: list[Frame]) -> None:
        """Take a message of the child."""
        message = adapted.from_child.header(frames[0])
        match message:
            case m.Function() | m.Service():
                self._functions[message.function] = frames
            case remote.Segment():
                self._segments[message.segment] = frames
            case remote.Forget():
                self._forget(set(message.segments))
            case remote.Grant():
                self._grant(worker, message, frames)
            case m.SpawnWorker():
                self._place(message.worker)
            case remote.WantSlots():
                self._wanted = message.slots
                self._granted = -1  # it is answered in any case
                self._share()
            case m.Leave():
                self._order(worker, worker, frames)
            case m.KillWorker() | m.Recall() | m.EndJob() | m.ReadOutput():
                self._order(message.worker, 0, frames)
            case _:
                log.warning("a %s message does not belong here", type(message).__name__)

    def _order(self, about: int, to: int, frames: list[Frame]) -> None:
        line = self._line_of(about)
        if line is not None:
            line.tell(to, frames)
        elif about in self._homeless:
            self._homeless.remove(about)
            story = m.Story(about, "", 0, "no place: it was not needed any more", 0.0, 0, "")
            self._tell(about, m.WorkerGone(about, None, None, story))

    def _grant(self, worker: int, grant: remote.Grant, frames: list[Frame]) -> None:
        line = self._line_of(worker)
        if line is None:
            return  # its loss is on the way to the child
        function, segment = grant.run.function, grant.run.segment
        if function not in line.functions:
            line.functions.add(function)
            line.deposit(self._functions[function])
        if segment not in line.segments:
            line.segments.add(segment)
            line.deposit(self._segments[segment])
        self._busy[segment] = self._busy.get(segment, 0) + 1
        line.run(worker, frames).add_done_callback(lambda _: self._unbusy(segment))

    def _unbusy(self, segment: int) -> None:
        self._busy[segment] -= 1
        if not self._busy[segment]:
            del self._busy[segment]
            self._forget(self._forgotten & {segment})

    def _forget(self, segments: set[int]) -> None:
        self._forgotten |= segments & self._busy.keys()
        segments -= self._busy.keys()
        self._forgotten -= segments
        for segment in segments:
            self._segments.pop(segment, None)
        for line in self._lines.values():
            if theirs := segments & line.segments:
                line.segments -= theirs
                line.tell(0, codec.encode(remote.Forget(tuple(theirs))))

    # --- from the lines (`line.Owner`) -----------------------------------------------------------------------

    def told(self, line: Line, letter: list[Frame]) -> None:
        """See `line.Owner`."""
        message = adapted.from_adapter.header(letter[1])
        if isinstance(message, m.WorkerHello):
            line.workers[message.worker] = message.pid
        elif isinstance(message, m.WorkerGone):
            line.workers.pop(message.worker, None)
        self._say(letter)
        if isinstance(message, m.WorkerGone):
            self._share()

    def lagged(self, seconds: float) -> None:
        """See `line.Owner`."""
        self._lag = min(seconds, 1.0) if not self._lag else self._lag + 0.3 * (min(seconds, 1.0) - self._lag)
        self._tell(0, adapted.Lag(self._lag))

    def doubtful(self, line: Line) -> None:  # noqa: ARG002
        """See `line.Owner`."""
        self._doubt.set()

    # --- the end -------------------------------------------------------------------------------------------

    async def part(self) -> None:
        """Have all agents leave, and wait until everything is gone that they had."""
        places = self.let_go()
        await asyncio.gather(*self._parting, *(self._part(place) for place in places), return_exceptions=True)

    def let_go(self) -> list[str]:
        """Have no more to do with any agent; return where they are."""
        lines, self._lines = self._lines, {}
        for settling in self._settling.values():
            settling.cancel()
        for line in lines.values():
            line.close()
        return list(lines)

    async def _part(self, place: str) -> None:
        while not await self._cluster.part(place):  # noqa: ASYNC110  (what is waited for is in another process)
            await asyncio.sleep(settings.HEAVY_SECONDS)
