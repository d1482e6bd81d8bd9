"""From an operator's order to the requests that it stands for: which batches it concerns, and which of their jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dsage.core.names import labels
from jupyter_dsage.core.states import State
from jupyter_dsage.errors import MissingError, UsageError
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.child.view import Views
    from jupyter_dsage.core.batch import Batch
    from jupyter_dsage.core.scheduler import Scheduler

VERBS = ("pause", "resume", "cancel", "retry")
_AGAIN = (State.FAILED, State.LOST)


def requests_of(order: m.Order, scheduler: Scheduler, views: Views) -> list[tuple[str, m.Message]]:
    """Return the requests, each with the name of its batch; raises MissingError, UsageError."""
    if order.verb not in VERBS:
        raise UsageError(f"There is no order {order.verb!r}; there is {', '.join(VERBS)}.")
    if order.batch is None:
        if order.job is not None:
            raise UsageError("A job is named without its batch.")
        wanted = _CONCERNS[order.verb]
        called = labels((b.number, b.name) for b in scheduler.batches.values())
        return [(called[b.number], _whole(order.verb, b)) for b in scheduler.batches.values() if wanted(b, views)]
    batch = batch_of(order.batch, scheduler)
    if order.job is not None:
        return [(f"job {order.job} of {batch.name}", _single(order.verb, batch, order.job, views))]
    if order.verb == "retry" and not any(batch.jobs.count(state) for state in _AGAIN):
        return []
    return [(batch.name, _whole(order.verb, batch))]


def batch_of(number: int, scheduler: Scheduler) -> Batch:
    """Return a batch; raises MissingError."""
    if number not in scheduler.batches:
        raise MissingError(f"There is no batch {number} in this session.")
    return scheduler.batches[number]


def _open(batch: Batch, views: Views) -> bool:
    """Tell whether there is something left to do."""
    waiting = batch.jobs.count(State.QUEUED) + batch.jobs.count(State.RUNNING)
    return bool(waiting) or views.total(batch.number) > batch.jobs.total


_CONCERNS: dict[str, Callable[[Batch, Views], bool]] = {
    "pause": lambda batch, views: not batch.paused and _open(batch, views),
    "resume": lambda batch, _views: batch.paused,
    "cancel": _open,
    "retry": lambda batch, _views: any(batch.jobs.count(state) for state in _AGAIN),
}


def _whole(verb: str, batch: Batch) -> m.Message:
    match verb:
        case "pause":
            return m.Pause(batch.number)
        case "resume":
            return m.Resume(batch.number)
        case "cancel":
            return m.Cancel(batch.number, None)
    return m.Retry(batch.number, ((0, batch.jobs.total),))


def _single(verb: str, batch: Batch, job: int, views: Views) -> m.Message:
    if job >= views.total(batch.number):
        raise MissingError(f"Batch {batch.name!r} has no job {job}.")
    if verb not in ("cancel", "retry"):
        raise UsageError(f"A whole batch can be told to {verb}, not one job.")
    if job >= batch.jobs.total:
        raise UsageError(f"Job {job} of batch {batch.name!r} has not been drawn yet: cancel the batch, or wait.")
    state, run = batch.jobs.state_of(job), ((job, job + 1),)
    if verb == "retry":
        if state not in _AGAIN:
            raise UsageError(f"Job {job} of batch {batch.name!r} is {state.value}: only what has failed is retried.")
        return m.Retry(batch.number, run)
    if state not in (State.QUEUED, State.RUNNING):
        raise UsageError(f"Job {job} of batch {batch.name!r} has ended already: it is {state.value}.")
    return m.Cancel(batch.number, run)
