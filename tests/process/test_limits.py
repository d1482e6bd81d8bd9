"""One job, one fate: limits of time and memory, stopped processes, exact blame, no orphans."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

import jupyter_dsage as dsage
from jupyter_dsage.net.sweep import sweep
from tests.process import jobs
from tests.until import until

GROUP = Path("/sys/fs/cgroup/memory")


def took(batch, limit):
    """Wait for a batch; return the seconds that it took beyond the limit."""
    began = time.monotonic()
    assert batch.wait(30)
    return time.monotonic() - began - limit


# --- limits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["sleeps", "computes", "ignores SIGINT", "catches everything"])
def test_time_limit_ends_that_job_within_two_seconds_and_no_neighbour(session, tmp_path, how):
    assert session.wait_for_workers(20)
    fast = [((str(tmp_path), n), {}) for n in range(40)]
    calls = [*fast[:20], ((str(tmp_path), 100, how), {}), *fast[20:]]
    batch = session.scatter(jobs.noted_or_long, calls, timeout=0.5)
    assert took(batch, 0.5) < 2
    with pytest.raises(dsage.JobTimeout, match=r"Job 20 overstepped its time limit of 0.5 s"):
        batch[20].result()
    assert batch.results("skip") == list(range(40))
    assert jobs.starts(tmp_path, 100) == 1
    twice = [n for n in range(40) if jobs.starts(tmp_path, n) > 1]
    assert len(twice) * jobs.NOTED_SECONDS <= 0.02, twice  # what ended in the last 10 ms before a kill
    assert batch.counts["failed"] == 1
    assert session.map(jobs.square, range(100)).results(timeout=20) == [n * n for n in range(100)]


def test_time_limit_is_retried_like_an_exception(session, tmp_path):
    batch = session.scatter(jobs.noted, [((str(tmp_path), 0, 30), {})], timeout=0.2, retries=1)
    assert isinstance(batch[0].exception(20), dsage.JobTimeout)
    assert jobs.starts(tmp_path, 0) == 2


def test_time_limit_where_the_traceback_tells_where_it_was(session):
    error = session.map(jobs.nap, [30], timeout=0.2)[0].exception(20)
    assert "time.sleep(seconds)" in str(error.__cause__)


def test_limits_hold_for_services_too(session):
    assert session.scatter("/all_series", [([10], {})], timeout=5).results(timeout=20)
    error = session.scatter("/all_series", [([1000], {}), ([10**9], {})], timeout=0.3)[1].exception(20)
    assert isinstance(error, dsage.JobTimeout)


@pytest.mark.parametrize("at_once", [False, True])
def test_memory_limit_ends_that_job_only(session, at_once):
    calls = [(10, at_once), (900, at_once), (20, at_once)]
    batch = session.scatter(jobs.eat, [(call, {}) for call in calls], memory=300_000_000)
    began = time.monotonic()
    assert batch.results("skip", timeout=20) == [10, 20]
    assert time.monotonic() - began < 4
    with pytest.raises(dsage.JobMemoryError, match=r"Job 1 overstepped its memory limit of 300 MB"):
        batch[1].result()


def test_cancelled_job_is_no_time_limit(session):
    batch = session.map(jobs.nap, [30], timeout=20)
    until(lambda: session.workers)
    batch[0].cancel()
    assert batch[0].cancelled()
    assert session.map(jobs.square, [2]).results(timeout=20) == [4]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"timeout": 0}, "timeout=0 is no time limit"),
        ({"timeout": "3"}, "timeout='3' is no time limit"),
        ({"memory": 0.5}, "memory=0.5 is no memory limit"),
        ({"priority": "high"}, "priority='high' is no priority"),
        ({"at_most_once": 1}, "neither True nor False"),
    ],
)
def test_options_that_mean_nothing(session, options, sentence):
    with pytest.raises(dsage.UsageError, match=sentence):
        session.map(jobs.square, [1], **options)
    with pytest.raises(TypeError, match="unknown option 'timeoutt'"):
        session.map(jobs.square, [1], timeoutt=1)


def test_higher_priority_goes_first(session, tmp_path):
    gate = tmp_path / "gate"
    held = session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(2)])
    until(lambda: jobs.starts(tmp_path, 0) and jobs.starts(tmp_path, 1))
    low = session.scatter(jobs.noted_when, [((str(tmp_path / "order"), "low"), {}) for _ in range(20)], priority=-1)
    high = session.scatter(jobs.noted_when, [((str(tmp_path / "order"), "high"), {}) for _ in range(20)], priority=1)
    session.settle()
    gate.touch()
    assert all(batch.wait(20) for batch in (held, low, high))
    order = (tmp_path / "order").read_text().split()
    assert order.index("low") >= 18  # two workers: the last two high ones may still run


# --- stopped processes ---------------------------------------------------------------------------------------


@pytest.mark.needs("linux")
def test_stopped_worker_is_lost_and_one_that_goes_on_is_not(tmp_path):
    with dsage.spawn("local:?slots=3") as session:
        assert session.wait_for_workers(20)
        batch = session.scatter(jobs.noted, [((str(tmp_path), n, 3.0), {}) for n in range(2)])
        until(lambda: jobs.starts(tmp_path, 0) and jobs.starts(tmp_path, 1))
        [one], [two] = jobs.pids(tmp_path, 0), jobs.pids(tmp_path, 1)
        os.kill(one, signal.SIGSTOP)
        os.kill(two, signal.SIGSTOP)
        assert session.map(jobs.nap, [2.0]).results(timeout=20) == [2.0]  # less than it takes to be lost
        os.kill(two, signal.SIGCONT)
        assert batch[1].result(20) == 1
        assert batch[0].result(30) == 0
        assert jobs.starts(tmp_path, 1) == 1
        assert jobs.starts(tmp_path, 0) == 2
        assert not psutil.pid_exists(one)


@pytest.mark.needs("linux")
def test_stopped_supervisor_is_replaced_with_its_workers(session, tmp_path):
    assert session.wait_for_workers(20)
    workers = [worker.pid for worker in session.workers]
    os.kill(psutil.Process(workers[0]).ppid(), signal.SIGSTOP)
    batch = session.scatter(jobs.noted, [((str(tmp_path), n, 0.1), {}) for n in range(200)])
    assert batch.results(timeout=40) == list(range(200))
    until(lambda: not any(psutil.pid_exists(pid) for pid in workers), 20)


# --- blame ---------------------------------------------------------------------------------------------------


def test_story_of_a_lost_job_names_what_is_known(session):
    with pytest.raises(
        dsage.WorkerLost,
        match=r"(?s)took its worker with it 3 times.*worker \d+ \(pid \d+\) on .*signal 6 \(SIGABRT\) after "
        r"\d\.\d s in the job; peak memory \d+ MB\. Its last lines:.*the last word",
    ):
        session.map(jobs.abort_with, ["the last word"])[0].result(30)


@pytest.mark.needs("root", "linux")
@pytest.mark.skipif(not (GROUP / "memory.limit_in_bytes").exists(), reason="no control groups of version 1 here")
def test_out_of_memory_is_called_so_where_the_system_says_so():
    group = GROUP / f"dsage-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text("200000000")
        with dsage.spawn("local:?slots=1") as session:
            for process in psutil.Process(session.pid).children(recursive=True):
                (group / "cgroup.procs").write_text(str(process.pid))
            session.wait_for_workers(20)
            session.refresh()  # a worker that is born in the group
            with pytest.raises(dsage.WorkerLost, match="from the system, since memory was exhausted; it took"):
                session.scatter(jobs.eat, [((900, True), {})])[0].result(30)
    finally:
        until(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


# --- orphans -------------------------------------------------------------------------------------------------


@pytest.mark.needs("linux")
@pytest.mark.parametrize("killed", ["supervisor", "child", "both"])
def test_what_jobs_started_goes_with_what_is_killed(killed):
    session = dsage.spawn("local:?slots=2", journal=killed == "child")
    try:
        folder = str(session._started.folder)
        assert session.wait_for_workers(20)
        workers = [worker.pid for worker in session.workers]
        started = session.map(jobs.grandchild_of_its_own, [None]).results(timeout=20)[0]
        supervisor = psutil.Process(workers[0]).ppid()
        child = session.pid
        os.kill(child, signal.SIGSTOP)
        for pid in {"supervisor": [supervisor], "child": [child], "both": [supervisor, child]}[killed]:
            os.kill(pid, signal.SIGKILL)
        if killed == "supervisor":
            os.kill(child, signal.SIGCONT)
        if killed == "both":
            until(lambda: not any(psutil.pid_exists(pid) for pid in workers), 5)
            assert psutil.pid_exists(started)
            assert sweep(folder) >= 1  # what the next child of the session does
        until(lambda: not any(psutil.pid_exists(pid) for pid in [started, *workers]), 5)
    finally:
        session.die()


def test_sweep_spares_what_is_not_its_own(tmp_path):
    other = subprocess.Popen(["/bin/sleep", "100"], env={"JUPYTER_DSAGE_PLACE": str(tmp_path / "other")})
    mine = subprocess.Popen(["/bin/sleep", "100"], env={"JUPYTER_DSAGE_PLACE": str(tmp_path / "mine" / "dsage-1")})
    try:
        assert sweep(str(tmp_path / "mine")) == 1
        assert not psutil.pid_exists(mine.pid)
        assert other.poll() is None
    finally:
        mine.returncode = 0  # it was collected
        other.kill()
        other.wait()
