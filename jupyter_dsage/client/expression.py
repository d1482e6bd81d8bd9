"""*Add jobs*: an expression typed into the view, evaluated in a process of its own with the batch's captured names.

Not in the kernel, whose names may be in use by a running cell, and not in a worker, which may be busy for hours.
"""

from __future__ import annotations

import pickle
import subprocess
from typing import TYPE_CHECKING, Any

from jupyter_dsage import settings
from jupyter_dsage.errors import UsageError
from jupyter_dsage.net import launch

if TYPE_CHECKING:
    from jupyter_dsage.client.batch import Batch


def jobs_of(batch: Batch, text: str) -> list[Any]:
    """Return the jobs that an expression stands for, ready for `Batch.add`.

    Raises UsageError with what went wrong: the expression's own exception, or that it took too long.
    """
    question = pickle.dumps((text, batch.session.function_payload(batch.function)))
    process = subprocess.Popen(
        launch.command("jupyter_dsage.worker.evaluate"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        answer, _ = process.communicate(question, settings.EVALUATE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise UsageError(f"{text!r} took more than {settings.EVALUATE_SECONDS:.0f} s to evaluate.") from None
    if process.returncode or not answer:
        raise UsageError(f"{text!r} could not be evaluated: its process ended with code {process.returncode}.")
    jobs, error = pickle.loads(answer)  # noqa: S301  (from a process that we started, with the user's own names)
    if error is not None:
        raise UsageError(error)
    if batch.bare:
        return list(jobs)
    return [job if _is_pair(job) else (job if isinstance(job, tuple) else (job,), {}) for job in jobs]


def _is_pair(job: Any) -> bool:
    """Tell whether a job is an (args, kwargs) pair; else it is the values of a comprehension's variables."""
    return isinstance(job, (tuple, list)) and len(job) == 2 and isinstance(job[1], dict)  # noqa: PLR2004
