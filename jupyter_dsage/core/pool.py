"""Engines and workers as the scheduler sees them: who can take a lease, who is being replaced, and when."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from jupyter_dsage import settings
from jupyter_dsage.core.wants import NOTHING, Wants

if TYPE_CHECKING:
    from collections.abc import Collection

    from jupyter_dsage.core.batch import Batch


class Stage(Enum):
    """Where a worker stands in its life."""

    STARTING = "starting"
    READY = "ready"
    RETIRING = "retiring"
    """Takes no more leases; leaves when its last one has ended."""
    STOPPING = "stopping"
    """Was told to leave (or is being killed); its exit will be told."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What an engine can do, as it declared when it opened."""

    functions: bool = True
    """It runs any function; else only services, called with plain data."""
    services: frozenset[str] = frozenset()
    """The services registered at its workers."""
    interrupt: bool = True
    """It can end a running job."""
    scale: bool = True
    """Its slots can be changed."""

    def take(self, service: str | None) -> bool:
        """Tell whether jobs that call this service (None: a function) can run there."""
        return self.functions if service is None else service in self.services


@dataclass(slots=True)
class Worker:
    """A worker. `due`: when a starting worker must have joined."""

    number: int
    engine: str
    due: float
    stage: Stage = Stage.STARTING
    leases: list[int] = field(default_factory=list)
    """Lease numbers in the order they were sent; the first is the one that runs."""
    functions: set[str] = field(default_factory=set)
    segments: OrderedDict[int, bool] = field(default_factory=OrderedDict)
    """Segments in its memory, least recently used first, each with whether it has only one job."""
    proven: bool = False
    """It has told something: it can do its work."""
    refused: tuple[int, int | None, Any] | None = None
    """The lease of which it told what cannot be true, the first job of that without an outcome, and the story."""
    place: tuple[int, int] | None = None
    """(batch, job) after its last lease: where it goes on when segments matter."""
    held: list[int] = field(default_factory=list)
    """The leases that lapsed when its host fell silent, and that it may still be running."""
    outdated: bool = False
    """New workers were asked for while it was starting, so it leaves as soon as it has joined."""
    idle_since: float | None = None
    """Since when it has had no work, where its engine lets go of such workers."""

    def holds(self, segment: int, *, lone: bool, leased: Collection[int]) -> tuple[bool, tuple[int, ...]]:
        """Note that the segment is used; return whether it was there, and which ones are to be dropped.

        `lone`: it has only one job, so that nothing brings the worker back to it when its lease has ended; it may be
        large, and who wrote it writes into it again. `leased`: the segments of all of its leases.
        """
        had = segment in self.segments
        self.segments[segment] = lone
        self.segments.move_to_end(segment)
        drop = [] if self.held else [held for held, alone in self.segments.items() if alone and held not in leased]
        for one in drop:
            del self.segments[one]
        while len(self.segments) > settings.SEGMENTS_HELD:
            drop.append(self.segments.popitem(last=False)[0])
        return had, tuple(drop)


