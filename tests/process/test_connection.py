"""The client's own troubles: no descriptor left, a connection that breaks, callbacks that raise anything."""

from __future__ import annotations

import _thread
import socket
import subprocess
import sys
import threading

import pytest

import jupyter_dsage as dsage
from jupyter_dsage.testing.fake_session import FakeSession
from tests.process import jobs
from tests.until import until

FEW = """
import os, resource, sys
import jupyter_dsage as dsage

def large(number):
    return bytes([number % 256]) * 1_000_000

resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
with dsage.spawn("local:?slots=2", journal=sys.argv[1] == "journal") as session:
    session.map(large, range(2)).results(timeout=30)
    free = os.open("/dev/null", os.O_RDONLY)
    others = [os.open("/dev/null", os.O_RDONLY) for _ in range(256 - free - int(sys.argv[2]))]
    batch = session.map(large, range(60))
    assert batch.wait(60)
    told = set()
    for number, job in enumerate(batch):
        try:
            assert job.result() == large(number)
        except dsage.DsageError as error:
            told.add(str(error))
    for descriptor in others:
        os.close(descriptor)
    right = [job.result() == large(job.index) for job in batch] if sys.argv[1] == "journal" else []
    assert session.submit(len, bytes(3_000_000)).result(20) == 3_000_000
    print(sum(right), len(told), *told)
"""


def run_with_few(journal, spare):
    command = [sys.executable, "-c", FEW, journal, str(spare)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("spare", [1, 6, 14])
def test_a_client_without_descriptors_keeps_its_session_and_reads_its_values(spare):
    """It was declared over with an empty reason, though its child lived and held every result."""
    assert run_with_few("journal", spare).startswith("60 ")


@pytest.mark.slow
def test_without_a_journal_a_value_that_had_no_descriptor_says_so():
    right, _, told = run_with_few("none", 1).partition(" ")
    assert right == "0"  # not counted
    assert "no file descriptor left" in told


def test_a_broken_connection_is_made_anew_and_nothing_is_lost(session, tmp_path):
    gate = tmp_path / "gate"
    batch = session.scatter(jobs.wait_for, [((str(gate), number), {}) for number in range(6)])
    session.settle()
    session._link._link._socket.shutdown(socket.SHUT_RDWR)
    gate.touch()
    assert batch.results(timeout=20) == list(range(6))
    assert session.map(jobs.square, range(9)).results(timeout=20) == [number**2 for number in range(9)]


def test_without_a_journal_a_broken_connection_ends_the_session_in_words():
    with FakeSession({"here": 1}) as session:
        job = session.submit(jobs.square, 3)
        assert job.result(20) == 9
        session._link._receiver.connection_broken("the peer has gone")
        assert "without a journal" in session._ending


@pytest.mark.slow
@pytest.mark.parametrize("removed", ["client.sock", "connection.json", "both"])
def test_a_session_whose_folder_was_cleaned_is_found_by_others_again(session, removed):
    """As systems do with what is old in /tmp: `status` and `attach` of others waited for ten minutes."""
    folder = session._started.folder
    names = ("client.sock", "connection.json") if removed == "both" else (removed,)
    for name in names:
        (folder / name).unlink()
    until(lambda: all((folder / name).exists() for name in names))
    command = [sys.executable, "-m", "jupyter_dsage.cli", "status", "--session", session.id]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "2 slots" in told.stdout, told.stderr
    assert session.map(jobs.square, range(3)).results(timeout=20) == [0, 1, 4]


FROZEN = """
import time
import jupyter_dsage as dsage
time.monotonic = time.time = lambda: 0.0
time.sleep = lambda seconds: None
with dsage.spawn("local:?slots=2") as session:
    assert session.wait_for_workers(30)
    batch = session.map(abs, range(100))
    assert batch.wait(30) and batch.results() == list(range(100))
    assert session.submit(abs, -1).result(30) == 1
    try:
        session.submit(input).result(0.5)
    except (TimeoutError, EOFError) as error:
        print("over", type(error).__name__)
"""


@pytest.mark.slow
def test_a_notebook_that_freezes_time_waits_and_ends_as_ever():
    done = subprocess.run([sys.executable, "-c", FROZEN], capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout.startswith("over"), done.stderr


def leave_thread(_):
    _thread.exit()


def raiser(kind):
    def callback(_):
        raise kind

    return callback


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, BaseException, ValueError, None])
def test_a_callback_may_raise_anything(kind, caplog):
    """It ended the session, with an empty reason, while child and workers ran on."""
    with FakeSession({"here": 1}) as session:
        called = threading.Event()
        batch = session.map(jobs.square, range(3))
        for job in batch:
            job.add_done_callback(leave_thread if kind is None else raiser(kind))
            job.add_done_callback(lambda _: called.set())
        off = batch.watch(leave_thread if kind is None else raiser(kind))
        assert called.wait(20)
        assert session.map(jobs.square, [4]).results(timeout=20) == [16]
        off()
    assert "exception calling callback" in caplog.text


