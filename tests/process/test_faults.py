"""What goes wrong in jobs and workers: the job tells its story, the neighbours do not notice (P1, P3, P4)."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import threading
import time

import psutil
import pytest

import jupyter_dsage as dsage
from jupyter_dsage.errors import PayloadTooLargeError
from tests.process import jobs
from tests.until import until

JOBS = 40


def run_badly(session, folder, way):
    batch = session.scatter(jobs.misbehave, [((str(folder), n, way), {}) for n in range(JOBS)])
    values = batch.results(errors="return", timeout=60)
    for n in range(JOBS):
        if n != 5:
            assert values[n] == n
    return batch, values[5]


def neighbours_ran_once(folder):
    return all(jobs.starts(folder, n) == 1 for n in range(JOBS) if n != 5)


def test_worker_killed_in_mid_batch(session, tmp_path):
    batch = session.scatter(jobs.noted, [((str(tmp_path), n, 0.05), {}) for n in range(JOBS)])
    until(lambda: batch.counts["finished"] >= 5)
    (victim, *_) = [worker.pid for worker in session.workers if worker.stage == "ready"]
    os.kill(victim, signal.SIGKILL)
    assert batch.results(timeout=30) == list(range(JOBS))
    until(lambda: len([w for w in session.workers if w.stage == "ready"]) == 2)
    assert victim not in {worker.pid for worker in session.workers}
    attempts = [jobs.starts(tmp_path, n) for n in range(JOBS)]
    assert max(attempts) <= 2
    assert sum(attempts) <= JOBS + 2  # the job that ran, and a finished neighbour not yet told


def test_job_that_kills_its_worker_once_is_tried_again(session, tmp_path):
    batch = session.scatter(jobs.kill_once, [((str(tmp_path), n, 5), {}) for n in range(JOBS)])
    assert batch.results(timeout=30) == list(range(JOBS))
    assert jobs.starts(tmp_path, 5) == 2


def test_every_worker_killed_again_and_again(session, tmp_path):
    batch = session.scatter(jobs.noted, [((str(tmp_path), n, 0.01), {}) for n in range(100)])
    for _ in range(3):
        until(lambda: any(worker.stage == "ready" for worker in session.workers) or batch.ready())
        for worker in session.workers:
            if worker.pid and psutil.pid_exists(worker.pid):
                os.kill(worker.pid, signal.SIGKILL)
        until(lambda: all(not w.pid or psutil.pid_exists(w.pid) for w in session.workers) or batch.ready())
    values = batch.results(errors="return", timeout=60)
    assert [value for value in values if not isinstance(value, dsage.WorkerLost)] == [
        n for n, value in enumerate(values) if not isinstance(value, dsage.WorkerLost)
    ]


def test_job_that_raises(session, tmp_path):
    batch, error = run_badly(session, tmp_path, "raise")
    assert isinstance(error, ValueError)
    assert str(error) == "five is right out"
    assert 'raise ValueError("five is right out")' in str(error.__cause__)
    assert "run.py" not in str(error.__cause__)
    assert batch.failed == [batch[5]]
    assert jobs.starts(tmp_path, 5) == 1  # an exception is retried only as `retries` says
    assert neighbours_ran_once(tmp_path)


@pytest.mark.parametrize(("way", "text"), [("sys.exit", "SystemExit(3)"), ("keyboard interrupt", "KeyboardInterrupt")])
def test_job_that_leaves(session, tmp_path, way, text):
    _, error = run_badly(session, tmp_path, way)
    assert isinstance(error, dsage.JobExitedError)
    assert text in str(error)
    assert neighbours_ran_once(tmp_path)


@pytest.mark.parametrize(
    ("way", "ending", "words"),
    [
        ("os._exit", "exit code 7", ""),
        pytest.param("segfault", "signal 11 (SIGSEGV)", "about to read address 0", marks=pytest.mark.needs("linux")),
    ],
)
def test_job_that_takes_its_worker_with_it(session, tmp_path, way, ending, words):
    batch, error = run_badly(session, tmp_path, way)
    assert isinstance(error, dsage.WorkerLost)
    for part in ("Job 5 of batch", "3 times", ending, os.uname().nodename, "peak memory", words):
        assert part in str(error)
    assert jobs.starts(tmp_path, 5) == 3
    assert batch.counts["lost"] == 1


@pytest.mark.parametrize(
    ("way", "kind", "part"),
    [
        ("unpicklable value", dsage.UnpicklableError, "the value of job 5"),
        ("unpicklable exception", jobs.Unpicklable, "holds a stream"),
        ("unreadable value", dsage.RemoteError, "cannot be read back"),
    ],
)
def test_job_whose_outcome_cannot_travel(session, tmp_path, way, kind, part):
    _, error = run_badly(session, tmp_path, way)
    assert isinstance(error, kind)
    assert part in str(error)
    assert neighbours_ran_once(tmp_path)


def test_job_that_prints_a_million_lines(session, tmp_path):
    batch, value = run_badly(session, tmp_path, "print")
    assert value == 5
    assert batch[5].output.endswith("line 999999\n")
    assert len(batch[5].output) <= 8192
    assert batch[6].output == ""


def test_job_that_closes_its_output(session, tmp_path):
    _, value = run_badly(session, tmp_path, "closed stdout")
    assert value == 5
    assert session.map(lambda x: print("still here") or x, range(8)).results() == list(range(8))


def test_unpicklable_capture_is_named_before_anything_is_sent(session):
    lock = threading.Lock()

    def fn(x):
        with lock:
            return x

    with pytest.raises(dsage.UnpicklableError, match="fn → closure 'lock' cannot be pickled"):
        session.map(fn, range(10))
    assert len(session.batches) == 0


def test_function_that_cannot_be_loaded_at_the_worker(session):
    class OfAModule:
        def __reduce__(self):
            return importlib.import_module, ("only_elsewhere",)

    found = OfAModule()
    (error,) = session.map(lambda x: (found, x), [1]).results(errors="return")
    assert isinstance(error, ModuleNotFoundError)
    assert "could not be loaded at the worker" in error.__notes__[0]


def test_exceptions_of_classes_with_an_init_of_their_own_arrive_as_themselves(session):
    class Two(Exception):  # noqa: N818
        def __init__(self, a, *, b):
            super().__init__(f"{a} and {b}")
            self.a, self.b = a, b

    def job(x):
        error = Two(x, b=3)
        error.add_note("seen")
        raise error from ZeroDivisionError("behind it")

    error = session.submit(job, 1).exception(20)
    assert (type(error), str(error), error.a, error.b, error.__notes__[0]) == (Two, "1 and 3", 1, 3, "seen")
    assert "ZeroDivisionError: behind it" in str(error.__cause__)


def test_cancel_ends_a_job_that_holds_the_interpreter_lock_and_only_that(session, tmp_path):
    other = session.scatter(jobs.wait_for, [((str(tmp_path / "gate"), 1), {})])
    batch = session.scatter(jobs.hold_the_lock, [((str(tmp_path / "running"),), {})])
    jobs.wait_for(tmp_path / "running")
    pid = [worker.pid for worker in session.workers]
    assert batch[0].cancel()
    assert batch.ready()
    until(lambda: [worker.pid for worker in session.workers] != pid)  # its worker was killed and replaced
    (tmp_path / "gate").touch()
    assert other.results() == [1]


def test_cancel_ends_a_job_that_ignores_interrupts(session, tmp_path):
    batch = session.scatter(jobs.ignore_interrupts, [((str(tmp_path / f"running-{n}"),), {}) for n in range(2)])
    for n in range(2):
        jobs.wait_for(tmp_path / f"running-{n}")
    batch.cancel()
    assert session.map(jobs.square, range(5)).results(timeout=20) == [0, 1, 4, 9, 16]


def test_long_job_in_a_chunk_of_short_ones_holds_nobody_up(session, tmp_path):
    gate = tmp_path / "gate"

    def mixed(n):
        return jobs.wait_for(str(gate), n) if n == 700 else n

    batch = session.map(mixed, range(2000))
    until(lambda: batch.counts["finished"] == 1999)  # while job 700 still runs
    gate.touch()
    assert batch.results() == list(range(2000))


@pytest.fixture
def interrupts():
    """Have SIGINT raise KeyboardInterrupt, as in a terminal: in the background of a shell it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_interrupt_of_the_client_ends_the_wait_and_nothing_else(session, tmp_path):
    gate = tmp_path / "gate"
    batch = session.scatter(jobs.wait_for, [((str(gate), n), {}) for n in range(4)])
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        batch.results(timeout=20)
    timer.join()
    assert batch.counts["waiting"] == 4
    gate.touch()
    assert batch.results(timeout=20) == list(range(4))


