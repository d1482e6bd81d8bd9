"""One job in words for people: state, arguments, worker, seconds, attempt, error, traceback, output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_dsage.client.record import Chunk
from jupyter_dsage.wire import brief

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.client.batch import Batch
    from jupyter_dsage.client.job import Job
    from jupyter_dsage.client.record import Holder


def describe(batch: Batch, job: Job, holder: Holder | None, arguments: str | None) -> dict[str, Any]:
    """Return the details of a job as the view wants them; None for what is not known."""
    out: dict[str, Any] = dict.fromkeys(("worker", "seconds", "attempt", "error", "traceback", "output"))
    out |= {"job": job.index, "args": arguments, "state": batch.session.state_of(batch.number, job.index)}
    if holder is None:
        out["output"] = job.output or None
        return out
    out["state"] = holder.state
    if isinstance(holder, Chunk):
        out |= _told(holder, job.index)
        out["worker"] = batch.session.worker_name(holder.worker)
        out["args"] = arguments or out.get("args")
    elif holder.state in ("lost", "failed"):
        _, error = holder.ending(job.index)
        out |= {"error": brief.error(type(error).__name__, str(error)), "traceback": str(error)}
    return out


def _told(chunk: Chunk, job: int) -> dict[str, Any]:
    """Return what a worker told of a job; its value is not unpickled."""
    out: dict[str, Any] = {
        "state": "finished",
        "seconds": round(chunk.seconds(job), 6),
        "attempt": chunk.attempts.get(job, 1),
        "output": chunk.output(job) or None,
    }
    raised = chunk.raised(job)
    if raised is not None:
        out |= {
            "state": "failed",
            "error": brief.error(raised.type_name, raised.said),
            "traceback": raised.traceback,
            "args": raised.arguments or None,
        }
    return out


def which(name: str, job: int, holder: Holder, given: Callable[[], str | None], worker: Callable[[int], str]) -> str:
    """Return which job it was and where it ran: ``job 2 of hist, x=2, on local/1, attempt 1``.

    `name`: its batch's; `given`: its arguments as far as this process has them; `worker`: number -> name.
    """
    told = holder if isinstance(holder, Chunk) else None
    raised = told.raised(job) if told else None
    parts = [f"job {job} of {name}", (raised.arguments if raised else "") or given() or ""]
    if told:
        parts += [f"on {worker(told.worker)}", f"attempt {told.attempts.get(job, 1)}"]
    return ", ".join(part for part in parts if part)
