"""What Dask engines have of their own: their losses, its queue, its locks, and who listens where."""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING

import psutil
import pytest

import jupyter_dsage as dsage
from tests.dask_cluster import dask_cluster
from tests.descendants import adapters, is_loopback, listening
from tests.process import jobs
from tests.until import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.dask_cluster import DaskServer

JOBS = 40


@pytest.fixture
def crowd(nothing_left: None) -> Iterator[DaskServer]:  # noqa: ARG001
    """Give two Dask workers of two threads each."""
    with dask_cluster(workers=2, threads=2) as made:
        yield made


@pytest.fixture
def lonely(nothing_left: None) -> Iterator[DaskServer]:  # noqa: ARG001
    """Give a scheduler without workers."""
    with dask_cluster(workers=0) as made:
        yield made


def test_a_local_dask_works_and_listens_on_loopback_only():
    with dsage.spawn("dask:?slots=2") as session:
        assert session.map(jobs.square, range(1000)).results(timeout=30) == [n * n for n in range(1000)]
        found = listening()
        assert found
        assert all(map(is_loopback, found)), found


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_dask_worker_that_is_killed_costs_no_job_and_its_slots_come_back(crowd, tmp_path):
    with dsage.spawn(f"{crowd.url}?slots=4") as session:
        assert session.wait_for_workers(30)
        batch = session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(JOBS)])
        until(lambda: sum(jobs.starts(tmp_path, n) for n in range(JOBS)) == 4)
        crowd.workers()[0].kill()
        until(lambda: sum(jobs.starts(tmp_path, n) for n in range(JOBS)) >= 6)  # what it ran runs again
        (tmp_path / "gate").touch()
        assert batch.results(timeout=60) == list(range(JOBS))
        assert sum(jobs.starts(tmp_path, n) for n in range(JOBS)) == JOBS + 2
        until(lambda: session.engines[0].slots == 4)  # its nanny has started another
        assert session.wait_for_workers(30)
    until(lambda: not crowd.ours(), 5.0)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_jobs_that_may_run_only_once_are_lost_with_a_dask_worker(crowd, tmp_path):
    with dsage.spawn(f"{crowd.url}?slots=4") as session:
        until(lambda: session.engines and session.engines[0].slots == 4)
        assert session.wait_for_workers(30)
        batch = session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(4)], at_most_once=True)
        until(lambda: sum(jobs.starts(tmp_path, n) for n in range(4)) == 4)
        crowd.workers()[0].kill()
        until(lambda: batch.counts["lost"] == 2)
        (tmp_path / "gate").touch()
        ends = batch.results(errors="return", timeout=60)
        assert [type(end) for end in ends].count(dsage.WorkerLost) == 2
        assert all("the end of its Dask worker" in str(end) for end in ends if isinstance(end, dsage.WorkerLost))
        assert [jobs.starts(tmp_path, n) for n in range(4)] == [1] * 4


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_an_adapter_that_is_killed_is_started_again_and_what_it_had_placed_goes(crowd):
    with dsage.spawn(f"{crowd.url}?slots=2") as session:
        assert session.wait_for_workers(30)
        before = {worker.pid for worker in session.workers}
        [adapter] = adapters()
        adapter.kill()
        batch = session.map(jobs.square, range(100))
        assert batch.results(timeout=60) == [n * n for n in range(100)]
        until(lambda: not any(map(psutil.pid_exists, before)), 30.0)  # their agents miss their adapter
        assert not before & {worker.pid for worker in session.workers}


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_cluster_without_workers_says_so_and_those_that_come_are_used(lonely):
    with dsage.spawn(lonely.url) as session:
        until(lambda: session.engines and session.engines[0].note == "the Dask cluster has no workers")
        batch = session.map(jobs.square, range(10))
        assert session.slots == 0
        lonely.add_worker(2)
        assert batch.results(timeout=60) == [n * n for n in range(10)]
        assert session.slots == 2


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_job_cancelled_in_dasks_own_queue_never_runs(lonely, tmp_path):
    """The recall comes before the chunk does: it is cut off where it arrives."""
    import distributed

    lonely.add_worker(1)
    entered, leave = tmp_path / "entered", tmp_path / "leave"
    with distributed.Client(lonely.address) as client, dsage.spawn(lonely.url) as session:
        until(lambda: session.slots == 1)
        assert session.wait_for_workers(30)
        theirs = client.submit(jobs.enter_and_wait, str(entered), str(leave), pure=False)
        until(entered.exists)
        batch = session.scatter(jobs.noted, [((str(tmp_path), 0), {})])
        until(lambda: any("dsage-" in key for keys in client.processing().values() for key in keys))
        assert batch[0].cancel()
        leave.touch()
        assert theirs.result(30) == "left"
        assert session.map(jobs.square, [3]).results(timeout=30) == [9]
        assert jobs.starts(tmp_path, 0) == 0


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_scheduler_that_is_killed_is_told_in_one_sentence(nothing_left):  # noqa: ARG001
    with dask_cluster(workers=1) as cluster, dsage.spawn(cluster.url) as session:
        assert session.wait_for_workers(30)
        cluster.scheduler.kill()
        until(lambda: session.failures, 90)
        [why] = session.failures
        assert "the Dask cluster at tcp://127.0.0.1:" in why


@pytest.mark.slow
def test_a_scheduler_that_is_not_there_is_told_in_one_sentence(nothing_left):  # noqa: ARG001
    with dsage.spawn("dask://127.0.0.1:9") as session:
        until(lambda: session.failures, 60)
        [why] = session.failures
        assert "the Dask cluster at tcp://127.0.0.1:9 cannot be reached" in why


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_cluster_behind_tls_admits_who_has_its_certificate(nothing_left, tmp_path):  # noqa: ARG001
    ca, cert, key = certificates(tmp_path)
    options = ("--tls-ca-file", ca, "--tls-cert", cert, "--tls-key", key)
    with dask_cluster(*options, workers=1, scheme="tls") as cluster:
        assert cluster.address.startswith("tls://")
        url = f"{cluster.url}?slots=2&ca={ca}&cert={cert}&key={key}"
        with dsage.spawn(url) as session:
            assert session.map(jobs.square, range(100)).results(timeout=30) == [n * n for n in range(100)]
        until(lambda: not cluster.ours(), 5.0)
        with dsage.spawn(cluster.url) as session:  # without them
            until(lambda: session.failures, 60)
            assert "cannot be reached" in session.failures[0]


def certificates(folder: Path) -> tuple[str, str, str]:
    """Make a certificate that signs itself: authority, certificate and key, as files."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "dsage-test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(secret, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    form = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(secret.private_bytes(pem, form, serialization.NoEncryption()))
    return str(folder / "cert.pem"), str(folder / "cert.pem"), str(folder / "key.pem")