def test_a_callback_that_would_wait_for_the_session_is_told_so():
    """It stopped the thread that brings the answer, for the whole of its timeout, or for ever."""
    with FakeSession({"here": 1}) as session:
        told, called = [], threading.Event()

        def callback(_):
            for wait in (session.settle, session.refresh, session.wait_for_workers):
                try:
                    wait()
                except dsage.UsageError as error:
                    told.append(str(error))
            called.set()

        session.submit(jobs.square, 2).add_done_callback(callback)
        assert called.wait(20)
        assert told == ["A callback must not wait for the session's answer: ask in another thread."] * 3


def test_a_defect_of_the_io_thread_says_what_it_was_and_the_session_can_be_attached(session):
    batch = session.map(jobs.square, range(3))
    assert batch.results(timeout=20) == [0, 1, 4]
    session.settle()

    def fail(*_):
        raise ZeroDivisionError("division by zero")

    session._link._receiver.receive = fail  # as a defect of ours would
    with pytest.raises(dsage.SessionLost, match="defect of jupyter_dsage \\(ZeroDivisionError: division by zero\\)"):
        session.refresh(20)
    with dsage.attach(session.id) as again:
        assert again.batches[batch.name].results(timeout=20) == [0, 1, 4]


class Hostile:
    """Raises what nobody expects, once it is pickled."""

    def __init__(self, kind):
        self.kind = kind

    def __reduce__(self):
        raise self.kind


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError, RecursionError])
def test_an_argument_that_raises_anything_when_it_is_pickled_ends_its_own_job(kind):
    """It ended the thread that draws jobs, and the batch never ended."""
    with FakeSession({"here": 1}) as session:
        batch = session.map(bool, [1, 2, Hostile(kind), 3, *range(3000)])
        values = batch.results(errors="return", timeout=20)
        assert isinstance(values[2], dsage.UnpicklableError)
        assert len(values) == 3004
        assert values[:2] == [True, True]
        assert values[3] is True


def test_a_feeder_that_fails_ends_its_jobs_in_words(monkeypatch, caplog):
    def fail(*_, **__):
        raise MemoryError("no room")

    with FakeSession({"here": 1}) as session:
        session.submit(bool, 1).result(20)
        monkeypatch.setattr("jupyter_dsage.client.feeder.segment_size", fail)
        with pytest.raises(MemoryError):
            session.map(bool, range(9))  # the first is drawn in this thread
        monkeypatch.undo()
        calls = iter([1])
        monkeypatch.setattr("jupyter_dsage.client.feeder.segment_size", lambda *_: next(calls, None) or fail())
        batch = session.map(bool, range(9))
        values = batch.results(errors="return", timeout=20)
        assert values[0] is False
        assert all("could not be sent (MemoryError: no room)" in str(error) for error in values[1:])
        monkeypatch.undo()
        assert session.map(bool, [1]).results(timeout=20) == [True]
    assert "could not be sent" in caplog.text
