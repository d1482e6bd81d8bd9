"""What the scheduler orders: imperatives, carried out by the child's shell, which decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_dsage.core.wants import NOTHING, Wants

if TYPE_CHECKING:
    from jupyter_dsage.core.ranges import Run


@dataclass(frozen=True, slots=True)
class StartWorker:
    """Have the engine start a worker under this number."""

    engine: str
    worker: int


@dataclass(frozen=True, slots=True)
class StopWorker:
    """Have an idle worker leave; its exit is then told as `WorkerLost`."""

    engine: str
    worker: int


@dataclass(frozen=True, slots=True)
class KillWorker:
    """Kill a worker that did not join in time; its exit is then told as `WorkerLost`."""

    engine: str
    worker: int


@dataclass(frozen=True, slots=True)
class ReopenEngine:
    """Connect again to an engine that could not be reached; `EngineOpened` or `EngineFailed` follows."""

    engine: str


@dataclass(frozen=True, slots=True)
class CloseEngine:
    """Let go of an engine that was removed; nothing of it is told any more."""

    engine: str


@dataclass(frozen=True, slots=True)
class SendLease:
    """Send jobs ``[first, stop)`` of a segment to a worker.

    `with_function`, `with_segment`: the worker does not have that payload yet, so it goes along;
    `drop`: segments that the worker is to forget.
    """

    worker: int
    lease: int
    batch: int
    function: str
    segment: int
    offset: int
    """Number of the segment's first job."""
    first: int
    stop: int
    with_function: bool
    with_segment: bool
    drop: tuple[int, ...]
    timeout: float = 0.0
    """Seconds that each job may take (0: no limit)."""
    memory: int = 0
    """Bytes that each job may take (0: no limit)."""
    once: bool = False
    """Each outcome is to be told before the next job begins, since no job may run twice."""


@dataclass(frozen=True, slots=True)
class RecallLease:
    """Ask for the jobs of this lease, from `first` on, that have not started; `stop` is the lease's end."""

    engine: str
    worker: int
    lease: int
    first: int
    stop: int


@dataclass(frozen=True, slots=True)
class EndJob:
    """End the running job if it is one of ``[first, stop)`` of this lease: interrupt it, then kill its worker."""

    engine: str
    worker: int
    lease: int
    first: int
    stop: int


@dataclass(frozen=True, slots=True)
class TellOutcomes:
    """Pass the payload of the report now handled on to the batch's client; only `runs` of it count."""

    batch: int
    runs: tuple[Run, ...]
    failed: tuple[int, ...]
    attempts: tuple[tuple[int, int], ...] = ()
    """(job, attempts) for those that needed more than one."""


@dataclass(frozen=True, slots=True)
class TellLost:
    """Tell the client that these jobs are lost, and the story."""

    batch: int
    runs: tuple[Run, ...]
    story: Any
    attempts: int = 0
    """Workers that were lost while they ran it; 0 where no worker was left to run it."""
    failed: bool = False
    """They overstepped a limit of their own, and so count as failed."""


@dataclass(frozen=True, slots=True)
class Removed:
    """The story of jobs that may run only once and whose engine was removed while they ran."""

    engine: str


@dataclass(frozen=True, slots=True)
class NoEngine:
    """The story of jobs that no engine of the session can run. `service`: the one they call (None: a function)."""

    service: str | None
    wants: Wants = NOTHING


@dataclass(frozen=True, slots=True)
class TellCancelled:
    """Tell the client that these jobs were cancelled."""

    batch: int
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class TellPool:
    """Tell the clients which workers there are: it changed."""


@dataclass(frozen=True, slots=True)
class KeepSegment:
    """Keep a segment's payload after all, if it was to be dropped: its jobs may have to run again."""

    segment: int


@dataclass(frozen=True, slots=True)
class DropSegment:
    """Forget a segment's payload: none of its jobs can run again."""

    segment: int


Command = (
    StartWorker
    | StopWorker
    | KillWorker
    | ReopenEngine
    | CloseEngine
    | SendLease
    | RecallLease
    | EndJob
    | TellOutcomes
    | TellLost
    | TellCancelled
    | TellPool
    | DropSegment
    | KeepSegment
)
