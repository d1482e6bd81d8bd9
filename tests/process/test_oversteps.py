"""Jobs that overstep a limit and try to get away with it, and what is left of them (the plain ones: test_limits.py).

Each time ten jobs, of which number 5 oversteps: its neighbours end well, and run once.
"""

from __future__ import annotations

import psutil
import pytest

import jupyter_dsage as dsage
from tests.process import jobs
from tests.until import until

LIMIT = 0.5
BIG = 400_000_000


def misbehaved(session, folder, way, **options):
    """Run the ten jobs; return the batch and what came of number 5."""
    batch = session.scatter(jobs.overstep, [((str(folder), n, way), {}) for n in range(10)], **options)
    values = batch.results(errors="return", timeout=30)
    assert [value for n, value in enumerate(values) if n != 5] == [n for n in range(10) if n != 5]
    assert [jobs.starts(folder, n) for n in range(10) if n != 5] == [1] * 9
    return batch, values[5]


@pytest.mark.parametrize(
    ("way", "killed"),
    [
        ("catches every Exception", False),
        ("catches everything and returns", False),
        ("catches everything and raises another", False),
        ("holds the interpreter lock", True),
    ],
)
def test_no_job_gets_away_with_taking_too_long(session, tmp_path, way, killed):
    assert session.wait_for_workers(20)
    before = {worker.pid for worker in session.workers}
    batch, error = misbehaved(session, tmp_path, way, timeout=LIMIT)
    assert type(error) is dsage.JobTimeout
    assert "Job 5 overstepped its time limit of 0.5 s" in str(error)
    assert ("did not end by itself" in str(error)) == killed
    assert jobs.starts(tmp_path, 5) == 1
    assert (batch.counts["failed"], batch.counts["lost"]) == (1, 0)
    until(lambda: len([worker for worker in session.workers if worker.stage == "ready"]) == 2)
    assert len(before - {worker.pid for worker in session.workers}) == killed


def test_the_traceback_shows_where_the_job_was_and_nothing_of_ours(session, tmp_path):
    _, error = misbehaved(session, tmp_path, "sleeps", timeout=LIMIT)
    lines = str(error.__cause__)
    assert "time.sleep(60)" in lines
    assert "jupyter_dsage/worker" not in lines


def test_who_was_killed_for_its_limit_is_told_with_its_last_lines(session, tmp_path):
    _, error = misbehaved(session, tmp_path, "holds the interpreter lock", timeout=LIMIT)
    assert "about to hold the lock" in str(error)
    for part in ("worker", "pid", "s in the job", "peak memory"):
        assert part in str(error)


@pytest.mark.parametrize("way", ["sleeps", "holds the interpreter lock"])
def test_both_are_tried_again_as_retries_says(session, tmp_path, way):
    _, error = misbehaved(session, tmp_path, way, timeout=LIMIT, retries=1)
    assert type(error) is dsage.JobTimeout
    assert jobs.starts(tmp_path, 5) == 2


@pytest.mark.parametrize("way", ["takes memory", "starts who takes memory", "takes memory and goes on"])
def test_a_job_that_takes_too_much_memory_ends_with_what_it_started(session, tmp_path, way):
    _, error = misbehaved(session, tmp_path, way, memory=BIG)
    assert type(error) is dsage.JobMemoryError
    assert "Job 5 overstepped its memory limit of 400 MB" in str(error)
    for pid in jobs.pids(tmp_path, "started"):
        until(lambda pid=pid: not psutil.pid_exists(pid), 5)


def test_what_a_job_that_took_too_much_left_behind_is_not_charged_to_the_next(tmp_path):
    with dsage.spawn("local:?slots=1") as session:
        batch = session.scatter(jobs.leave_memory, [((str(tmp_path), n), {}) for n in range(6)], memory=BIG)
        values = batch.results(errors="return", timeout=30)
        assert type(values[0]) is dsage.JobMemoryError
        assert values[1:] == [1, 2, 3, 4, 5]
        assert [jobs.starts(tmp_path, n) for n in range(6)] == [1] * 6


@pytest.mark.needs("linux")
def test_what_processes_share_is_counted_once(session):
    assert session.map(jobs.forks_with_memory, [100_000_000], memory=BIG).results(timeout=30) == [4]


def test_jobs_just_below_their_limit_are_never_charged_for_one_beyond_it(session, tmp_path):
    calls = [((str(tmp_path), n, 0.06 if n % 10 else 0.5), {}) for n in range(40)]
    values = session.scatter(jobs.noted, calls, timeout=0.2).results(errors="return", timeout=60)
    assert [type(value) for n, value in enumerate(values) if not n % 10] == [dsage.JobTimeout] * 4
    assert [value for n, value in enumerate(values) if n % 10] == [n for n in range(40) if n % 10]
    assert [jobs.starts(tmp_path, n) for n in range(40)] == [1] * 40


@pytest.mark.parametrize(("once", "starts"), [(False, 3), (True, 1)])
def test_a_job_that_breaks_what_tells_its_outcome_is_to_blame_and_at_most_once_is_kept(tmp_path, once, starts):
    with dsage.spawn("local:?slots=2") as session:
        calls = [((str(tmp_path), n), {}) for n in range(10)]
        values = session.scatter(jobs.close_descriptors, calls, at_most_once=once).results(errors="return", timeout=60)
        assert isinstance(values[5], dsage.WorkerLost)
        assert [value for n, value in enumerate(values) if n != 5] == [n for n in range(10) if n != 5]
        assert jobs.starts(tmp_path, 5) == starts


def test_a_worker_that_keeps_the_interpreter_lock_is_not_lost(session):
    assert session.wait_for_workers(20)
    before = {worker.pid for worker in session.workers}
    assert session.map(jobs.hold_the_lock_for, [3, 3]).results(timeout=30) == [3, 3]
    assert {worker.pid for worker in session.workers} == before


@pytest.mark.slow
def test_nor_is_one_that_keeps_it_for_longer_than_a_silence_may_last(session):
    assert session.wait_for_workers(20)
    before = {worker.pid for worker in session.workers}
    assert session.map(jobs.hold_the_lock_for, [60]).results(timeout=90) == [60]
    assert {worker.pid for worker in session.workers} == before
