"""What people see of the scheduler: counts per batch, and the workers. Plain values, ready to be sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_dsage.core.states import State

if TYPE_CHECKING:
    from jupyter_dsage.core.scheduler import Scheduler


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """Jobs of one batch by state; `seconds`: mean time of one job, None before the first outcome."""

    batch: int
    name: str
    queued: int
    running: int
    finished: int
    failed: int
    cancelled: int
    lost: int
    paused: bool
    limit: int | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One worker: its engine, its stage, and how many leases it holds."""

    worker: int
    engine: str
    stage: str
    leases: int


@dataclass(frozen=True, slots=True)
class EngineState:
    """One engine: its slots, and why it cannot start workers (None while it can)."""

    engine: str
    slots: int
    failure: object


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one moment. `dropped`: outcomes that came for jobs that had one."""

    batches: tuple[BatchCounts, ...]
    workers: tuple[WorkerState, ...]
    engines: tuple[EngineState, ...]
    dropped: int


def take(s: Scheduler) -> Snapshot:
    """Return the snapshot of a scheduler."""
    batches = tuple(
        BatchCounts(
            batch=b.number,
            name=b.name,
            queued=b.jobs.count(State.QUEUED),
            running=b.jobs.count(State.RUNNING),
            finished=b.jobs.count(State.FINISHED),
            failed=b.jobs.count(State.FAILED),
            cancelled=b.jobs.count(State.CANCELLED),
            lost=b.jobs.count(State.LOST),
            paused=b.paused,
            limit=b.limit,
            seconds=b.seconds,
        )
        for b in s.batches.values()
    )
    workers = tuple(WorkerState(w.number, w.engine, w.stage.value, len(w.leases)) for w in s.pool.workers.values())
    engines = tuple(EngineState(e.name, e.slots, e.failure) for e in s.pool.engines.values())
    return Snapshot(batches, workers, engines, s.dropped)
