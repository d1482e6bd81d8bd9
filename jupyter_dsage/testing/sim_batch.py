"""What a simulated client knows of its batch: which outcome it was told for each job, and when."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from jupyter_dsage.core.ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jupyter_dsage.core.ranges import Run


class SimBatch:
    """The record of one batch in a `Sim`. A job that is told a second outcome raises AssertionError."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.total = 0
        self.attempts = array("H")
        """Job -> how often a worker began to run it."""
        self.told = Ranges()
        """Jobs that have ended (since the last retry)."""
        self.finished = Ranges()
        self.failed = Ranges()
        self.lost = Ranges()
        self.cancelled = Ranges()
        self.log: list[tuple[float, str, tuple[Run, ...]]] = []
        """Everything told: the moment, the word, the jobs."""
        self.running: set[int] = set()
        """Workers that run it now."""
        self.peak = 0
        """Most workers that ran it at once."""

    @property
    def done(self) -> bool:
        """Tell whether every job has ended."""
        return len(self.told) == self.total

    @property
    def ended_at(self) -> float:
        """Return the moment of the last outcome."""
        return self.log[-1][0]

    def append(self, count: int) -> Run:
        """Note that jobs were added; return their run."""
        first = self.total
        self.total += count
        self.attempts.frombytes(bytes(self.attempts.itemsize * count))
        return first, self.total

    def tell_outcomes(self, now: float, runs: Iterable[Run], failed: tuple[int, ...]) -> None:
        """Take outcomes that a worker reported."""
        values, raised = Ranges(runs), Ranges.of(failed)
        for first, stop in raised:
            if not values.covers(first, stop):
                raise AssertionError(f"batch {self.number}: jobs {first}-{stop - 1} failed, but were not told")
            values.remove(first, stop)
        self.tell(now, "finished", tuple(values))
        self.tell(now, "failed", tuple(raised))

    def tell(self, now: float, word: str, runs: tuple[Run, ...]) -> None:
        """Take ends of one kind: finished, failed, lost or cancelled."""
        kind: Ranges = getattr(self, word)
        for first, stop in runs:
            if twice := self.told.overlap(first, stop):
                job = twice[0][0]
                raise AssertionError(f"job {job} is told as {word}, but it had ended: {self.story(job)}")
            self.told.add(first, stop)
            kind.add(first, stop)
        if runs:
            self.log.append((now, word, runs))

    def again(self) -> tuple[Run, ...]:
        """Forget the ends of the jobs that failed or were lost, for a new round; return them."""
        runs = (*self.failed, *self.lost)
        for first, stop in runs:
            self.told.remove(first, stop)
        self.failed, self.lost = Ranges(), Ranges()
        return runs

    def story(self, job: int) -> list[tuple[float, str]]:
        """Return what was told of one job, and when."""
        return [(at, word) for at, word, runs in self.log if any(a <= job < b for a, b in runs)]
