"""Children that are killed again while their successors start: within what is allowed the session goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import psutil
import pytest

import jupyter_dsage as dsage
from jupyter_dsage import settings
from tests.process import jobs


def kill_children(count):
    """Kill each child of a session of this process as soon as it is there, so many in all."""
    killed = set()
    deadline = time.monotonic() + 30
    while len(killed) < count:
        assert time.monotonic() < deadline
        for process in psutil.Process().children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.pid not in killed and "jupyter_dsage.child" in " ".join(process.cmdline()):
                    os.kill(process.pid, signal.SIGKILL)
                    killed.add(process.pid)


@pytest.mark.parametrize("count", [2, pytest.param(settings.REVIVALS, marks=pytest.mark.slow)])
def test_a_child_that_is_killed_while_it_starts_is_followed_by_another(session, tmp_path, count):
    done = session.map(jobs.square, range(10))
    assert done.wait(20)
    batch = session.scatter(jobs.wait_for, [((str(tmp_path / "gate"), n), {}) for n in range(4)])
    kill_children(count)
    (tmp_path / "gate").touch()
    assert batch.results(timeout=30) == [0, 1, 2, 3]
    assert done.results(timeout=10) == [n * n for n in range(10)]


@pytest.mark.slow
def test_one_more_than_is_allowed_ends_the_session_in_words(tmp_path):
    with dsage.spawn("local:?slots=1") as session:
        batch = session.scatter(jobs.wait_for, [((str(tmp_path / "gate"), 1), {})])
        kill_children(settings.REVIVALS + 1)
        (error,) = batch.results(errors="return", timeout=30)
        assert isinstance(error, dsage.SessionLost)
        assert f"{settings.REVIVALS + 1} times within" in str(error)
