"""Several engines in one session: which of them runs a batch, how much of what it has, and workers that leave."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

import jupyter_dsage as dsage
from jupyter_dsage.testing import FakeSession
from tests.needs import needs
from tests.process import jobs
from tests.sshd import sshd
from tests.until import until
from tests.worker_server import worker_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.worker_server import WorkerServer


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[WorkerServer]:
    """Give one worker server for all tests; it is there before any test, so that none is blamed for it."""
    with worker_server(slots=4) as made:
        yield made
    assert "Traceback" not in made.last_log, made.last_log


@pytest.fixture
def fakes(nothing_left):  # noqa: ARG001
    """Give a session with two engines, of which one has something."""
    with FakeSession({"near": 2, "far": 2}, options={"far": "resources=gpu:1"}) as session:
        yield session
        assert "defect" not in session.log_tail(10_000)


def ran(session, batch):
    """Return how many jobs of a batch each engine has finished, as its view tells."""
    seen: list[dict] = []
    off = session.watch(batch.number, seen.append)
    until(lambda: seen and seen[-1]["batch"]["ended"])
    off()
    return {engine["name"]: engine["finished"] for engine in seen[-1]["engines"] if engine["finished"]}


# --- by name -------------------------------------------------------------------------------------------------


def test_a_batch_runs_only_on_the_engine_that_it_names(fakes):
    only = fakes.map(jobs.square, range(200), engine="far")
    both = fakes.scatter(jobs.square, [((n,), {}) for n in range(5)], engine=("near", "far"))
    assert only.results(timeout=30) == [n * n for n in range(200)]
    assert both.results(timeout=30) == [n * n for n in range(5)]
    assert ran(fakes, only) == {"far": 200}


def test_an_executor_runs_only_where_it_is_told(fakes):
    with fakes.executor(engine="near") as pool:
        assert pool.submit(jobs.square, 3).result(30) == 9
        assert list(pool.map(jobs.square, range(20))) == [n * n for n in range(20)]
    assert {engine for batch in fakes.batches.values() for engine in ran(fakes, batch)} == {"near"}
    with pytest.raises(dsage.EngineError, match="There is no engine 'x'; there is near, far"):
        fakes.executor(engine="x")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"engine": "moon"}, "There is no engine 'moon'; there is near, far."),
        ({"engine": ("near", "moon")}, "There is no engine 'moon'; there is near, far."),
        ({"engine": ()}, "engine=() names no engine: give its name, a tuple of names, or None for any."),
        ({"engine": 3}, "engine=3 names no engine"),
        (
            {"resources": {"gpu": 2}},
            "No engine has gpu=2 for a job: near has none; far has gpu=1; the URL says",
        ),
        ({"resources": {"tpu": 1}}, "No engine has tpu=1 for a job: near has none; far has gpu=1;"),
        ({"resources": {"gpu": 1}, "engine": "near"}, "No engine has gpu=1 for a job: near has none;"),
        ({"resources": {"gpu": 0}}, "resources={'gpu': 0}: 0 is no amount of gpu: it is a whole number from 1 to"),
        ({"resources": {"gpu": 1.5}}, "1.5 is no amount of gpu"),
        ({"resources": {"a b": 1}}, "'a b' is no name of a resource"),
        ({"resources": {}}, "resources={} are none: give names and amounts"),
    ],
)
def test_what_cannot_be_had_is_refused_in_one_sentence(fakes, options, sentence):
    with pytest.raises(dsage.DsageError) as caught:
        fakes.map(jobs.square, [1], **options)
    assert sentence in str(caught.value)
    assert len(fakes.batches) == 0


def test_a_session_that_is_over_says_so_and_not_that_it_has_no_engine(fakes):
    fakes.die()
    with pytest.raises(dsage.SessionLost, match="is over"):
        fakes.map(jobs.square, [1], engine="far")


def test_jobs_whose_engine_goes_end_with_a_sentence_and_run_again_when_another_has_it(fakes, tmp_path):
    batch = fakes.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(3)], resources={"gpu": 1})
    until(lambda: jobs.starts(tmp_path, 0))
    fakes.remove("far", now=True)
    (tmp_path / "gate").touch()
    assert batch.wait(30)
    told = str(batch[1].exception())
    assert "no engine of this session runs functions that want to run with gpu=1: add one that does, and retry" in told


# --- by amounts ----------------------------------------------------------------------------------------------


def test_no_more_run_at_once_than_the_engine_has(fakes, tmp_path):
    """Two slots, each at its gate, would both hold a job: only one of them does."""
    batch = fakes.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(6)], resources={"gpu": 1})
    free = fakes.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(10, 13)])
    until(lambda: jobs.starts(tmp_path, 0) and all(jobs.starts(tmp_path, n) for n in range(10, 13)))
    assert [jobs.starts(tmp_path, n) for n in range(1, 6)] == [0] * 5
    free.cancel()
    (tmp_path / "gate").touch()
    assert batch.results(timeout=30) == list(range(6))
    assert ran(fakes, batch) == {"far": 6}


def test_what_an_engine_has_and_what_a_batch_wants_is_shown(fakes):
    far = fakes.engines[1]
    assert (far.resources, far.note) == ((("gpu", 1),), "has gpu: 1")
    batch = fakes.map(jobs.square, [2], resources={"gpu": 1}, engine="far")
    seen: list[dict] = []
    fakes.watch(batch.number, seen.append)
    until(lambda: seen)
    assert seen[-1]["batch"]["wants"] == "on far with gpu=1"
    assert [engine["note"] for engine in seen[-1]["engines"]] == ["", "has gpu: 1"]


# --- idle workers --------------------------------------------------------------------------------------------


def test_idle_workers_leave_and_come_back_with_work(nothing_left):  # noqa: ARG001
    with FakeSession({"near": 2, "far": 2}, options={"far": "idle=0.3s"}) as session:
        until(lambda: session.engines[1].resting == 2 and len(session.workers) == 2)
        assert session.engines[1].note == "all of its workers have left for want of work, and come back with it"
        assert (session.slots, session.engines[1].state) == (4, "open")
        assert session.wait_for_workers(5)
        assert session.map(jobs.square, range(9), engine="far").results(timeout=30) == [n * n for n in range(9)]
        until(lambda: session.engines[1].resting == 2)


# --- real ones -----------------------------------------------------------------------------------------------


def test_local_workers_and_a_worker_server_in_one_batch_and_apart(server, nothing_left, tmp_path):  # noqa: ARG001
    url = server.url.replace("slots=4", "slots=2&resources=gpu:1")
    with (tmp_path / "child.log").open("w") as log, dsage.spawn(["local:?slots=2", url], log=log) as session:
        assert session.wait_for_workers(30)
        here, there = [engine.name for engine in session.engines]
        pids = {engine: {w.pid for w in session.workers if w.engine == engine} for engine in (here, there)}
        for engine, named in ((here, "local"), (there, url)):
            found = session.map(lambda _: os.getpid(), range(40), engine=named).results(timeout=30)
            assert set(found) <= pids[engine]
        with_gpu = session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(4)], resources={"gpu": 1})
        until(lambda: jobs.starts(tmp_path, 0))
        both = session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(10, 13)])
        until(lambda: all(jobs.starts(tmp_path, n) for n in range(10, 13)))
        assert jobs.starts(tmp_path, 1) == 0, "the second slot there runs what wants nothing"
        (tmp_path / "gate").touch()
        assert with_gpu.results(timeout=30) == [0, 1, 2, 3]
        assert both.results(timeout=30) == [10, 11, 12]
    assert "defect" not in (tmp_path / "child.log").read_text()


@pytest.fixture(params=["local", "dsage", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("ssh", "dask"))])
def real(request, server, monkeypatch, tmp_path):
    """Give the URL of a real engine with two slots."""
    if request.param != "ssh":
        yield server.url.replace("slots=4", "slots=2") if request.param == "dsage" else f"{request.param}:?slots=2"
        return
    needs("sshd")
    with sshd(tmp_path) as made:
        monkeypatch.setenv("DSAGE_SSH", made.ssh)
        yield made.url


def test_idle_workers_of_real_engines_leave_and_come_back(real, nothing_left, tmp_path):  # noqa: ARG001
    url = f"{real}&idle=0.5s"
    with (tmp_path / "child.log").open("w") as log, dsage.spawn(url, log=log) as session:
        until(lambda: session.engines and session.engines[0].resting == 2 and not session.workers)
        assert session.scale(url, 3)
        assert sorted(session.map(jobs.square, range(9)).results(timeout=30)) == [n * n for n in range(9)]
        slots = 2 if real.startswith("dask:") else 3  # a Dask cluster has what it has
        until(lambda: session.engines[0].resting == slots and not session.workers)
        assert session.engines[0].slots == slots
        with pytest.raises(dsage.EngineError, match="No engine has gpu=1 for a job"):
            session.map(jobs.square, [1], resources={"gpu": 1})
    assert "defect" not in (tmp_path / "child.log").read_text()


def test_a_revived_child_keeps_what_its_batches_want_and_what_its_engines_have(nothing_left, tmp_path):  # noqa: ARG001
    urls = ["local:?slots=1&resources=gpu:1&idle=10min", "dsage://localhost:1?slots=1"]
    with (tmp_path / "child.log").open("w") as log, dsage.spawn(urls, log=log) as session:
        assert session.wait_for_workers(30)
        there = session.engines[1].name
        other = session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(2)], engine=there)
        batch = session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(5, 8)], resources={"gpu": 1})
        session.settle()
        before = session.pid
        os.kill(before, 9)
        until(lambda: session.pid != before and len(session.engines) == 2 and session.engines[0].resources)
        assert session.wait_for_workers(30)
        (tmp_path / "gate").touch()
        assert batch.results(timeout=60) == [5, 6, 7]
        assert other.results(timeout=60) == [0, 1]
        with pytest.raises(dsage.EngineError, match="has none"):
            session.map(jobs.square, [1], engine=there, resources={"gpu": 1})
