"""What people see of the scheduler: counts per batch, the workers, the grid. Plain values, ready to be sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_dsage.core.states import State

if TYPE_CHECKING:
    from jupyter_dsage.core.job_table import JobTable
    from jupyter_dsage.core.pool import Abilities
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
    """One engine: its slots, why it cannot start workers (None while it can), where it stands, what it can do.

    `resources`: what it has, name and amount; `resting`: slots whose workers have left for want of work.
    """

    engine: str
    slots: int
    failure: object
    state: str
    can: Abilities
    resources: tuple[tuple[str, int], ...] = ()
    resting: int = 0


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
    workers = tuple(WorkerState(w.number, w.engine, s.pool.stage_of(w), len(w.leases)) for w in s.pool.workers.values())
    engines = tuple(
        EngineState(e.name, e.slots, e.failure, e.state, e.can, tuple(e.resources.items()), e.resting)
        for e in s.pool.engines.values()
    )
    return Snapshot(batches, workers, engines, s.dropped)


# --- the grid ------------------------------------------------------------------------------------------------

LETTERS = {
    State.QUEUED: "Q",
    State.RUNNING: "R",
    State.FINISHED: "F",
    State.FAILED: "X",
    State.LOST: "L",
    State.CANCELLED: "C",
}
_TENTHS = "abcdefghi"


def grid(
    jobs: JobTable, total: int, most_cells: int, most_characters: int, begun: set[int] | None = None
) -> tuple[int, str]:
    """Return how many jobs a cell stands for, and the cells as a run-length string such as ``F7044R10Q2943``.

    `total`: jobs to show, those not yet in the table being queued; `begun`: the leased jobs that have begun, the others
    being shown as queued (None: all have). A cell of several jobs shows the worst of them:
    failed, lost, running; else ``a`` to ``i`` for 10 to 90 % finished. Folds further until the string is short enough.
    """
    runs = [(first, stop, LETTERS[state]) for state in State for first, stop in jobs[state]]
    if begun is not None:
        runs = [part for run in runs for part in (_begun(run, begun) if run[2] == "R" else [run])]
    runs.sort()
    if total > jobs.total:
        runs.append((jobs.total, total, "Q"))
    per = max(1, -(-total // most_cells))
    while len(text := _folded(runs, per, total)) > most_characters:
        per *= 2
    return per, text


def _begun(run: tuple[int, int, str], begun: set[int]) -> list[tuple[int, int, str]]:
    """Cut a leased run into the jobs that have begun and the others."""
    out, at = [], run[0]
    for job in sorted(job for job in begun if run[0] <= job < run[1]):
        if at < job:
            out.append((at, job, "Q"))
        out.append((job, job + 1, "R"))
        at = job + 1
    if at < run[1]:
        out.append((at, run[1], "Q"))
    return out


def _folded(runs: list[tuple[int, int, str]], per: int, total: int) -> str:
    """Fold sorted runs into cells of `per` jobs, and these into a run-length string; the time goes with the runs."""
    out: list[tuple[str, int]] = []

    def emit(letter: str, count: int) -> None:
        if out and out[-1][0] == letter:
            count += out.pop()[1]
        out.append((letter, count))

    partial: dict[str, int] = {}  # jobs by letter in the cell that several runs share
    for first, stop, letter in runs:
        at = first
        if at % per:
            end = min(stop, at - at % per + per)
            partial[letter] = partial.get(letter, 0) + end - at
            at = end
            if at % per == 0 or at == total:
                emit(_mixed(partial), 1)
                partial = {}
        whole = (stop - at) // per
        if whole:
            emit(letter, whole)
            at += whole * per
        if at < stop:
            partial[letter] = stop - at
            if stop == total:
                emit(_mixed(partial), 1)
    return "".join(f"{letter}{count}" for letter, count in out)


def _mixed(jobs: dict[str, int]) -> str:
    for letter in "XLR":
        if letter in jobs:
            return letter
    finished, queued = jobs.get("F", 0), jobs.get("Q", 0)
    if not queued:
        return "F" if finished else "C"
    tenths = 10 * finished // (finished + queued + jobs.get("C", 0))
    return _TENTHS[tenths - 1] if tenths else "Q"