def supervisors(session):
    """Return the living supervisors of a session; one that vanishes while it is looked at is none."""
    found = []
    for process in psutil.Process(session.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE and "jupyter_dsage.worker" in " ".join(process.cmdline()):
                found.append(process)
    return found


def test_killed_supervisor_is_replaced_with_its_workers(session, tmp_path):
    batch = session.scatter(jobs.noted, [((str(tmp_path), n, 0.02), {}) for n in range(JOBS)])
    until(lambda: batch.counts["finished"] >= 5)
    (supervisor,) = supervisors(session)
    supervisor.kill()
    assert batch.results(timeout=30) == list(range(JOBS))


def test_supervisor_that_dies_again_and_again_ends_the_jobs_with_the_reason(tmp_path):
    with dsage.spawn("local:?slots=1") as session:
        gate = tmp_path / "gate"
        batch = session.scatter(jobs.wait_for, [((str(gate), n), {}) for n in range(3)])
        deadline = time.monotonic() + 60
        while not batch.ready():
            assert time.monotonic() < deadline
            for supervisor in supervisors(session):
                with contextlib.suppress(psutil.NoSuchProcess):
                    supervisor.kill()
        errors = batch.results(errors="return")
        assert all(isinstance(error, dsage.WorkerLost) for error in errors)
        assert "no worker is left" in str(errors[0])
        assert "supervisor" in str(errors[0])
        gate.touch()
        assert batch.retry() == 3  # a retry gives the engine another chance, and so does a new batch
        assert batch.results(timeout=30) == [0, 1, 2]


def test_job_that_kills_its_supervisor_ends_and_the_session_works_on(session):
    (error,) = session.map(jobs.kill_parent, [1]).results(errors="return", timeout=60)
    assert isinstance(error, dsage.WorkerLost)
    assert session.map(jobs.square, range(3)).results(timeout=30) == [0, 1, 4]


def test_what_no_message_can_carry_ends_its_own_job(monkeypatch):
    monkeypatch.setattr("jupyter_dsage.settings.MAX_FRAME_BYTES", 100_000)  # in the client only
    with dsage.spawn("local:?slots=1") as session:
        with pytest.raises(PayloadTooLargeError, match=r"arguments of job 0: 200,\d+ bytes"):
            session.map(len, [b"x" * 200_000])
        batch = session.map(len, [b"x", b"x" * 200_000, b"xx"])
        small, large, also_small = batch.results(errors="return", timeout=20)
        assert (small, also_small) == (1, 2)
        assert isinstance(large, PayloadTooLargeError)
        with pytest.raises(PayloadTooLargeError):
            session.submit(len, b"x" * 200_000)
        assert session.submit(len, b"xxx").result(20) == 3


@pytest.mark.parametrize("name", ["\ud800", "two\nlines", "x" * 201])
def test_names_that_cannot_be_sent_are_refused_and_the_session_lives(session, name):
    with pytest.raises(dsage.UsageError, match="no name for a batch"):
        session.map(jobs.square, [1], name=name)
    assert session.map(jobs.square, [2]).results() == [4]


def test_output_that_python_did_not_write_is_bounded(session):
    (size,) = session.map(jobs.flood_output, [30_000_000]).results(timeout=60)
    assert size < 10_000_000
