"""Which jobs a worker gets next: the batch by fair share, the place in the batch by segment.

Pure functions over `core.batch` and `core.pool`; the scheduler turns the answer into a lease.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.core.chunks import lease_size
from jupyter_dsage.core.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jupyter_dsage.core.batch import Batch, Segment
    from jupyter_dsage.core.pool import Abilities, Pool, Worker
    from jupyter_dsage.core.ranges import Ranges
    from jupyter_dsage.core.stock import Stock


def choose(hungry: Iterable[Batch], worker: Worker, pool: Pool, stock: Stock) -> tuple[Batch, Segment, int, int] | None:
    """Return the batch, the segment and the jobs ``first, stop`` of a worker's next lease; None if it gets none.

    The batch of the highest priority goes first, and of several the one that has been served least, among those that
    may grant to this worker and have jobs that its engine can run, for which enough of its resources is free. Fair
    queueing by start time: each batch's account (`Batch.served`) is charged with the work granted, so a batch of one
    waits for one lease, however many jobs another one has. Where that batch cannot wait behind what the worker runs
    now (see `Stock.serves`), the worker gets nothing more before that has ended: else others would always be before it.
    """
    engine = pool.engines[worker.engine]
    if stock.suspicion and stock.runs_alone(engine):
        return None
    able = [b for b in hungry if b.admits(worker.number) and engine.takes(b) and stock.enough(engine, worker, b)]
    for batch in able:
        if batch.suspects and (job := batch.prime_suspect()) is not None:
            return (batch, batch.segment_of(job), job, job + 1) if stock.is_idle(engine) else None
    while able:
        batch = min(able, key=lambda batch: (-batch.priority, batch.served))
        run = choose_run(batch, worker, pool, tries=bool(batch.suspects) and stock.tries(engine))
        if run is not None:
            return (batch, *run) if stock.serves(engine, worker, batch) else None
        able.remove(batch)
    return None


def choose_run(batch: Batch, worker: Worker, pool: Pool, *, tries: bool = False) -> tuple[Segment, int, int] | None:
    """Return the segment and the jobs ``first, stop`` of the next lease of a hungry batch.

    `tries`: a suspect runs at this engine already, and there is to be one at a time.
    """
    engine = pool.engines[worker.engine]
    queued = batch.jobs[State.QUEUED]
    if all(map(engine.can.take, batch.kinds)):
        run = _preferred(batch, worker) or queued.first_run()
    else:
        run = _takable(batch, queued, engine.can)
    if tries and run is not None and run[0] in batch.suspects:
        run = _unsuspected(batch, queued, engine.can)
    if run is None:
        return None
    first, stop = run
    segment = batch.segment_of(first)
    seconds = batch.seconds_on(engine.name)
    slots = equal_slots(batch, engine.name, pool)
    size = lease_size(len(queued), slots, seconds, batch.largest, engine.latency)
    stop = min(stop, segment.stop, first + (1 if batch.once else size))
    if batch.losses or batch.suspects:
        stop = _alone(batch, first, stop)
    return segment, first, stop


def equal_slots(batch: Batch, engine: str, pool: Pool) -> float:
    """Return how many slots of this engine's speed all that are at work amount to: a faster one counts for more."""
    here = batch.seconds_on(engine)
    if here is None or len(batch.speeds) < 2:  # noqa: PLR2004  (nothing to compare)
        return pool.slots(batch.wants)
    return sum(
        batch.wants.times(other.resources, other.slots) * here / max(batch.seconds_on(other.name) or here, 1e-7)
        for other in pool.engines.values()
        if other.at_work and other.takes(batch)
    )


def queued_for(batch: Batch, can: Abilities) -> int:
    """Return how many queued jobs of a batch an engine of these abilities can run."""
    queued = batch.jobs[State.QUEUED]
    if all(map(can.take, batch.kinds)):
        return len(queued)
    runs = [run for s in batch.segments if can.take(s.service) for run in queued.overlap(s.first, s.stop)]
    return sum(stop - first for first, stop in runs)


def _takable(batch: Batch, queued: Ranges, can: Abilities) -> tuple[int, int] | None:
    """Return the first queued jobs that an engine can run, in a batch where it cannot run all."""
    for segment in batch.segments:
        if segment.open and segment.function and can.take(segment.service):
            runs = queued.overlap(segment.first, segment.stop)
            if runs:
                return runs[0]
    return None


def _preferred(batch: Batch, worker: Worker) -> tuple[int, int] | None:
    """Return where a worker goes on in a batch of very short jobs, or None where plain order will do."""
    if batch.seconds is None or batch.seconds >= settings.AFFINITY_SECONDS or worker.place is None:
        return None
    number, job = worker.place
    if number != batch.number:
        return None
    queued = batch.jobs[State.QUEUED]
    segment = batch.segment_of(max(job - 1, 0))  # where it was, also when that segment is at its end
    run = queued.first_run(job)
    if run is not None and run[0] < segment.stop:
        return run  # the caller cuts it at the segment's end
    return _untouched(batch, queued, segment.stop)


def _untouched(batch: Batch, queued: Ranges, at: int) -> tuple[int, int] | None:
    """Return a segment after `at` that nobody has begun; looks at a few places only, so that it stays cheap."""
    for _ in range(settings.LOOK_AHEAD):
        run = queued.first_run(at)
        if run is None:
            return None
        segment = batch.segment_of(run[0])
        if run[0] > segment.first and segment.stop < run[1]:
            segment = batch.segment_of(segment.stop)
        if run[0] <= segment.first and segment.stop <= run[1]:
            return segment.first, segment.stop
        at = segment.stop
    return None


def _alone(batch: Batch, first: int, stop: int) -> int:
    """Cut a run so that a job suspected of killing workers is leased by itself."""
    if batch.suspect(first):
        return first + 1
    return min([job for job in (*batch.losses, *batch.suspects) if first < job < stop], default=stop)


def _unsuspected(batch: Batch, queued: Ranges, can: Abilities) -> tuple[int, int] | None:
    """Return the first queued jobs that an engine can run and that are no suspects."""
    for segment in batch.segments:
        for first, stop in queued.overlap(segment.first, segment.stop) if can.take(segment.service) else ():
            for job in range(first, stop):
                if job not in batch.suspects:
                    return job, stop
    return None
