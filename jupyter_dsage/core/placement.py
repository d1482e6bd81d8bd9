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
    from jupyter_dsage.core.pool import Worker
    from jupyter_dsage.core.ranges import Ranges


def choose_batch(hungry: Iterable[Batch], worker: int) -> Batch | None:
    """Return the batch that has been served least among those that may grant to this worker.

    Fair queueing by start time: each batch's account (`Batch.served`) is charged with the work granted, so
    a batch of one waits for one lease, however many jobs another one has.
    """
    best: Batch | None = None
    for batch in hungry:
        if batch.admits(worker) and (best is None or batch.served < best.served):
            best = batch
    return best


def choose_run(batch: Batch, worker: Worker, slots: int) -> tuple[Segment, int, int]:
    """Return the segment and the jobs ``first, stop`` of the next lease of a hungry batch."""
    queued = batch.jobs[State.QUEUED]
    run = _preferred(batch, worker) or queued.first_run()
    if run is None:
        raise LookupError(f"batch {batch.number} has no queued job")
    first, stop = run
    segment = batch.segment_of(first)
    size = lease_size(len(queued), slots, batch.seconds, batch.largest)
    stop = min(stop, segment.stop, first + size)
    if batch.losses:
        stop = _alone(batch, first, stop)
    return segment, first, stop


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
    return min([job for job in batch.losses if first < job < stop], default=stop)