@dataclass(slots=True)
class Engine:
    """A place that has slots. `births`: workers in a row that died before they told anything."""

    name: str
    slots: int
    can: Abilities = field(default_factory=Abilities)
    latency: float = 0.0
    """Seconds a message takes there and back."""
    opened: bool = True
    """It has said what it can do; before that it is being connected to."""
    away: bool = False
    """Its host is silent: nobody knows how its workers are, and their jobs were moved."""
    leaving: bool = False
    """It is being removed, and goes when its last worker has."""
    births: int = 0
    fell: tuple[float, int] = (float("-inf"), 0)
    """When workers died together last, and what `births` was before."""
    loads: int = 0
    """Workers in a row that were lost while they loaded a function, before they told anything."""
    due: list[float] = field(default_factory=list)
    """When to start the workers that are missing."""
    failure: Any = None
    """The story of why it cannot start workers; None while it can."""
    last_story: Any = None
    resources: dict[str, int] = field(default_factory=dict)
    """What it has for its jobs, by name: no more is ever taken at once."""
    idle: float = 0.0
    """Seconds without work after which a worker leaves (0: it stays)."""
    resting: int = 0
    """Slots whose workers have left for want of work."""

    @property
    def state(self) -> str:
        """Return where it stands, in one word for people."""
        if self.failure is not None:
            return "failed"
        if self.leaving:
            return "leaving"
        return "away" if self.away else "open" if self.opened else "connecting"

    @property
    def at_work(self) -> bool:
        """Whether its workers can be given leases."""
        return self.opened and not self.away and not self.leaving and self.failure is None

    def suits(self, wants: Wants) -> bool:
        """Tell whether it is one of those that are wanted, and has as much as one job wants."""
        return wants is NOTHING or (wants.name(self.name) and wants.times(self.resources, 1) > 0)

    def takes(self, batch: Batch) -> bool:
        """Tell whether it can run jobs of a batch, some of them at least."""
        return self.suits(batch.wants) and any(map(self.can.take, batch.kinds))

    def backoff(self) -> float:
        """Return the seconds to wait before the next start: none at first, then doubling.

        Less, and no more than `LOAD_BACKOFFS` times, where what a job needs was to blame: other jobs wait meanwhile.
        """
        times = max(self.births, min(self.loads - 1, settings.LOAD_BACKOFFS))
        return float(settings.BIRTH_BACKOFF_SECONDS * 2 ** (times - 1)) if times > 0 else 0.0


class Pool:
    """All engines and workers of a session."""

    __slots__ = ("_next", "engines", "starting", "workers")

    def __init__(self) -> None:
        self.engines: dict[str, Engine] = {}
        self.workers: dict[int, Worker] = {}
        self.starting: dict[int, Worker] = {}
        """Those of them that have not joined: few, and looked through at every event."""
        self._next = 1

    def new_worker(self, engine: str, due: float) -> Worker:
        """Add a starting worker to an engine, under a number never used before."""
        worker = Worker(self._next, engine, due)
        self._next += 1
        self.workers[worker.number] = self.starting[worker.number] = worker
        return worker

    def remove(self, number: int) -> Worker | None:
        """Take a worker out and return it, or None if it is not there."""
        self.starting.pop(number, None)
        return self.workers.pop(number, None)

    def of(self, engine: str) -> list[Worker]:
        """Return the workers of an engine."""
        return [worker for worker in self.workers.values() if worker.engine == engine]

    def stage_of(self, worker: Worker) -> str:
        """Return where a worker stands, in one word for people: nobody knows it of one whose engine is away."""
        return "away" if self.engines[worker.engine].away else worker.stage.value

    def missing(self, engine: Engine) -> int:
        """Return how many workers an engine has less than slots that are not resting (below 0: more)."""
        return engine.slots - engine.resting - len(self.of(engine.name))

    def slots(self, wants: Wants = NOTHING) -> int:
        """Return how many jobs that want this can run at once at the engines that are at work."""
        return sum(
            wants.times(engine.resources, engine.slots)
            for engine in self.engines.values()
            if engine.at_work and wants.name(engine.name)
        )

    def able(self, service: str | None, wants: Wants) -> list[Engine]:
        """Return the engines that can run jobs of this kind, and those of which that is not known yet."""
        suited = [engine for engine in self.engines.values() if engine.suits(wants)]
        return [engine for engine in suited if not engine.opened or engine.can.take(service)]

    def hopeless(self, service: str | None, wants: Wants) -> bool:
        """Tell whether no engine can run jobs of this kind now, nor may come to.

        Nothing is hopeless before an engine was reached: the next that is told of may be what jobs wait for.
        """
        able = self.able(service, wants)
        if any(engine.failure is None for engine in able):
            return False
        if all(engine.state == "connecting" for engine in self.engines.values()):
            return False
        at_work = {worker.engine for worker in self.workers.values()}
        return not any(engine.name in at_work for engine in able)
