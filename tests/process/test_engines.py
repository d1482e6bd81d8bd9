"""The one set of tests that every engine passes: the fake, and each real one on this machine.

What only some engines have (a link that can be cut, a server that can be killed) is in test_worker_servers.py.
"""

from __future__ import annotations

import doctest
import os
import threading
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest

import jupyter_dsage as dsage
from jupyter_dsage.core.pool import Abilities
from jupyter_dsage.testing import FakeSession, fake_session
from tests.dask_cluster import DaskServer, dask_cluster
from tests.process import jobs
from tests.ray_cluster import RayServer, ray_cluster
from tests.slurm_cluster import slurm_cluster
from tests.sshd import sshd
from tests.until import until
from tests.worker_server import WorkerServer, worker_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOBS = 20
SERVER_SLOTS = 4


@dataclass
class Kit:
    """A session with one engine of a kind."""

    kind: str
    session: dsage.Session
    name: str
    """The engine's."""
    server: WorkerServer | DaskServer | RayServer | None = None

    @property
    def fake(self) -> bool:
        return self.kind == "fake"

    @property
    def pids(self) -> set[int]:
        return {worker.pid for worker in self.session.workers if worker.stage == "ready"}

    def ready(self, count: int) -> set[int]:
        """Wait until this many workers are ready; return their pids."""

        def found() -> set[int]:
            workers = self.session.workers
            return self.pids if len(workers) == count and len(self.pids) == count else set()

        return until(found)

    def engine(self) -> Any:
        [engine] = self.session.engines
        return engine


SLOW = [
    pytest.param("ssh", marks=[pytest.mark.slow, pytest.mark.needs("sshd")]),
    pytest.param("dask", marks=pytest.mark.slow),
    pytest.param("ray", marks=[pytest.mark.slow, pytest.mark.needs("ray")]),
    pytest.param("slurm", marks=[pytest.mark.slow, pytest.mark.slurm, pytest.mark.needs("slurm")]),
]


@dataclass
class Place:
    """A kind of engine, its URL, the server or cluster that all its tests share, and what the environment must say."""

    kind: str
    url: str = "local:?slots=2"
    server: WorkerServer | DaskServer | RayServer | None = None
    env: tuple[str, str] | None = None


