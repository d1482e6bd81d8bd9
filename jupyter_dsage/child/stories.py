"""The scheduler's stories as people and messages have them: why a worker is gone, why an engine does not work."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from jupyter_dsage.core import commands as c
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jupyter_dsage.core.wants import Wants


def tale(story: object) -> m.Story:
    """Return a story of the scheduler's as it travels."""
    if isinstance(story, c.NoEngine):
        wanted = "functions" if story.service is None else f"the service {story.service!r}"
        hint = "call a service by its name" if story.service is None else "see which it has in session.engines"
        if story.wants.engines or story.wants.resources:
            what = f"{wanted} that want to run {wish(story.wants)}"
            ending = f"no engine of this session runs {what}: add one that does, and retry them"
        else:
            ending = f"no engine of this session runs {wanted}: add one that does, or {hint}"
        return m.Story(0, os.uname().nodename, 0, ending, 0.0, 0, "")
    if isinstance(story, c.Removed):
        ending = f"the removal of its engine {story.engine} while it may have been running, and it runs only once"
        return m.Story(0, os.uname().nodename, 0, ending, 0.0, 0, "")
    if isinstance(story, m.Story):
        return story
    raise TypeError(f"{story!r} is no story")


def wish(wants: Wants) -> str:
    """Return in words what jobs want of their engine; empty if they run anywhere."""
    named = f"on {' or '.join(wants.engines)}" if wants.engines else ""
    amounts = ", ".join(f"{name}={amount}" for name, amount in wants.resources)
    return " ".join(filter(None, (named, f"with {amounts}" if amounts else "")))


def note_of(failure: object, note: str, slots: int, resting: int, resources: Iterable[tuple[str, int]]) -> str:
    """Return what people should know of an engine: its trouble, else how it is, and what it has."""
    if text := trouble(failure):
        return text
    rest = "all of its workers" if resting == slots else f"{resting} of its {slots} workers"
    left = "has left for want of work, and comes" if resting == 1 < slots else "have left for want of work, and come"
    parts = [f"{rest} {left} back with it"] if resting else []
    has = ", ".join(f"{name}: {amount}" for name, amount in resources)
    return "; ".join(filter(None, (note, *parts, f"has {has}" if has else "")))


def unstored(folder: str, why: str) -> m.Story:
    """Return the story of jobs whose outcome or arguments could not be stored."""
    ending = f"the disk: {folder} cannot take what belongs to it ({why})"
    return m.Story(0, os.uname().nodename, 0, ending, 0.0, 0, folder, "storage")


def killed_child() -> m.Story:
    """Return the story of a job that ran each time when the child was killed."""
    ending = "the end of the session's background process, three times while it ran, which it probably killed"
    return m.Story(0, os.uname().nodename, 0, ending, 0.0, 0, "")


def untrue(worker: int, host: str, pid: int, why: str) -> m.Story:
    """Return the story of a worker that was killed for what it had told."""
    ending = f"a report for which it was killed: {why.rstrip('.')}"
    return m.Story(worker, host, pid, ending, 0.0, 0, "")


def trouble(failure: object) -> str:
    """Return in one sentence why an engine cannot start workers; empty while it can."""
    if not isinstance(failure, m.Story):
        return ""
    return failure.ending if failure.worker == 0 else f"cannot start workers: {tell(failure)}"


def tell(story: m.Story) -> str:
    """Return a story as one sentence."""
    if story.worker == 0:
        return story.ending
    lines = story.output.strip().splitlines()
    last = f"; its last line: {lines[-1]}" if lines else ""
    loading = f" while it loaded the {story.loading} of a job" if story.loading else ""
    return f"worker {story.worker} (pid {story.pid}) on {story.host} ended with {story.ending}{loading}{last}"
