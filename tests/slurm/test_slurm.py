"""Sessions on a real Slurm: its queue's words, jobs that it cancels or refuses, nodes that call back.

What holds of every engine is in tests/process/test_engines.py.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

import jupyter_dsage as dsage
from tests.process import jobs
from tests.slurm_cluster import Cluster, slurm_cluster
from tests.until import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.needs("slurm"), pytest.mark.timeout(180)]


@pytest.fixture(scope="module", autouse=True)
def started() -> Iterator[Cluster]:
    """Give one for all tests; it is there before any, so that none is blamed for it."""
    with slurm_cluster() as made:
        yield made


@pytest.fixture
def cluster(started: Cluster, nothing_left: None, monkeypatch: pytest.MonkeyPatch) -> Cluster:  # noqa: ARG001
    monkeypatch.setenv("SLURM_CONF", started.conf)
    return started


def engine(session: dsage.Session) -> Any:
    [found] = session.engines
    return found


def queue(cluster: Cluster) -> list[str]:
    return cluster.run("squeue", "-h", "-o", "%i").split()


def test_the_queues_own_words_are_shown_and_a_waiting_job_goes_with_the_session(cluster):
    with dsage.spawn(f"{cluster.url}&partition=down") as session:
        assert engine(session).name == "slurm:down"
        until(lambda: "pending: PartitionDown" in engine(session).note)
        assert len(queue(cluster)) == 1
    until(lambda: not queue(cluster))


def test_the_call_file_is_this_users_alone_and_goes_with_the_session(cluster):
    folder = Path(cluster.folder) / "calls"
    with dsage.spawn(cluster.url) as session:
        assert session.wait_for_workers(60)
        [path] = folder.glob("*.call")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert session.map(jobs.square, range(100)).results(timeout=30) == [n * n for n in range(100)]
    assert not list(folder.iterdir())
    until(lambda: not queue(cluster))


def test_a_job_that_somebody_cancels_loses_its_workers_with_slurms_reason_and_a_new_batch_submits_another(
    cluster, tmp_path
):
    with dsage.spawn(cluster.url) as session:
        assert session.wait_for_workers(60)
        batch = session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(2)])
        until(lambda: jobs.starts(tmp_path, 0) and jobs.starts(tmp_path, 1))
        [job] = queue(cluster)
        cluster.run("scancel", job)
        errors = batch.results(errors="return", timeout=60)
        assert all(isinstance(error, dsage.WorkerLost) for error in errors)
        assert f"Slurm's job {job} ended (cancelled" in str(errors[0])
        assert session.map(jobs.square, [3]).results(timeout=60) == [9]
        assert queue(cluster) != [job]


def test_a_node_whose_call_drops_calls_again_and_nothing_is_lost_or_run_twice(cluster, tmp_path):
    with dsage.spawn(cluster.url) as session:
        assert session.wait_for_workers(60)
        batch = session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(6)])
        until(lambda: jobs.starts(tmp_path, 0) and jobs.starts(tmp_path, 1))
        child = psutil.Process(session.pid)
        [call] = [c for c in child.net_connections("tcp") if c.status == "ESTABLISHED"]
        _cut(call)
        until(lambda: call not in child.net_connections("tcp"))
        (tmp_path / "gate").touch()
        assert batch.results(timeout=60) == list(range(6))
        assert [jobs.starts(tmp_path, n) for n in range(6)] == [1] * 6


def _cut(connection: Any) -> None:
    """Have the system drop a connection, as a firewall does that has forgotten it."""
    place = f"{connection.laddr.ip}:{connection.laddr.port}"
    there = f"{connection.raddr.ip}:{connection.raddr.port}"
    assert os.system(f"ss -K src {place} dst {there} >/dev/null") == 0  # noqa: S605


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("&partition=nowhere", "Slurm takes no job: sbatch: error: invalid partition specified: nowhere"),
        ("&python=/nowhere/python", "Slurm's job"),
        ("&address=192.0.2.1", "The nodes cannot call back at 192.0.2.1:0"),
    ],
)
def test_what_slurm_refuses_is_told_in_its_own_words(cluster, options, sentence):
    url = cluster.url
    for option in options.lstrip("&").split("&"):
        name = option.partition("=")[0]
        url = "&".join(part for part in url.split("&") if not part.startswith(f"{name}="))
    with dsage.spawn(url + options) as session:
        [error] = session.map(jobs.square, [1]).results(errors="return", timeout=60)
        assert isinstance(error, dsage.WorkerLost)
        assert sentence in str(error)
        assert engine(session).state == "failed"


def test_without_slurms_commands_one_sentence_says_so(cluster, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with dsage.spawn(cluster.url) as session:
        [error] = session.map(jobs.square, [1]).results(errors="return", timeout=60)
        assert "sbatch cannot be started" in str(error)
        assert "start the session where Slurm's commands are" in str(error)
