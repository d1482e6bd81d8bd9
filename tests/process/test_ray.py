"""What Ray engines have of their own: their losses, a Ray that is there already, and who listens where."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import psutil
import pytest

import jupyter_dsage as dsage
from jupyter_dsage.errors import EngineError
from jupyter_dsage.net.cluster_objects import is_cluster, url_of
from tests.descendants import adapters, is_loopback, listening
from tests.process import jobs
from tests.ray_cluster import ray_cluster
from tests.until import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.ray_cluster import RayServer

JOBS = 40
pytestmark = [pytest.mark.slow, pytest.mark.needs("ray"), pytest.mark.timeout(240)]


@pytest.fixture(scope="module", autouse=True)
def head() -> Iterator[RayServer]:
    """Give one head with four CPUs for all tests; it is there before any test, so that none is blamed for it."""
    with ray_cluster(4) as made:
        yield made


def test_a_local_ray_works_and_listens_on_loopback_only(nothing_left):  # noqa: ARG001
    with dsage.spawn("ray:?slots=2") as session:
        assert session.map(jobs.square, range(1000)).results(timeout=90) == [n * n for n in range(1000)]
        found = listening()
        assert found
        assert all(map(is_loopback, found)), found


def test_an_actor_that_is_killed_costs_no_job_and_its_slot_comes_back(head, nothing_left, tmp_path):  # noqa: ARG001
    with dsage.spawn(f"{head.url}?slots=4") as session:
        until(lambda: session.engines and session.engines[0].slots == 4, 90)
        assert session.wait_for_workers(90)
        batch = session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(JOBS)])
        until(lambda: sum(jobs.starts(tmp_path, n) for n in range(JOBS)) == 4)
        head.slots()[0].kill()
        until(lambda: sum(jobs.starts(tmp_path, n) for n in range(JOBS)) >= 5, 60)  # what it ran runs again
        (tmp_path / "gate").touch()
        assert batch.results(timeout=60) == list(range(JOBS))
        assert sum(jobs.starts(tmp_path, n) for n in range(JOBS)) == JOBS + 1
        until(lambda: session.engines[0].slots == 4, 60)  # another actor
        assert session.wait_for_workers(60)
    until(lambda: not head.ours(), 10.0)


def test_a_job_that_may_run_only_once_is_lost_with_its_actor(head, nothing_left, tmp_path):  # noqa: ARG001
    with dsage.spawn(f"{head.url}?slots=1") as session:
        assert session.wait_for_workers(90)
        batch = session.scatter(jobs.held, [((str(tmp_path), 0), {})], at_most_once=True)
        until(lambda: jobs.starts(tmp_path, 0) == 1)
        head.slots()[0].kill()
        assert batch.wait(60)
        assert "the end of its Ray worker" in str(batch[0].exception())
        assert jobs.starts(tmp_path, 0) == 1


def test_an_adapter_that_is_killed_is_started_again(head, nothing_left):  # noqa: ARG001
    with dsage.spawn(f"{head.url}?slots=2") as session:
        assert session.wait_for_workers(90)
        before = {worker.pid for worker in session.workers}
        [adapter] = adapters()
        adapter.kill()
        assert session.map(jobs.square, range(100)).results(timeout=120) == [n * n for n in range(100)]
        until(lambda: not any(map(psutil.pid_exists, before)), 60)
        assert not before & {worker.pid for worker in session.workers}


def test_fewer_slots_give_cpus_back_to_ray(head, nothing_left):  # noqa: ARG001
    with dsage.spawn(f"{head.url}?slots=3") as session:
        until(lambda: len(head.slots()) == 3, 90)
        assert session.wait_for_workers(90)
        session.scale(head.url, 1)
        until(lambda: len(head.slots()) == 1, 60)
        assert session.map(jobs.square, range(100)).results(timeout=60) == [n * n for n in range(100)]


def test_a_head_that_is_not_there_is_told_in_one_sentence(nothing_left):  # noqa: ARG001
    with dsage.spawn("ray://127.0.0.1:9") as session:
        until(lambda: session.failures, 120)
        [why] = session.failures
        assert "the Ray cluster at ray://127.0.0.1:9 cannot be reached" in why


def test_a_head_that_is_killed_is_told_in_one_sentence(nothing_left):  # noqa: ARG001
    with ray_cluster(1) as lonely, dsage.spawn(lonely.url) as session:
        assert session.wait_for_workers(90)
        lonely.kill()
        until(lambda: any("the Ray cluster at ray://127.0.0.1:" in why for why in session.failures), 150)
        assert len(session.failures) == 1


def test_the_ray_of_a_notebook_is_an_engine_whether_it_is_a_driver_or_a_client(head):
    """In a process of its own, as the kernel is; the driver's Ray is one that it has started itself."""
    code = """
        import ray
        import jupyter_dsage as dsage
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
        with dsage.spawn(ray, journal=False) as session:
            print(session.map(abs, range(-500, 0)).results(timeout=90) == list(range(500, 0, -1)))
            [engine] = session.engines
            print(engine.name, engine.slots, engine.note)
        ray.shutdown()
        context = ray.init(HEAD, log_to_driver=False)
        with dsage.spawn("local:?slots=1", journal=False) as session:
            session.add(context)
            print([engine.name for engine in session.engines] == ["local", HEAD])
    """
    code = textwrap.dedent(code).replace("HEAD", repr(head.url))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["True", "ray 2 the Ray of this process, and ends with it", "True"]


def test_a_ray_that_is_not_initialized_is_refused_in_one_sentence():
    import ray

    assert is_cluster(ray)
    with pytest.raises(EngineError, match=r"Ray is not initialized here: call ray\.init\(\) first"):
        url_of(ray)
