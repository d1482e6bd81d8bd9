"""Engines and workers as the scheduler sees them: who can take a lease, who is being replaced, and when."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from jupyter_dsage import settings


class Stage(Enum):
    """Where a worker stands in its life."""

    STARTING = "starting"
    READY = "ready"
    RETIRING = "retiring"
    """Takes no more leases; leaves when its last one has ended."""
    STOPPING = "stopping"
    """Was told to leave (or is being killed); its exit will be told."""


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
    segments: OrderedDict[int, None] = field(default_factory=OrderedDict)
    """Segments in its memory, least recently used first."""
    proven: bool = False
    """It has told something: it can do its work."""
    place: tuple[int, int] | None = None
    """(batch, job) after its last lease: where it goes on when segments matter."""

    def holds(self, segment: int) -> tuple[bool, tuple[int, ...]]:
        """Note that the segment is used; return whether it was there, and which ones are to be dropped."""
        had = segment in self.segments
        self.segments[segment] = None
        self.segments.move_to_end(segment)
        drop = []
        while len(self.segments) > settings.SEGMENTS_HELD:
            drop.append(self.segments.popitem(last=False)[0])
        return had, tuple(drop)


@dataclass(slots=True)
class Engine:
    """A place that has slots. `births`: workers in a row that died before they told anything."""

    name: str
    slots: int
    births: int = 0
    due: list[float] = field(default_factory=list)
    """When to start the workers that are missing."""
    failure: Any = None
    """The story of why it cannot start workers; None while it can."""
    last_story: Any = None

    def backoff(self) -> float:
        """Return the seconds to wait before the next start: none at first, then doubling."""
        if self.births == 0:
            return 0.0
        return float(settings.BIRTH_BACKOFF_SECONDS * 2 ** (self.births - 1))


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

    def missing(self, engine: Engine) -> int:
        """Return how many workers an engine has less than slots."""
        return engine.slots - sum(worker.engine == engine.name for worker in self.workers.values())

    def slots(self) -> int:
        """Return the slots of all engines that can start workers."""
        return sum(engine.slots for engine in self.engines.values() if engine.failure is None)

    def hopeless(self) -> Any:
        """Return the story of the failure when no engine can run anything, else None."""
        if not self.engines or self.workers:
            return None
        if all(engine.failure is not None for engine in self.engines.values()):
            return next(iter(self.engines.values())).failure
        return None
