"""A batch as the scheduler sees it: a list of segments, a job table, and what was learned of its jobs."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jupyter_dsage.core.job_table import JobTable
from jupyter_dsage.core.states import State
from jupyter_dsage.core.wants import NOTHING, Wants

if TYPE_CHECKING:
    from jupyter_dsage.core.ranges import Run


@dataclass(slots=True)
class Segment:
    """Consecutive jobs ``[first, stop)`` that were pickled together and call one function."""

    number: int
    function: str
    first: int
    stop: int
    open: int
    """Jobs that may still (or again) have to run; at 0 the payload can go."""
    service: str | None = None
    """The service they call, where the function is one."""


@dataclass(slots=True)
class Batch:
    """Jobs submitted together. `served`: seconds of work granted so far, the measure of fairness."""

    number: int
    name: str
    retries: int
    limit: int | None
    served: float
    paused: bool = False
    timeout: float = 0.0
    """Seconds that a job may take (0: no limit)."""
    memory: int = 0
    """Bytes that a job may take (0: no limit)."""
    once: bool = False
    """No job is leased again after a loss."""
    priority: int = 0
    """Batches of a higher one go first."""
    wants: Wants = NOTHING
    """What each job wants of the engine that runs it."""
    jobs: JobTable = field(default_factory=JobTable)
    segments: list[Segment] = field(default_factory=list)
    firsts: list[int] = field(default_factory=list)
    """First job of each segment: where bisect looks."""
    workers: dict[int, int] = field(default_factory=dict)
    """Worker -> its leases of this batch."""
    seconds: float | None = None
    """Mean time of one job, as observed."""
    largest: int = 1
    """Jobs in the largest lease reported on so far."""
    reported: int = 0
    """Jobs that were reported on."""
    losses: dict[int, int] = field(default_factory=dict)
    """Job -> attempts that ended with the loss of its worker (few, so sparse)."""
    failures: dict[int, int] = field(default_factory=dict)
    """Job -> attempts that raised and were retried (sparse)."""
    suspects: dict[int, int] = field(default_factory=dict)
    """Job -> how often it was one of those that ran when a supervisor, or the child, was lost (sparse)."""
    loads: dict[str, int] = field(default_factory=dict)
    """Function -> workers in a row that were lost while they loaded it (sparse)."""
    kinds: dict[str | None, None] = field(default_factory=dict)
    """The services its jobs call (None: functions), in the order in which they came: nearly always one."""
    speeds: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Engine -> mean time of one job there, and of how many jobs."""

    def append(self, segment: int, function: str, count: int, service: str | None = None) -> Segment:
        """Add a segment of `count` queued jobs at the end."""
        first = self.jobs.append(count)
        made = Segment(segment, function, first, first + count, count, service)
        if function:  # a skipped run has none, and is never looked for
            self.kinds[service] = None
        self.segments.append(made)
        self.firsts.append(first)
        return made

    def segment_of(self, job: int) -> Segment:
        """Return the segment that holds a job."""
        return self.segments[bisect_right(self.firsts, job) - 1]

    def segments_over(self, first: int, stop: int) -> list[tuple[Segment, Run]]:
        """Return each segment that ``[first, stop)`` touches, with the run inside it."""
        out: list[tuple[Segment, Run]] = []
        at = bisect_right(self.firsts, first) - 1
        while at < len(self.segments) and self.segments[at].first < stop:
            part = self.segments[at]
            run = max(first, part.first), min(stop, part.stop)
            if run[0] < run[1]:
                out.append((part, run))
            at += 1
        return out

    def ended(self) -> bool:
        """Tell whether all jobs present have ended."""
        return not self.jobs.count(State.QUEUED) and not self.jobs.count(State.RUNNING)

    def hungry(self) -> bool:
        """Tell whether a lease may be granted at all (the limit is a question of which worker asks)."""
        return not self.paused and self.jobs.count(State.QUEUED) > 0

    def admits(self, worker: int) -> bool:
        """Tell whether the limit lets this worker take a lease: a worker runs one job at a time."""
        return self.limit is None or len(self.workers) + (worker not in self.workers) <= self.limit

    def granted(self, worker: int) -> None:
        """Note that the worker holds one more lease of this batch."""
        self.workers[worker] = self.workers.get(worker, 0) + 1

    def released(self, worker: int) -> None:
        """Note that the worker holds one lease less."""
        left = self.workers.get(worker, 0) - 1
        if left > 0:
            self.workers[worker] = left
        else:
            self.workers.pop(worker, None)

    def observe(self, jobs: int, seconds: float, engine: str, leased: int) -> None:
        """Learn from a report on a lease of so many jobs: running means that follow changes (weight at least a fifth).

        A report counts by its jobs: the first jobs take a hundred times as long as those that follow, and leases grow
        as the means fall. A long lease is reported on in parts, so these do not tell how large leases may be.
        """
        self.reported += jobs
        self.largest = max(self.largest, leased)
        each = seconds / jobs
        self.seconds = _mean(self.seconds, each, jobs / self.reported)
        before, told = self.speeds.get(engine, (None, 0))
        self.speeds[engine] = (_mean(before, each, jobs / (told + jobs)), told + jobs)

    def seconds_on(self, engine: str) -> float | None:
        """Return the mean time of one job on an engine; that on all where none was seen there yet."""
        return self.speeds[engine][0] if engine in self.speeds else self.seconds

    def prime_suspect(self) -> int | None:
        """Return a queued job that was a suspect twice, and is to run while nothing else does."""
        queued = self.jobs[State.QUEUED]
        return min(
            (job for job, times in self.suspects.items() if times > 1 and queued.overlap(job, job + 1)), default=None
        )

    def suspect(self, job: int) -> bool:
        """Tell whether a job was running when a worker was lost: it is leased alone from then on."""
        return job in self.losses or job in self.suspects


def _mean(before: float | None, value: float, weight: float) -> float:
    return value if before is None else before + (value - before) * max(0.2, weight)
