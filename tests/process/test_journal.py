"""Nothing is lost: what the journal keeps when the child is killed, the disk is full, or memory is short."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sqlite3
import subprocess
import threading
from pathlib import Path

import psutil
import pytest

import jupyter_dsage as dsage
from jupyter_dsage import settings
from jupyter_dsage.store.journal import Journal
from tests.process import jobs
from tests.process.scripts import Client
from tests.until import until

MOUNT, UMOUNT = "/bin/mount", "/bin/umount"


def finished(batch, count):
    return until(lambda: batch.counts["finished"] >= count)


def kill(session):
    """Kill the child, and wait until the session has another one."""
    before = session.pid
    os.kill(before, signal.SIGKILL)
    until(lambda: session.pid != before)


# --- a killed child ------------------------------------------------------------------------------------------


def test_killed_child_is_revived_and_no_outcome_that_was_told_is_run_again(session, tmp_path):
    batch = session.scatter(jobs.noted, [((str(tmp_path), n, 0.02), {}) for n in range(100)], name="half")
    finished(batch, 50)
    told = [job.index for job in batch if job.done()]
    kill(session)
    assert batch.results(timeout=30) == list(range(100))
    assert all(jobs.starts(tmp_path, n) == 1 for n in told)
    assert sum(jobs.starts(tmp_path, n) for n in range(100)) <= 100 + 2 * 10  # what ran, and was not told yet
    assert session.map(jobs.square, [3]).results() == [9]


def test_killed_twice_and_while_jobs_are_added(session):
    batch = session.map(jobs.square, range(10))
    kill(session)
    batch.add(range(10, 20000))
    kill(session)
    single = session.submit(jobs.square, 7)
    assert batch.results(timeout=30) == [n * n for n in range(20000)]
    assert single.result(20) == 49


def test_failures_retries_and_cancels_outlive_the_child(session, tmp_path):
    failing = session.map(int, ["1", "x", "3"], name="failing")
    failing.wait(20)
    held = session.scatter(jobs.wait_for, [((str(tmp_path / "gate"), n), {}) for n in range(6)], name="held")
    held[5].cancel()
    held.pause()
    kill(session)
    assert isinstance(failing[1].exception(20), ValueError)
    old = failing[1]
    assert failing.retry() == 1
    assert isinstance(failing[1].exception(20), ValueError)
    assert failing[1] is not old
    assert held[5].cancelled()
    (tmp_path / "gate").touch()
    held.resume()
    assert held.results("skip", timeout=20) == [0, 1, 2, 3, 4]


def test_jobs_that_may_run_only_once_are_lost_when_nobody_knows_their_end(session, tmp_path):
    once = session.scatter(
        jobs.wait_for, [((str(tmp_path / "never"),), {}) for _ in range(2)], name="once", at_most_once=True
    )
    more = session.scatter(jobs.noted, [((str(tmp_path), n), {}) for n in range(50)], at_most_once=True, priority=-1)
    views = []
    once.watch(views.append)
    until(lambda: views and len([w for w in views[-1]["workers"] if w["job"] is not None]) == 2)
    kill(session)
    for job in once:
        with pytest.raises(dsage.WorkerLost, match="it runs only once"):
            job.result(20)
    assert more.results(timeout=20) == list(range(50))
    assert {jobs.starts(tmp_path, n) for n in range(50)} == {1}


def test_session_whose_children_are_killed_again_and_again_ends_with_the_reason(session, monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "REVIVALS", 1)
    batch = session.map(jobs.wait_for, [str(tmp_path / "never")])
    kill(session)
    os.kill(session.pid, signal.SIGKILL)
    with pytest.raises(dsage.SessionLost, match=r"signal 9.*2 times within 60 s"):
        batch[0].result(20)


def test_stopped_child_is_taken_for_lost(session, monkeypatch):
    monkeypatch.setattr(settings, "CHILD_STOPPED_SECONDS", 1.5)
    before = session.pid
    os.kill(before, signal.SIGSTOP)
    batch = session.map(jobs.square, [5])
    assert batch.results(timeout=30) == [25]
    assert session.pid != before


# --- what was torn off ---------------------------------------------------------------------------------------


def test_torn_last_write_is_found_and_run_again(tmp_path):
    lines = f"""
    session = dsage.spawn("local:?slots=2", name="torn", on_kernel_exit="stay")
    batch = session.scatter(jobs.noted, [(({str(tmp_path)!r}, n, 0.01), {{}}) for n in range(60)], name="notes")
    large = session.map(bytes, [3_000_000], name="large")
    large.wait()
    while batch.counts["finished"] < 40:
        batch.wait(0.01)
    print(session.id)
    """
    with Client(lines) as client:
        [info] = [info for info in dsage.sessions() if info.id == client.words[0]]
        os.kill(info.pids[0], signal.SIGSTOP)  # first, so that neither goes on without the other
        client.kill()
        os.kill(info.pids[0], signal.SIGKILL)
    until(lambda: not any(psutil.pid_exists(pid) for pid in info.pids))
    log = Path(info.folder) / "journal.db-wal"
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size - 5000)
    for path in (Path(info.folder) / "payloads").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    with dsage.attach("torn") as session:
        assert session.batches["notes"].results(timeout=30) == list(range(60))
        assert session.batches["large"].results(timeout=30) == [bytes(3_000_000)]


def test_large_values_outlast_the_machine_soon_though_nothing_follows(session):
    session.map(bytes, [3_000_000]).wait(20)
    [info] = [info for info in dsage.sessions() if info.id == session.id]

    def noted() -> bool:
        with contextlib.closing(sqlite3.connect(Path(info.folder) / "journal.db")) as db:
            return db.execute("SELECT count(*) FROM log WHERE file IS NOT NULL AND boot = ''").fetchone()[0] == 1

    until(noted)


def test_journal_belongs_to_one_child(session):
    [info] = [info for info in dsage.sessions() if info.id == session.id]
    with pytest.raises(dsage.JournalError, match="in use: its session is alive"):
        Journal(info.folder)


def test_journal_is_for_its_user_only(session):
    session.map(bytes, [3_000_000]).wait(20)
    [info] = [info for info in dsage.sessions() if info.id == session.id]
    for path in (Path(info.folder), *Path(info.folder).rglob("*")):
        assert path.stat().st_mode & 0o077 == 0 or path.parent.name == "payloads", path
    assert Path(info.folder).stat().st_mode & 0o777 == 0o700


# --- a full disk ---------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    """Jupyter's data on a disk of 12 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run([MOUNT, "-t", "tmpfs", "-o", "size=12m", "none", str(folder)], check=True)
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(folder))
    yield folder
    subprocess.run([UMOUNT, "--lazy", str(folder)], check=True)


