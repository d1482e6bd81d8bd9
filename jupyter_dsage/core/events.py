"""What the scheduler is told: facts, in the past tense. Made by the child's shell, compared with ``==``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_dsage.core.pool import Abilities
from jupyter_dsage.core.wants import NOTHING, Wants

if TYPE_CHECKING:
    from jupyter_dsage.core.ranges import Run


@dataclass(frozen=True, slots=True)
class EngineAdded:
    """An engine is to be connected to: what it can do will be told by `EngineOpened`.

    `resources`: what it has, by name and amount; `idle`: seconds without work after which a worker leaves (0: never).
    """

    engine: str
    resources: tuple[tuple[str, int], ...] = ()
    idle: float = 0.0


@dataclass(frozen=True, slots=True)
class EngineOpened:
    """An engine is ready to start workers. `latency`: seconds a message takes there and back."""

    engine: str
    slots: int
    can: Abilities = field(default_factory=Abilities)
    latency: float = 0.0


@dataclass(frozen=True, slots=True)
class EngineFailed:
    """An engine is gone, or cannot be reached; `story` says why, for people. The loss of its workers comes before."""

    engine: str
    story: Any


@dataclass(frozen=True, slots=True)
class EngineAway:
    """An engine's host has fallen silent; its workers may live on there."""

    engine: str


@dataclass(frozen=True, slots=True)
class EngineBack:
    """An engine that was away answers again, its workers with it; what they told meanwhile follows."""

    engine: str


@dataclass(frozen=True, slots=True)
class EngineScaled:
    """An engine has more or fewer slots now."""

    engine: str
    slots: int


@dataclass(frozen=True, slots=True)
class RemovalAsked:
    """Do without an engine: once its running jobs have ended, or at once (`now`), its jobs being moved."""

    engine: str
    now: bool


@dataclass(frozen=True, slots=True)
class LatencyMeasured:
    """A message to an engine and back took this long (seconds)."""

    engine: str
    seconds: float


@dataclass(frozen=True, slots=True)
class WorkerJoined:
    """A worker that was started has said hello and can take leases."""

    worker: int


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A worker is gone. `job`: the job on its page, that is, the one that ran (None: none did).

    `limit`: that job had overstepped its time or its memory, and was killed for it. `known`: the page was read; else
    (its host is gone) nobody knows which job ran.
    """

    worker: int
    lease: int | None
    job: int | None
    story: Any
    limit: bool = False
    known: bool = True
    loading: bool = False
    """The job's function was being loaded: what ended the worker concerns all jobs of that function."""


@dataclass(frozen=True, slots=True)
class BatchOpened:
    """A client opened a batch. `retries`: how often a job that raised is tried again; `limit`: jobs at once.

    `timeout`, `memory`: seconds and bytes a job may take (0: no limit); `once`: a job that was leased is never leased
    again after a loss; `priority`: batches of a higher one go first; `wants`: what each job wants of its engine.
    """

    batch: int
    name: str
    retries: int = 0
    limit: int | None = None
    timeout: float = 0.0
    memory: int = 0
    once: bool = False
    priority: int = 0
    wants: Wants = NOTHING


@dataclass(frozen=True, slots=True)
class JobsAdded:
    """A segment arrived: `count` jobs, numbered from the batch's end on, that call one function."""

    batch: int
    segment: int
    function: str
    count: int
    service: str | None = None
    """The service that they call, where the function is one."""


@dataclass(frozen=True, slots=True)
class JobsSkipped:
    """The client numbered `count` more jobs that it will not send, since they were cancelled before."""

    batch: int
    count: int


@dataclass(frozen=True, slots=True)
class RunReported:
    """A worker told the outcomes of jobs ``[first, stop)`` of its lease.

    `failed`: those that raised; `seconds`: time spent in them; `ended`: the lease is done with, even where
    `stop` lies before the lease's end (the rest was recalled).
    """

    worker: int
    lease: int
    first: int
    stop: int
    failed: tuple[int, ...]
    seconds: float
    ended: bool


@dataclass(frozen=True, slots=True)
class ReportRefused:
    """A worker told of a lease what cannot be true; `story` says what. It is of no use any more."""

    worker: int
    lease: int
    story: Any


@dataclass(frozen=True, slots=True)
class LeaseRecalled:
    """The worker will not run jobs of this lease from `start` on (its page says so)."""

    worker: int
    lease: int
    start: int


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """Cancel these jobs of the batch (None: all that have not ended)."""

    batch: int
    runs: tuple[Run, ...] | None = None


@dataclass(frozen=True, slots=True)
class RetryAsked:
    """Queue these jobs again; those that are neither failed nor lost are left alone."""

    batch: int
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class PauseAsked:
    """Grant no more leases to this batch; what has not started comes back."""

    batch: int


@dataclass(frozen=True, slots=True)
class ResumeAsked:
    """Grant leases to this batch again."""

    batch: int


@dataclass(frozen=True, slots=True)
class LimitAsked:
    """At most this many jobs of the batch at once (None: no limit)."""

    batch: int
    limit: int | None


@dataclass(frozen=True, slots=True)
class EndsRestored:
    """The journal of an earlier child tells how these jobs ended (`state`: a word of `core.states`)."""

    batch: int
    runs: tuple[Run, ...]
    failed: tuple[int, ...]
    """Those of them that raised."""
    state: str = "finished"


@dataclass(frozen=True, slots=True)
class LeasesRestored:
    """The journal of an earlier child tells that jobs of an at-most-once batch were leased, and not how they ended."""

    batch: int
    runs: tuple[Run, ...]
    story: Any


@dataclass(frozen=True, slots=True)
class JobSuspected:
    """A job ran when the child before this one was killed. `restored`: the journal tells so of an earlier one."""

    batch: int
    job: int
    story: Any
    restored: bool = False


@dataclass(frozen=True, slots=True)
class EndsUnstored:
    """The outcomes of these jobs, which have ended, could not be stored, so nobody can be told them."""

    batch: int
    runs: tuple[Run, ...]
    story: Any


@dataclass(frozen=True, slots=True)
class RefreshAsked:
    """Replace every idle worker, and each busy one when it is done; try failed engines again."""


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Nothing happened, but a deadline came (`Scheduler.next_deadline`)."""


Event = (
    EngineAdded
    | EngineOpened
    | EngineFailed
    | EngineAway
    | EngineBack
    | EngineScaled
    | RemovalAsked
    | LatencyMeasured
    | WorkerJoined
    | WorkerLost
    | BatchOpened
    | JobsAdded
    | JobsSkipped
    | RunReported
    | ReportRefused
    | LeaseRecalled
    | CancelAsked
    | RetryAsked
    | PauseAsked
    | ResumeAsked
    | LimitAsked
    | EndsRestored
    | LeasesRestored
    | JobSuspected
    | EndsUnstored
    | RefreshAsked
    | TimePassed
)
