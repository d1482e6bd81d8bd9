"""How large a chunk is: every size in one place, as pure functions of what was observed.

Two sizes are decided here. A *lease* is what a worker is granted at a time (used by the scheduler); a
*segment* is what the client pickles at a time (used by the client's feeder). A lease lies inside one
segment, so a segment may be larger than a chunk: it only says how often pickle is called.
"""

from __future__ import annotations

from math import ceil

from jupyter_dsage import settings


def lease_size(queued: int, slots: float, seconds: float | None, largest: int, latency: float = 0.0) -> int:
    """Return how many jobs the next lease of a batch takes.

    `queued`: jobs waiting in the batch; `slots`: workers that could take them, a faster one counting for more;
    `seconds`: mean time of one job as observed, None before the first outcome; `largest`: the largest lease that
    has been reported on; `latency`: seconds a message takes to the worker and back, which a lease is to outlast.
    First one job, then at most `CHUNK_GROWTH` times the largest so far, up to `CHUNK_SECONDS` of work, with
    a guided tail (the rest shared among twice the slots) that does not go below `CHUNK_LEAST_SECONDS`.
    """
    if seconds is None:
        return 1
    seconds = max(seconds, 1e-7)
    target = max(settings.CHUNK_SECONDS, settings.CHUNK_SECONDS_PER_WORKER * slots, latency)
    tail = max(ceil(queued / (2 * max(slots, 1))), int(settings.CHUNK_LEAST_SECONDS / seconds))
    return max(1, min(int(target / seconds), largest * settings.CHUNK_GROWTH, tail, queued))


def segment_size(cut: int, mean_bytes: float | None) -> int:
    """Return how many jobs the client pickles into its next segment.

    `cut`: jobs already cut from this source; `mean_bytes`: mean pickled size of one job so far (None at
    first). One job first, so that a bad first argument is found at once, then growing eightfold up to
    `SEGMENT_JOBS` jobs (`SEGMENT_NUMBERS` of few bytes each) or `SEGMENT_BYTES`, whichever is less.
    """
    if cut == 0 or mean_bytes is None:
        return 1
    most = settings.SEGMENT_NUMBERS if mean_bytes <= settings.NUMBER_BYTES else settings.SEGMENT_JOBS
    by_bytes = int(settings.SEGMENT_BYTES / max(mean_bytes, 1.0))
    return max(1, min(cut * settings.CHUNK_GROWTH, most, by_bytes))


def appetite(slots: int, seconds: float | None) -> int:
    """Return how many jobs of an endless source should wait in the child.

    Enough for every slot's two leases and for `WAITING_SECONDS` of work, since a cell may hold the kernel's
    interpreter lock that long; before anything is known, a few jobs a slot.
    """
    least = settings.WAITING_JOBS_PER_SLOT * max(slots, 1)
    if seconds is None:
        return least
    return max(least, ceil(settings.WAITING_SECONDS * max(slots, 1) / max(seconds, 1e-7)))
