"""Who is tried again: the rules for exceptions and for lost workers, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dsage import settings

if TYPE_CHECKING:
    from jupyter_dsage.core.batch import Batch


def retry_after_exception(batch: Batch, job: int) -> bool:
    """Charge a job with an attempt that raised; tell whether it is tried again (``retries`` of the batch)."""
    spent = batch.failures.get(job, 0)
    if spent >= batch.retries:
        return False
    batch.failures[job] = spent + 1
    return True


def retry_after_loss(batch: Batch, job: int) -> bool:
    """Charge a job with the loss of the worker that ran it; tell whether it is tried again."""
    batch.losses[job] = batch.losses.get(job, 0) + 1
    return not batch.once and batch.losses[job] < settings.LOSS_ATTEMPTS


def retry_after_suspicion(batch: Batch, job: int) -> bool:
    """Note that a job was one of those that ran when a supervisor was lost; tell whether it is tried again.

    A suspect is the only one that runs on its engine; after a second time it is the only job that runs there, so that
    what is lost after a third has done it (`placement`).
    """
    batch.suspects[job] = batch.suspects.get(job, 0) + 1
    return batch.suspects[job] < settings.LOSS_ATTEMPTS


def retry_after_load(batch: Batch, function: str) -> bool:
    """Charge a function with the loss of a worker that was loading it; tell whether its jobs are tried again."""
    batch.loads[function] = batch.loads.get(function, 0) + 1
    return batch.loads[function] < settings.LOSS_ATTEMPTS


def charged(batch: Batch, first: int, stop: int) -> list[int]:
    """Return those jobs of ``[first, stop)`` that were charged with anything, in order."""
    losses, failures, suspects = batch.losses, batch.failures, batch.suspects
    if len(losses) + len(failures) + len(suspects) < stop - first:  # the cheaper way round: either may be long
        return sorted({job for job in (*losses, *failures, *suspects) if first <= job < stop})
    return [job for job in range(first, stop) if job in losses or job in failures or job in suspects]


def attempts(batch: Batch, job: int) -> int:
    """Return how many attempts at a job have ended without an outcome that counts."""
    return batch.losses.get(job, 0) + batch.failures.get(job, 0) + batch.suspects.get(job, 0)


def forgive(batch: Batch, first: int, stop: int) -> None:
    """Forget what jobs were charged with: they have ended, and a retry by the user starts afresh."""
    for job in charged(batch, first, stop):
        batch.losses.pop(job, None)
        batch.failures.pop(job, None)
        batch.suspects.pop(job, None)