@pytest.fixture(scope="module", params=["fake", "local", "dsage", *SLOW])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Give a place; each test has a session of its own there, and must leave nothing of it.

    What is shared is there before any of them, so that none is blamed for it.
    """
    if request.param == "dsage":
        with worker_server(slots=SERVER_SLOTS) as made:
            yield Place("dsage", made.url.replace(f"slots={SERVER_SLOTS}", "slots=2"), made)
        assert "Traceback" not in made.last_log, made.last_log
    elif request.param == "ssh":
        with sshd(tmp_path_factory.mktemp("sshd")) as host:
            yield Place("ssh", host.url, env=("DSAGE_SSH", host.ssh))
    elif request.param == "slurm":
        with slurm_cluster() as slurm:
            yield Place("slurm", slurm.url, env=("SLURM_CONF", slurm.conf))
    elif request.param == "dask":
        with dask_cluster(workers=2, threads=SERVER_SLOTS // 2) as cluster:
            yield Place("dask", f"{cluster.url}?slots=2", cluster)
            assert "Traceback" not in cluster.log(), cluster.log()
    elif request.param == "ray":
        with ray_cluster(SERVER_SLOTS) as ray:
            yield Place("ray", f"{ray.url}?slots=2", ray)
    else:
        yield Place(request.param)


@pytest.fixture
def kit(
    place: Place,
    nothing_left: None,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Kit]:
    kind, url, made = place.kind, place.url, place.server
    if place.env is not None:
        monkeypatch.setenv(*place.env)
    if kind == "fake":
        with FakeSession({"fake": 2}) as session:
            yield Kit("fake", session, "fake")
            assert "defect" not in session.log_tail(10_000)
        return
    path = tmp_path / "child.log"
    with path.open("w") as log, dsage.spawn(url, log=log) as session:
        assert session.wait_for_workers(90 if kind == "ray" else 30)  # the first of Ray's clients waits long
        yield Kit(kind, session, url.partition("?")[0].rstrip(":"), made)
    assert "defect" not in path.read_text(), path.read_text()


# --- jobs and their values -----------------------------------------------------------------------------------


def test_scatter_and_map_gather_in_order(kit):
    batch = kit.session.scatter(lambda a, b=0, *, c=0: (a, b, c), [((1,), {}), ([1, 2], {"c": 3}), ((), {"a": 9})])
    assert batch.results(timeout=30) == [(1, 0, 0), (1, 2, 3), (9, 0, 0)]
    assert kit.session.map(jobs.square, range(300)).results(timeout=30) == [x * x for x in range(300)]


def test_results_stand_in_order_though_jobs_end_in_another(kit, tmp_path):
    batch = kit.session.scatter(jobs.first_last, [((str(tmp_path), n, 9), {}) for n in range(10)])
    ended = [job.index for job in batch.as_completed(timeout=30)]
    assert ended[0] == 1
    assert sorted(ended) == list(range(10))
    assert batch.results() == list(range(10))


def test_jobs_are_added_while_a_batch_runs(kit, tmp_path):
    batch = kit.session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(4)])
    until(lambda: jobs.starts(tmp_path, 0))
    batch.add([((str(tmp_path), n), {}) for n in range(4, 8)])
    assert len(batch) == 8
    (tmp_path / "gate").touch()
    assert batch.results(timeout=30) == list(range(8))


def test_no_fault_is_one_attempt_each(kit, tmp_path):
    batch = kit.session.scatter(jobs.noted, [((str(tmp_path), n), {}) for n in range(JOBS)])
    assert batch.results(timeout=30) == list(range(JOBS))
    assert [jobs.starts(tmp_path, n) for n in range(JOBS)] == [1] * JOBS


def test_ten_megabytes_go_there_and_back_and_arrive_writable(kit):
    array = np.arange(1_250_000, dtype=float)
    first, second = kit.session.map(lambda a: a * 2, [array, array + 1]).results(timeout=60)
    first[0] = 7
    assert first[0] == 7
    assert np.array_equal(first[1:], array[1:] * 2)
    assert np.array_equal(second, array * 2 + 2)


def test_ten_megabytes_are_shared_by_a_closure(kit):
    array = np.arange(1_250_000, dtype=float)

    def total(n):
        return float(array[n]) + len(array)

    batch = kit.session.map(total, range(JOBS))
    assert batch.results(timeout=60) == [n + 1_250_000 for n in range(JOBS)]
    if kit.fake:
        assert len(kit.session.fakes["fake"].functions) == 1


def test_a_function_that_cannot_travel_is_named_by_its_path(kit):
    lock = threading.Lock()

    def holds(x):
        return lock, x

    with pytest.raises(dsage.UnpicklableError, match="closure 'lock'"):
        kit.session.map(holds, [1])
    assert kit.session.map(jobs.square, [2]).results(timeout=30) == [4]


def test_arguments_that_cannot_travel_end_their_own_job_and_are_named(kit):
    batch = kit.session.scatter(jobs.square, [((2,), {}), ((threading.Lock(),), {}), ((3,), {})])
    good, bad, also_good = batch.results(errors="return", timeout=30)
    assert (good, also_good) == (4, 9)
    assert isinstance(bad, dsage.UnpicklableError)
    assert "job 1 → " in str(bad)


def test_a_value_that_cannot_travel_ends_its_own_job_and_is_named(kit):
    def locked(n):
        return {"lock": threading.Lock()} if n == 1 else n

    good, bad, also_good = kit.session.map(locked, range(3)).results(errors="return", timeout=30)
    assert (good, also_good) == (0, 2)
    assert isinstance(bad, dsage.UnpicklableError)
    assert "the value of job 1" in str(bad)


def test_an_exception_comes_with_the_lines_of_the_job(kit, tmp_path):
    batch = kit.session.scatter(jobs.misbehave, [((str(tmp_path), n, "raise"), {}) for n in range(8)])
    values = batch.results(errors="return", timeout=30)
    assert [n for n, value in enumerate(values) if value != n] == [5]
    assert isinstance(values[5], ValueError)
    assert 'raise ValueError("five is right out")' in str(values[5].__cause__)
    assert "run.py" not in str(values[5].__cause__)
    assert "fake_worker" not in str(values[5].__cause__)
    assert batch.failed == [batch[5]]
    assert jobs.starts(tmp_path, 5) == 1


def test_a_job_that_exits_ends_alone(kit, tmp_path):
    batch = kit.session.scatter(jobs.misbehave, [((str(tmp_path), n, "sys.exit"), {}) for n in range(8)])
    values = batch.results(errors="return", timeout=30)
    assert [n for n, value in enumerate(values) if value != n] == [5]
    assert isinstance(values[5], dsage.JobExitedError)


def test_retries_try_a_job_that_raises_again(kit, tmp_path):
    def third_time_lucky(folder):
        jobs.note(folder, "tries")
        if jobs.starts(folder, "tries") < 3:
            raise OSError("again")
        return "done"

    batch = kit.session.scatter(third_time_lucky, [((str(tmp_path),), {})], retries=2)
    assert batch.results(timeout=30) == ["done"]


def test_what_a_job_prints_is_its_own(kit):
    def talk(n):
        print("this is job", n)
        return n

    batch = kit.session.map(talk, range(10))
    assert batch.results(timeout=30) == list(range(10))
    assert [job.output for job in batch] == [f"this is job {n}\n" for n in range(10)]


# --- cancelling, pausing, limits -----------------------------------------------------------------------------


def test_a_queued_job_that_is_cancelled_never_starts(kit, tmp_path):
    batch = kit.session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(10)])
    until(lambda: jobs.starts(tmp_path, 0) and jobs.starts(tmp_path, 1))
    assert batch[9].cancel()
    (tmp_path / "gate").touch()
    assert [job.result(30) for job in batch[:9]] == list(range(9))
    assert batch[9].cancelled()
    assert kit.session.map(jobs.square, range(4)).results(timeout=30) == [0, 1, 4, 9]
    assert jobs.starts(tmp_path, 9) == 0


def test_only_the_running_job_that_is_cancelled_ends_and_its_slot_works_on(kit, tmp_path):
    before = kit.ready(2)
    batch = kit.session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(6)])
    until(lambda: jobs.starts(tmp_path, 0) and jobs.starts(tmp_path, 1))
    assert batch[0].cancel()
    with pytest.raises(CancelledError):
        batch[0].result(30)
    until(lambda: jobs.starts(tmp_path, 2))  # while job 1 is still held
    (tmp_path / "gate").touch()
    assert [job.result(30) for job in batch[1:]] == [1, 2, 3, 4, 5]
    assert [jobs.starts(tmp_path, n) for n in range(6)] == [1] * 6
    assert kit.pids == before


def test_a_time_limit_ends_that_job_and_its_slot_works_on(kit, tmp_path):
    batch = kit.session.scatter(
        jobs.long, [((str(tmp_path), n, 60.0 if n == 3 else 0.001), {}) for n in range(JOBS)], timeout=0.5
    )
    error = batch[3].exception(30)
    assert isinstance(error, dsage.JobTimeout)
    assert str(error) == "Job 3 overstepped its time limit of 0.5 s."
    assert batch.results("skip", timeout=30) == [n for n in range(JOBS) if n != 3]
    assert [jobs.starts(tmp_path, n) for n in range(JOBS)] == [1] * JOBS
    assert kit.session.map(jobs.square, range(50)).results(timeout=30) == [n * n for n in range(50)]


def test_what_a_job_has_printed_so_far_is_there_while_it_runs(kit, tmp_path):
    gate = tmp_path / "gate"
    batch = kit.session.scatter(jobs.say_and_wait, [(("so far", str(gate)), {})])
    until(lambda: batch[0].output == "so far\n")
    gate.touch()
    assert batch[0].result(30) is None
    assert batch[0].output == "so far\nand the rest\n"


def test_a_job_that_may_run_only_once_is_lost_with_its_worker(kit, tmp_path):
    calls = [((str(tmp_path), n, 4, 1, kit.fake), {}) for n in range(JOBS)]
    batch = kit.session.scatter(jobs.die_in, calls, at_most_once=True)
    with pytest.raises(dsage.WorkerLost, match="took its worker with it once"):
        batch[4].result(30)
    assert batch.results("skip", timeout=30) == [n for n in range(JOBS) if n != 4]
    assert [jobs.starts(tmp_path, n) for n in range(JOBS)] == [1] * JOBS


def test_a_batch_that_is_cancelled_ends_what_runs_and_what_waits(kit, tmp_path):
    batch = kit.session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(10)])
    until(lambda: jobs.starts(tmp_path, 0))
    batch.cancel()
    assert batch.ready()
    assert batch.counts["cancelled"] == 10
    assert kit.session.map(jobs.square, range(4)).results(timeout=30) == [0, 1, 4, 9]


def test_a_paused_batch_starts_nothing_until_it_is_resumed(kit, tmp_path):
    batch = kit.session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(8)])
    batch.pause()
    (tmp_path / "gate").touch()
    assert kit.session.map(jobs.square, [3]).results(timeout=30) == [9]
    assert not batch.ready()
    batch.resume()
    assert batch.results(timeout=30) == list(range(8))


def test_a_limit_bounds_the_jobs_that_run_at_once(kit, tmp_path):
    batch = kit.session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(4)], limit=1)
    until(lambda: jobs.starts(tmp_path, 0))
    assert kit.session.map(jobs.square, [3]).results(timeout=30) == [9]  # the other slot is for others
    assert [jobs.starts(tmp_path, n) for n in range(4)] == [1, 0, 0, 0]
    batch.limit = 2
    until(lambda: jobs.starts(tmp_path, 1))
    (tmp_path / "gate").touch()
    assert batch.results(timeout=30) == list(range(4))


# --- workers that die ----------------------------------------------------------------------------------------


def charged(batch: dsage.Batch) -> list[int | None]:
    """Return how many attempts each job is said to have needed."""
    return [batch.describe(n)["attempt"] for n in range(JOBS)]


def ran(folder: Path, poison: int, deaths: int) -> bool:
    """Tell whether each job ran as often as it may: a neighbour once more if its outcome died with the worker."""
    starts = [jobs.starts(folder, n) for n in range(JOBS)]
    others = [count for n, count in enumerate(starts) if n != 5]
    return starts[5] == poison and min(others) == 1 and sum(others) <= JOBS - 1 + deaths


def test_a_job_lost_with_its_worker_is_tried_again_and_no_neighbour_is_charged(kit, tmp_path):
    calls = [((str(tmp_path), n, 5, 1, kit.fake), {}) for n in range(JOBS)]
    batch = kit.session.scatter(jobs.die_in, calls)
    assert batch.results(timeout=60) == list(range(JOBS))
    assert charged(batch) == [1] * 5 + [2] + [1] * 14
    assert ran(tmp_path, 2, 1)


def test_poison_is_lost_after_three_workers_and_tells_its_story(kit, tmp_path):
    calls = [((str(tmp_path), n, 5, 99, kit.fake), {}) for n in range(JOBS)]
    batch = kit.session.scatter(jobs.die_in, calls)
    values = batch.results(errors="return", timeout=60)
    assert [n for n, value in enumerate(values) if value != n] == [5]
    assert isinstance(values[5], dsage.WorkerLost)
    for part in ("Job 5 of batch", "3 times", "signal 9 (SIGKILL)", kit.engine().host):
        assert part in str(values[5])
    assert charged(batch) == [1] * 5 + [None] + [1] * 14
    assert ran(tmp_path, 3, 3)


def test_a_worker_killed_from_outside_is_replaced_and_its_job_tried_again(kit, tmp_path):
    before = kit.ready(2)
    batch = kit.session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(4)])
    until(lambda: jobs.starts(tmp_path, 0) and jobs.starts(tmp_path, 1))
    victim = min(kit.session.workers, key=lambda worker: worker.worker)
    if kit.fake:
        kit.session.fakes["fake"].lose(victim.worker)
    else:
        psutil.Process(victim.pid).kill()
    until(lambda: sum(jobs.starts(tmp_path, n) for n in range(4)) == 3)
    (tmp_path / "gate").touch()
    assert batch.results(timeout=30) == list(range(4))
    assert sum(jobs.starts(tmp_path, n) for n in range(4)) == 5
    assert len(kit.ready(2) & before) == 1


@pytest.mark.needs("linux")
def test_what_jobs_started_goes_when_their_supervisor_is_killed(kit):
    if kit.fake:
        pytest.skip("it has no supervisor")
    before = kit.ready(2)
    started = kit.session.map(jobs.grandchild_of_its_own, [None]).results(timeout=30)[0]
    supervisors = [psutil.Process(pid) for pid in {psutil.Process(pid).ppid() for pid in before}]
    owners = [supervisor.parent() for supervisor in supervisors]
    for supervisor in supervisors:
        supervisor.kill()
    until(lambda: not psutil.pid_exists(started), 5)
    until(lambda: len(kit.pids - before) == 2)
    states = [process.status() for owner in owners for process in owner.children()]
    assert psutil.STATUS_ZOMBIE not in states


# --- the engine ----------------------------------------------------------------------------------------------


def test_refresh_replaces_every_worker(kit):
    before = kit.ready(2)
    assert "2 workers are being replaced" in kit.session.refresh()
    until(lambda: len(kit.pids - before) == 2)
    assert kit.session.map(jobs.square, range(10)).results(timeout=30) == [n * n for n in range(10)]


def test_a_busy_worker_is_replaced_when_its_job_is_done(kit, tmp_path):
    before = kit.ready(2)
    batch = kit.session.scatter(jobs.held, [((str(tmp_path), 0), {})])
    until(lambda: jobs.starts(tmp_path, 0))
    kit.session.refresh()
    until(lambda: len(kit.pids - before) >= 1)
    (tmp_path / "gate").touch()
    assert batch.results(timeout=30) == [0]
    assert jobs.starts(tmp_path, 0) == 1
    until(lambda: not kit.pids & before and len(kit.pids) == 2)


def test_an_engine_is_scaled_up_and_down_while_a_batch_runs(kit, tmp_path):
    if kit.kind == "slurm":
        with pytest.raises(dsage.EngineError, match="keeps its number of slots"):
            kit.session.scale(kit.name, 4)
        return
    batch = kit.session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(8)])
    kit.session.scale(kit.name, 4)
    until(lambda: sum(jobs.starts(tmp_path, n) for n in range(8)) == 4)
    assert kit.session.slots == 4
    kit.session.scale(kit.name, 1)
    (tmp_path / "gate").touch()
    assert batch.results(timeout=30) == list(range(8))
    kit.ready(1)
    assert kit.session.slots == 1
    assert [jobs.starts(tmp_path, n) for n in range(8)] == [1] * 8


def test_an_engine_says_where_it_is_and_what_it_can_do(kit):
    engine = kit.engine()
    assert (engine.name, engine.state, engine.slots, engine.note) == (kit.name, "open", 2, "")
    assert engine.host == ("fake.fake" if kit.fake else os.uname().nodename)
    assert engine.functions
    assert "/all_series" in engine.services
    views: list[dict[str, Any]] = []
    batch = kit.session.map(jobs.square, range(10))
    off = batch.watch(views.append)
    batch.results(timeout=30)
    until(lambda: views and views[-1]["batch"]["ended"])
    off()
    [shown] = views[-1]["engines"]
    wanted = {"name": kit.name, "host": engine.host, "state": "open", "slots": 2, "workers": 2, "running": 0}
    assert shown == wanted | {
        "finished": 10,
        "failed": 0,
        "note": "",
        "cannot": ["scale"] if kit.kind == "slurm" else [],
    }
    assert {worker["engine"] for worker in views[-1]["workers"]} == {kit.name}
    assert {worker["pid"] for worker in views[-1]["workers"]} == kit.pids


def test_services_are_called_by_name_with_plain_data(kit):
    batch = kit.session.scatter("/all_series", [([1000], {"bins": 10}), ([100], {"bins": 5})])
    for (counts, edges), (size, bins) in zip(batch.results(timeout=30), [(1000, 10), (100, 5)], strict=True):
        assert sum(counts) == size
        assert len(counts) == len(edges) == bins
    assert sum(kit.session.submit("/all_series", 50, bins=5).result(30)[0]) == 50


def test_arguments_of_a_service_that_are_no_data_are_named(kit):
    with pytest.raises(dsage.errors.NotDataError, match="job 0 → args"):
        kit.session.scatter("/all_series", [((object(),), {})])
    batch = kit.session.scatter("/all_series", [((10,), {"bins": 5}), ((object(),), {})])
    values = batch.results(errors="return", timeout=30)
    assert sum(values[0][0]) == 10
    assert isinstance(values[1], dsage.errors.NotDataError)
    assert "job 1 → args" in str(values[1])


def test_a_service_called_wrongly_says_so(kit):
    batch = kit.session.scatter("/all_series", [((), {"size": 1, "nonsense": 2})])
    [error] = batch.results(errors="return", timeout=30)
    assert isinstance(error, TypeError)
    assert "nonsense" in str(error)


def test_an_unknown_service_is_refused_in_one_sentence(kit):
    with pytest.raises(dsage.UnknownServiceError, match=r"There is no service '/nope'; there is /all_series"):
        kit.session.map("/nope", [1])


def test_the_end_of_a_session_leaves_nothing_whatever_it_was_doing(kit, tmp_path):
    batch = kit.session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(8)])
    until(lambda: jobs.starts(tmp_path, 0) and jobs.starts(tmp_path, 1))
    kit.session.die()
    assert all(isinstance(error, dsage.SessionLost) for error in batch.results(errors="return", timeout=30))
    if isinstance(kit.server, WorkerServer):
        until(lambda: not psutil.Process(kit.server.pid).children(recursive=True), 5.0)
        kit.server.wait_for_log("its child needs it no more")
    elif kit.server is not None:
        until(lambda: not kit.server.ours(), 5.0)


# --- the fake, where the real ones need a network to break ----------------------------------------------------


def test_the_example_in_the_fakes_docstring_works():
    assert doctest.testmod(fake_session).failed == 0


def test_a_silent_engine_is_away_its_jobs_run_elsewhere_and_it_comes_back(tmp_path):
    with FakeSession({"near": 1, "far": 1}) as session:
        batch = session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(2)])
        until(lambda: jobs.starts(tmp_path, 0) and jobs.starts(tmp_path, 1))
        session.fakes["far"].fall_silent()
        until(lambda: [engine.state for engine in session.engines] == ["open", "away"])
        assert session.slots == 1
        (tmp_path / "gate").touch()
        assert batch.results(timeout=30) == [0, 1]
        session.fakes["far"].come_back()
        until(lambda: [engine.state for engine in session.engines] == ["open", "open"])
        assert session.map(jobs.square, range(20)).results(timeout=30) == [n * n for n in range(20)]


def test_jobs_that_only_a_failed_engine_could_run_end_with_the_reason_and_a_retry_tries_it_again():
    with FakeSession({"only": 1}) as session:
        assert session.wait_for_workers(30)
        session.fakes["only"].fail("only cannot be reached: no route to host")
        until(lambda: session.engines[0].state == "failed")
        assert session.failures == ("The engine 'only': only cannot be reached: no route to host",)
        batch = session.map(jobs.square, [3])
        assert batch.results(timeout=30) == [9]  # something new was wanted, and so it was tried again


def test_an_engine_that_cannot_interrupt_lets_the_job_go_on_and_drops_its_outcome(tmp_path):
    with FakeSession({"stubborn": 1}, can={"stubborn": Abilities(interrupt=False)}) as session:
        views: list[dict[str, Any]] = []
        batch = session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(2)])
        off = batch.watch(views.append)
        until(lambda: jobs.starts(tmp_path, 0) and views)
        assert views[-1]["engines"][0]["cannot"] == ["interrupt"]
        off()
        batch[0].cancel()
        assert batch[0].cancelled()
        (tmp_path / "gate").touch()
        assert batch[1].result(30) == 1
        assert batch[0].cancelled()


def test_an_engine_for_services_only_refuses_functions_in_one_sentence():
    with FakeSession({"data": 1}, can={"data": Abilities(functions=False)}) as session:
        [error] = session.map(jobs.square, [1]).results(errors="return", timeout=30)
        assert isinstance(error, dsage.WorkerLost)
        assert "no engine of this session runs functions: add one that does, or call a service by its name" in str(
            error
        )
        assert sum(session.submit("/all_series", 10, bins=5).result(30)[0]) == 10


def test_an_engine_that_keeps_its_slots_says_so():
    with FakeSession({"fixed": 1}, can={"fixed": Abilities(scale=False)}) as session:
        with pytest.raises(dsage.EngineError, match="'fixed' keeps its number of slots"):
            session.scale("fixed", 4)
        assert session.slots == 1
