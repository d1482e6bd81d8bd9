"""The story of a lost job, told to its user: signal, host, seconds, memory, last lines (P4).

Used by the client, which raises it, and by the child, which shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dsage.errors import JobMemoryError, JobTimeout, StorageFull, WorkerLost

if TYPE_CHECKING:
    from jupyter_dsage.wire import messages as m


def lost_job(message: m.Lost, batch: str, job: int) -> BaseException:
    """Return the exception of a job that was lost; `batch`: the batch's name."""
    if message.story.cause == "storage":
        where = f"Job {job} of batch {batch!r} is lost to {message.story.ending}"
        text = f"{where}. Make room there, or mend what it says, and retry."
        return StorageFull(text)
    if message.story.cause in ("timeout", "memory"):
        kind = JobTimeout if message.story.cause == "timeout" else JobMemoryError
        return kind(_overstepped(message.story, job))
    return WorkerLost(_sentence(message, batch, job))


def _sentence(message: m.Lost, batch: str, job: int) -> str:
    story = message.story
    if not message.attempts and not story.worker:
        return f"Job {job} of batch {batch!r} could not run: {story.ending}."
    if not message.attempts:
        return f"Job {job} of batch {batch!r} could not run, since no worker is left: {_end(story)}."
    if not story.worker:
        return f"Job {job} of batch {batch!r} is lost by {story.ending}."
    if story.loading == "function":
        text = (
            f"Job {job} of batch {batch!r} could not run: {message.attempts} workers in a row were lost while they "
            f"loaded its function, with the modules that it imports. The last one, worker {story.worker} (pid "
            f"{story.pid}) on {story.host}, ended with {story.ending} after {story.seconds:.1f} s."
        )
        return _with_lines(text, story)
    times = "once" if message.attempts == 1 else f"{message.attempts} times"
    text = (
        f"Job {job} of batch {batch!r} took its worker with it {times}. The last one, worker {story.worker} "
        f"(pid {story.pid}) on {story.host}, ended with {story.ending} after {story.seconds:.1f} s in the job"
        f"{_loading(story)}; peak memory {story.peak_bytes / 1e6:.0f} MB."
    )
    return _with_lines(text, story)


def _overstepped(story: m.Story, job: int) -> str:
    text = (
        f"Job {job} overstepped {story.ending}. It did not end by itself, so worker {story.worker} (pid {story.pid}) "
        f"on {story.host} was ended, after {story.seconds:.1f} s in the job{_loading(story)}; peak memory "
        f"{story.peak_bytes / 1e6:.0f} MB."
    )
    return _with_lines(text, story)


def _loading(story: m.Story) -> str:
    """Return in words that the job had not begun to run: what it needs was being loaded."""
    return (
        f", while its {story.loading} {'was' if story.loading == 'function' else 'were'} loaded"
        if story.loading
        else ""
    )


def _with_lines(text: str, story: m.Story) -> str:
    lines = story.output.strip()
    return f"{text} Its last lines:\n{lines}" if lines else text


def _end(story: m.Story) -> str:
    lines = story.output.strip().splitlines()
    last = f"; its last line: {lines[-1]}" if lines else ""
    return f"{story.ending} on {story.host}{last}"
