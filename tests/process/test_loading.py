"""Loading is part of a job's life (P16): what ends, stops or fails a worker meanwhile is told, limited and bounded."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

import jupyter_dsage as dsage
from jupyter_dsage.wire import messages as m
from tests.process import jobs

IN_A_WORKER = "'jupyter_dsage.worker.supervisor' in sys.modules"


class Trap:
    """An object that does something where it is unpickled."""

    def __init__(self, act, *args):
        self.act, self.args = act, args

    def __reduce__(self):
        return self.act, self.args


def trapped(act, *args):
    """Return a function that does something where it is loaded."""
    trap = Trap(act, *args)
    return lambda x: (trap, x)[1]


def note_and_sleep(path):
    Path(path).touch()
    time.sleep(600)


def sleep_uninterrupted(path):
    Path(path).touch()
    end = time.monotonic() + 600
    while time.monotonic() < end:
        try:
            time.sleep(600)
        except BaseException:  # noqa: BLE001, S112
            continue


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Return a maker of functions `f` in modules that do something where a worker imports them."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name, act):
        (tmp_path / f"{name}.py").write_text(
            f"import os, sys, time, signal\nif {IN_A_WORKER}:\n    {act}\ndef f(x):\n    return x\n"
        )
        sys.modules.pop(name, None)  # of the test before, from another folder: that would travel by value
        return __import__(name).f

    return make


def workers_of(session):
    return max((worker.worker for worker in session.workers), default=0)


def honest(session):
    return session.scatter(jobs.square, [((n,), {}) for n in range(200)])


@pytest.mark.parametrize(
    ("act", "ending"), [(lambda: trapped(os._exit, 7), "exit code 7"), (lambda: trapped(os.abort), "signal 6")]
)
def test_a_function_that_ends_its_workers_ends_its_batch_after_three(session, act, ending):
    began = time.monotonic()
    batch = session.map(act(), range(300))
    neighbour = honest(session)
    errors = batch.results(errors="return", timeout=20)
    assert all(isinstance(error, dsage.WorkerLost) for error in errors)
    for part in ("Job 7 of batch", "workers in a row", "while they loaded its function", ending):
        assert part in str(errors[7])
    assert neighbour.results(timeout=20) == [n * n for n in range(200)]
    assert time.monotonic() - began < 10
    assert workers_of(session) < 12  # 3 of the function's, a few more that were loading it meanwhile


@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "part"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "signal 11 (SIGSEGV)"),
        ("sys.exit(3)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("e = ValueError('odd notes'); e.__notes__ = 7; raise e", "odd notes"),
        ("raise type('Exits', (Exception,), {'__notes__': property(lambda s: os._exit(9))})", "exit code 9"),
    ],
)
def test_a_module_that_fails_where_it_is_imported_ends_its_batch(module, act, part):
    function = module("fails_at_import", act)
    with dsage.spawn("local:?slots=2") as session:
        errors = session.map(function, range(100)).results(errors="return", timeout=30)
        assert all(part in f"{error!r} {error}" for error in errors), errors[:2]
        assert honest(session).results(timeout=20) == [n * n for n in range(200)]
        assert workers_of(session) < 12


@pytest.mark.slow
def test_a_module_that_hangs_where_it_is_imported_is_ended_by_its_limit(module):
    function = module("hangs_at_import", "time.sleep(600)")
    with dsage.spawn("local:?slots=2") as session:
        batch = session.scatter(function, [((n,), {}) for n in range(50)], timeout=0.5)
        neighbour = honest(session)
        errors = batch.results(errors="return", timeout=30)
        assert all(isinstance(error, dsage.JobTimeout) for error in errors)
        assert "the 5 s in which its function is to be loaded" in str(errors[0])
        assert neighbour.results(timeout=20) == [n * n for n in range(200)]


@pytest.mark.slow
def test_what_hangs_where_it_is_loaded_can_be_cancelled(session, tmp_path):
    paths = [str(tmp_path / name) for name in ("deaf", "slow")]
    deaf = session.map(trapped(sleep_uninterrupted, paths[0]), [1])
    slow = session.map(trapped(note_and_sleep, paths[1]), [1])
    for path in paths:
        jobs.wait_for(path)
    for batch in (deaf, slow):
        batch.cancel()
    assert honest(session).results(timeout=10) == [n * n for n in range(200)]


def test_arguments_that_end_their_workers_are_blamed_alone(session):
    calls = [((n, None), {}) for n in range(20)]
    calls[5] = ((5, Trap(os._exit, 7)), {})
    batch = session.scatter(lambda n, _: n, calls)
    values = batch.results(errors="return", timeout=20)
    assert [value for n, value in enumerate(values) if n != 5] == [n for n in range(20) if n != 5]
    assert isinstance(values[5], dsage.WorkerLost)
    for part in ("Job 5 of batch", "took its worker with it 3 times", "exit code 7", "while its arguments were loaded"):
        assert part in str(values[5])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "part"),
    [
        ((os._exit, 7), "<reading them ends the process: exit code 7>"),
        ((sleep_uninterrupted, os.devnull), "<reading them takes more than 5 s>"),
        ((sys.exit, 3), None),
    ],
)
def test_arguments_that_end_or_stop_the_process_that_reads_them_for_the_view_are_told_so(session, act, part):
    batch = session.scatter(lambda _: 1, [((Trap(*act),), {})], timeout=0.5)
    batch.wait(20)
    answer = json.loads(session._ask(lambda ask: m.DescribeJob(ask, batch.number, 0)).result(20))
    assert answer["args"] == part
