"""Jobs that kill what watches them: the page names them after such an end too, and neighbours run on (P3, P4)."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

import jupyter_dsage as dsage
from tests.process import jobs


def kill_parent(n):
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(10)
    return n


def slow(folder, n):
    jobs.note(folder, n)
    time.sleep(0.2)
    return n


def kill_child(n):
    """Kill the child of the session: the parent of this worker's supervisor."""
    os.kill(psutil.Process(os.getppid()).ppid(), signal.SIGKILL)
    time.sleep(10)
    return n


SUPERVISOR = (kill_parent, ("3 times", "the end of its supervisor"))
CHILD = (kill_child, ("the session's background process", "probably killed"))


@pytest.mark.slow
@pytest.mark.parametrize(("kill", "story"), [SUPERVISOR, CHILD], ids=["supervisor", "child"])
def test_a_job_that_kills_what_it_runs_under_is_lost_after_three_and_its_neighbours_run_on(
    session, tmp_path, kill, story
):
    neighbours = session.scatter(slow, [((str(tmp_path), n), {}) for n in range(30)])
    batch = session.map(kill, [0])
    (error,) = batch.results(errors="return", timeout=40)
    assert isinstance(error, dsage.WorkerLost)
    for part in ("Job 0 of batch", *story):
        assert part in str(error)
    assert neighbours.results(timeout=30) == list(range(30))
    assert kill is kill_child or max(jobs.starts(tmp_path, n) for n in range(30)) <= 2
    assert batch.counts["lost"] == 1
    assert session.map(jobs.square, range(5)).results(timeout=20) == [0, 1, 4, 9, 16]


@pytest.mark.slow
def test_several_that_kill_their_supervisors_are_all_found(session, tmp_path):
    killers = session.map(kill_parent, range(3))
    neighbours = session.scatter(slow, [((str(tmp_path), n), {}) for n in range(20)])
    errors = killers.results(errors="return", timeout=60)
    assert all(isinstance(error, dsage.WorkerLost) for error in errors)
    assert neighbours.results(timeout=30) == list(range(20))
    assert max(jobs.starts(tmp_path, n) for n in range(20)) <= 3
