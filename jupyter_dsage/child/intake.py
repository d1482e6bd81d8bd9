"""From messages to events: what clients, workers and supervisors say, checked and put into the scheduler's words.

Everything that names something (a batch, a function, a worker) is looked up here, so that the scheduler is only
told of things that exist; what does not is a ProtocolError.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from jupyter_dsage.core import events as e
from jupyter_dsage.core.wants import NOTHING, Wants
from jupyter_dsage.errors import ProtocolError
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from jupyter_dsage.child.payloads import Payloads
    from jupyter_dsage.core.events import Event
    from jupyter_dsage.core.scheduler import Scheduler
    from jupyter_dsage.wire.codec import Frame
    from jupyter_dsage.wire.setup import Runs


LIMITS = ("timeout", "memory")
"""Causes of a worker's end that its job is to blame for, and that count like an exception of the job."""


def from_client(message: m.Message, frames: list[Frame], scheduler: Scheduler, payloads: Payloads) -> Event | None:
    """Return the event a client's message stands for, or None if it only brought a payload."""
    match message:
        case m.Function() | m.Service():
            payloads.learn(message, frames)
            return None
        case m.OpenBatch():
            if message.batch in scheduler.batches:
                raise ProtocolError(f"Batch {message.batch} is open already.")
            return e.BatchOpened(
                message.batch,
                message.name,
                message.retries,
                message.limit,
                message.timeout,
                message.memory,
                message.once,
                message.priority,
                _wants(message),
            )
    return _about_batch(message, frames, scheduler, payloads)


def _wants(message: m.OpenBatch) -> Wants:
    if not message.engines and not message.resources:
        return NOTHING
    return Wants(message.engines, message.resources)


def _about_batch(message: m.Message, frames: list[Frame], scheduler: Scheduler, payloads: Payloads) -> Event:
    check_batch(getattr(message, "batch", None), scheduler)
    match message:
        case m.AddJobs():
            _check_first(message, scheduler)
            if not payloads.knows(message.function):
                raise ProtocolError(f"The function {message.function} was not sent.")
            segment = payloads.add_segment(frames[0])
            service = payloads.service_of(message.function)
            return e.JobsAdded(message.batch, segment, message.function, message.count, service)
        case m.SkipJobs():
            _check_first(message, scheduler)
            return e.JobsSkipped(message.batch, message.count)
        case m.Cancel():
            return e.CancelAsked(message.batch, None if message.runs is None else _checked(message.runs))
        case m.Retry():
            return e.RetryAsked(message.batch, _checked(message.runs))
        case m.Pause():
            return e.PauseAsked(message.batch)
        case m.Resume():
            return e.ResumeAsked(message.batch)
        case m.Limit():
            return e.LimitAsked(message.batch, message.limit)
    raise ProtocolError(f"A {type(message).__name__} message does not belong here.")


def _check_first(message: m.AddJobs | m.SkipJobs, scheduler: Scheduler) -> None:
    """Raise ProtocolError where the client counts otherwise: its results would be those of other jobs."""
    total = scheduler.batches[message.batch].jobs.total
    if message.first not in (-1, total):
        raise ProtocolError(
            f"Jobs {message.first} to {message.first + message.count - 1} of batch {message.batch} came where job "
            f"{total} is next."
        )


def check_batch(batch: int | None, scheduler: Scheduler) -> None:
    """Raise ProtocolError for a batch that was not opened."""
    if batch not in scheduler.batches:
        raise ProtocolError(f"There is no batch {batch}.")


def _checked(runs: Runs) -> Runs:
    if any(first >= stop for first, stop in runs):
        raise ProtocolError("A run of jobs ends before it begins.")
    return runs


def from_report(worker: int, message: m.Report, frames: list[Frame]) -> Event:
    """Return the event of a worker's report; raises ProtocolError for one that cannot be true."""
    inside = all(message.first <= job < message.stop for job in message.failed)
    rising = all(a < b for a, b in zip(message.failed, message.failed[1:], strict=False))
    if (
        message.first > message.stop
        or not inside
        or not rising
        or not math.isfinite(message.seconds)
        or bool(frames) != (message.stop > message.first)
    ):
        raise ProtocolError(f"Worker {worker} sent a report that cannot be true.")
    return e.RunReported(
        worker, message.lease, message.first, message.stop, message.failed, message.seconds, message.ended
    )


def from_host(message: m.Message) -> Event | None:
    """Return the event that news of a worker stand for; a supervisor's greeting is none."""
    match message:
        case m.WorkerHello():
            return e.WorkerJoined(message.worker)
        case m.Recalled():
            return e.LeaseRecalled(message.worker, message.lease, message.start)
        case m.WorkerGone():
            story = message.story
            limit, loading = story.cause in LIMITS, story.loading == "function"
            return e.WorkerLost(message.worker, message.lease, message.job, story, limit, message.known, loading)
        case m.SupervisorReady():
            return None
    raise ProtocolError(f"A {type(message).__name__} message does not belong here.")
