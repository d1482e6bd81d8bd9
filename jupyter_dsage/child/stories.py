"""The scheduler's stories as people and messages have them: why a worker is gone, why an engine does not work."""

from __future__ import annotations

import os

from jupyter_dsage.core import commands as c
from jupyter_dsage.wire import messages as m


def tale(story: object) -> m.Story:
    """Return a story of the scheduler's as it travels."""
    if isinstance(story, c.NoEngine):
        wanted = "functions" if story.service is None else f"the service {story.service!r}"
        hint = "call a service by its name" if story.service is None else "see which it has in session.engines"
        ending = f"no engine of this session runs {wanted}: add one that does, or {hint}"
        return m.Story(0, os.uname().nodename, 0, ending, 0.0, 0, "")
    if isinstance(story, c.Removed):
        ending = f"the removal of its engine {story.engine} while it may have been running, and it runs only once"
        return m.Story(0, os.uname().nodename, 0, ending, 0.0, 0, "")
    if isinstance(story, m.Story):
        return story
    raise TypeError(f"{story!r} is no story")


def unstored(folder: str, why: str) -> m.Story:
    """Return the story of jobs whose outcome or arguments could not be stored."""
    ending = f"the disk: {folder} cannot take what belongs to it ({why})"
    return m.Story(0, os.uname().nodename, 0, ending, 0.0, 0, folder, "storage")


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
    return f"worker {story.worker} (pid {story.pid}) on {story.host} ended with {story.ending}{last}"
