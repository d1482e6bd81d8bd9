"""One run: one workload on one peer, in a process of its own. What workloads are given, and fill with figures."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.peers.peer import Peer

WORKERS = 2


@dataclass
class Run:
    """`name`: the peer's; `scale`: all counts times this; `quick`: one repeat each, and fewer jobs for slow peers."""

    name: str
    peer: Peer
    scale: float = 1.0
    quick: bool = False
    figures: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    started: bool = False

    @property
    def ours(self) -> bool:
        """Tell whether this measures us."""
        return self.name.startswith("dsage")

    def count(self, jobs: int, most: int | None = None, least: int = 1) -> int:
        """Return how many jobs to run, and note it where a slow peer gets fewer."""
        wanted = max(least, int(jobs * self.scale))
        if most is not None and self.quick and not self.ours:
            most //= 5
        count = wanted if most is None else max(least, min(wanted, most))
        if count < wanted:
            self.notes.append(f"{count:,} jobs instead of {wanted:,}")
        return count

    def add(self, figure: str, *values: float) -> None:
        """Note a figure; several values are several measurements of it."""
        self.figures.setdefault(figure, []).extend(values)

    def open(self) -> Peer:
        """Start the peer, wait for its workers, and warm it up."""
        from tests.benchmarks import jobs

        self.start()
        self.peer.ready()
        self.peer.map_many(jobs.noop, range(50))
        return self.peer

    def start(self) -> None:
        """Start the peer, which is stopped when the run ends."""
        self.started = True
        self.peer.start(WORKERS)

    def repeat(self, once: Callable[[], float], most: int = 3, seconds: float = 4.0) -> list[float]:
        """Return what `once` measures, several times, as long as that takes no more than some seconds."""
        began = time.perf_counter()
        measured = [once()]
        while len(measured) < (1 if self.quick else most) and time.perf_counter() - began < seconds:
            measured.append(once())
        return measured


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that a call takes, and what it returns."""
    began = time.perf_counter()
    value = call()
    return time.perf_counter() - began, value