@pytest.mark.needs("root", "linux")
def test_full_disk_ends_the_jobs_concerned_and_the_session_goes_on(small_disk):
    with dsage.spawn("local:?slots=2") as session:
        batch = session.map(bytes, [1000, 30_000_000, 2000], name="results")
        with pytest.raises(dsage.StorageFull, match=str(small_disk)):
            batch[1].result(20)
        assert batch[0].result(20) == bytes(1000)
        assert batch[2].result(20) == bytes(2000)
        arguments = session.map(len, [b""], name="arguments")
        arguments.pause()  # a job that ends before its arguments are found to have no room is as good as any
        fill = small_disk / "fill"
        fill_up(fill)
        arguments.add([bytes(2_500_000)] * 3)
        assert all(isinstance(job.exception(20), dsage.StorageFull) for job in arguments[1:])
        arguments.resume()
        assert session.map(jobs.square, range(10)).results(timeout=20) == [n * n for n in range(10)]
        fill.unlink()
        assert arguments.retry() == 3
        assert arguments.results(timeout=20) == [0] + [2_500_000] * 3
        kill(session)
        assert session.map(jobs.square, [4]).results(timeout=20) == [16]
        fill_up(fill)
        kill(session)  # the next child finds a full disk
        assert session.map(jobs.square, range(20)).results(timeout=20) == [n * n for n in range(20)]


def fill_up(path):
    """Write until the disk is full, whatever others write there meanwhile."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    stat = os.statvfs(path.parent)
    assert stat.f_bavail * stat.f_frsize < 4096


# --- memory --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("journal", [True, False])
def test_outcomes_that_nobody_looked_at_leave_memory(journal, monkeypatch):
    monkeypatch.setattr(settings, "OUTCOMES_KEPT_BYTES", 50_000)
    with dsage.spawn("local:?slots=2", journal=journal) as session:
        batch = session.map(jobs.kilobyte, range(2000))
        large = session.map(bytes, [200_000, 3_000_000])
        assert batch.wait(30)
        assert large.wait(30)
    # the session is over, and its outcomes can still be read
    assert [value[:4] for value in batch.results()] == [n.to_bytes(4, "little") for n in range(2000)]
    assert [len(value) for value in large.results()] == [200_000, 3_000_000]
    assert batch[1500].result() is batch[1500].result()


def test_submit_slows_down_while_the_journal_is_behind(session, monkeypatch):
    monkeypatch.setattr(settings, "JOURNAL_BEHIND_BYTES", 2_000_000)
    session.submit(jobs.square, 1).result(20)
    os.kill(session.pid, signal.SIGSTOP)
    sent = itertools.count()
    done = []

    def submit():
        for _ in range(10):
            done.append(session.submit(len, bytes(1_000_000)))
            next(sent)

    thread = threading.Thread(target=submit)
    thread.start()
    until(lambda: len(done) >= 2)
    thread.join(0.3)  # what is behind is enough: nothing more goes out
    assert thread.is_alive()
    assert len(done) < 6
    os.kill(session.pid, signal.SIGCONT)
    thread.join(30)
    assert [job.result(20) for job in done] == [1_000_000] * 10
