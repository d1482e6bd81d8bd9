"""How sessions start and end: nothing hangs, nothing is left (P1, P8)."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import jupyter_dsage as dsage
from tests.process import jobs
from tests.until import until


def test_die_ends_everything_grandchildren_included(session, tmp_path):
    pid = session.map(jobs.grandchild, [str(tmp_path / "pid")]).results()[0]
    assert psutil.pid_exists(pid)
    waiting = session.scatter(jobs.wait_for, [((str(tmp_path / "never"),), {}) for _ in range(10)])
    session.die()
    assert not psutil.pid_exists(session.pid)
    until(lambda: not psutil.pid_exists(pid), 5)
    assert all(isinstance(error, dsage.SessionLost) for error in waiting.results(errors="return"))
    with pytest.raises(dsage.SessionLost, match=r"is over: it was ended by die\(\)"):
        session.map(jobs.square, [1])
    session.die()  # twice is no error


def test_killed_child_without_a_journal_ends_jobs_as_session_lost_and_takes_its_workers_with_it(tmp_path):
    session = dsage.spawn("local:?slots=2", journal=False)
    assert session.wait_for_workers(20)
    workers = [worker.pid for worker in session.workers]
    batch = session.scatter(jobs.wait_for, [((str(tmp_path / "never"),), {}) for _ in range(4)])
    os.kill(session.pid, signal.SIGKILL)
    errors = batch.results(errors="return", timeout=20)
    assert all(isinstance(error, dsage.SessionLost) for error in errors)
    assert "signal 9" in str(errors[0])
    until(lambda: not any(psutil.pid_exists(pid) for pid in workers), 5)


@pytest.mark.needs("linux")
def test_killed_supervisor_takes_its_workers_with_it(session):
    assert session.wait_for_workers(20)
    workers = [worker.pid for worker in session.workers]
    psutil.Process(psutil.Process(workers[0]).ppid()).kill()
    until(lambda: not any(psutil.pid_exists(pid) for pid in workers), 5)


SCRIPT = """
import os, sys, time
import jupyter_dsage as dsage
from pathlib import Path

def slow(x):
    time.sleep(60)

session = dsage.spawn("local:?slots=2")
session.wait_for_workers(20)
batch = session.map(slow, range(4))
Path(sys.argv[1]).write_text(" ".join(str(pid) for pid in [session.pid, *(w.pid for w in session.workers)]))
{end}
"""


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("pass", 0),
        ("raise ValueError('a cell went wrong')", 1),
        ("os.kill(os.getpid(), 9)", -9),
        ("if os.fork() == 0:\n    time.sleep(8)\n    os._exit(0)\nos.kill(os.getpid(), 9)", -9),
    ],
    ids=["script ends", "script raises", "killed", "killed, with a fork that keeps the life line open"],
)
def test_session_ends_with_the_process_that_started_it(tmp_path, end, code):
    told = tmp_path / "pids"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(end=end), str(told)],
        check=False,
        timeout=60,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == code
    pids = [int(pid) for pid in told.read_text().split()]
    assert len(pids) == 3
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids), 5)
    if "fork" in end:
        # the fork itself is the script's own affair; wait for it, so that it is not taken for ours
        until(lambda: not [p for p in psutil.process_iter() if "time.sleep(8)" in " ".join(_cmdline(p))], 15)


def _cmdline(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_child_that_cannot_start_says_why(monkeypatch):
    monkeypatch.setattr("jupyter_dsage.net.launch._START", "raise SystemExit('no such luck: {!r}')")
    with pytest.raises(dsage.StartError, match=r"(?s)did not start: it ended with exit code 1.*no such luck"):
        dsage.spawn("local:?slots=1")


@pytest.mark.parametrize(
    ("urls", "sentence"),
    [
        ("local:?slots=0", "asks for '0' slots"),
        ("ftp://host", "unknown scheme 'ftp'"),
        ([], "list of engine URLs is empty"),
        ("slurm:?slots=2", "needs an address"),
    ],
)
def test_bad_urls_start_nothing(urls, sentence):
    with pytest.raises(dsage.EngineError, match=sentence):
        dsage.spawn(urls)


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    """In a container with ``--user 12345`` nobody has this number, and HOME is not set."""

    def unknown(number):
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "JUPYTER_DATA_DIR", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for call in (lambda: dsage.spawn("local:?slots=1"), dsage.sessions, dsage.attach):
        with pytest.raises(dsage.DsageError, match=r"no home directory.*: set HOME or JUPYTER_DATA_DIR"):
            call()
    with dsage.spawn("local:?slots=1", journal=False) as session:
        assert session.submit(jobs.square, 2).result(20) == 4


def test_log_that_is_no_file_is_refused():
    import io

    with pytest.raises(dsage.UsageError, match="must be an open file"):
        dsage.spawn("local:?slots=1", log=io.StringIO())


def test_default_is_a_worker_per_core():
    with dsage.spawn() as session:
        assert session.wait_for_workers(30)
        assert len(session.workers) == len(os.sched_getaffinity(0))


def test_stray_files_beside_the_notebook_do_not_hurt_our_processes(tmp_path, monkeypatch):
    for name in ("random", "zmq", "selectors", "logging"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the wrong module was imported')\n")
    monkeypatch.chdir(tmp_path)
    with dsage.spawn("local:?slots=1") as session:
        assert session.map(jobs.square, [4]).results(timeout=20) == [16]
        assert session.submit(os.getcwd).result(20) == str(tmp_path)


def test_import_is_light():
    code = (
        "import sys, jupyter_dsage; print([m for m in ('zmq', 'numpy', 'cloudpickle', 'psutil') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_sessions_side_by_side():
    with dsage.spawn("local:?slots=1") as one, dsage.spawn("local:?slots=1") as two:
        assert one.id != two.id
        started = time.monotonic()
        assert one.map(jobs.square, [1]).results() == [1]
        assert two.map(jobs.square, [2]).results() == [4]
        assert time.monotonic() > started


def test_a_fork_that_submits_disturbs_nobody(session):
    with session.executor() as executor:
        for submit in (session.submit, executor.submit):
            before = [submit(jobs.square, number) for number in range(50)]
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    submit(jobs.square, 1)
                except dsage.SessionLost:
                    code = 0
                finally:
                    os._exit(code)
            assert os.waitpid(pid, 0)[1] == 0
            after = [submit(jobs.square, number) for number in range(50)]
            assert [job.result(20) for job in (*before, *after)] == [number**2 for number in range(50)] * 2


def test_session_does_not_work_in_a_fork(session):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            session.map(jobs.square, [1])
        except dsage.SessionLost as error:
            os.write(write, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert b"belongs to the process that forked this one" in os.read(read, 1000)
    os.close(read)
    os.close(write)
    assert session.map(jobs.square, [3]).results() == [9]
