"""Sessions on worker servers: several engines at once, links that are cut, servers that die, what is refused.

What holds of every engine is in test_engines.py; what strangers try is in test_attacks.py.
"""

from __future__ import annotations

import os
import re
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest

import jupyter_dsage as dsage
from jupyter_dsage.net.keys import Keys
from tests.process import jobs
from tests.process.proxy import HOST, Cable, cable
from tests.until import until
from tests.worker_server import WorkerServer, worker_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.needs("linux")  # another loopback address, without asking anybody


def name_of(server: WorkerServer) -> str:
    return server.url.partition("?")[0]


def with_slots(url: str, slots: int, more: str = "") -> str:
    return re.sub(r"slots=\d+", f"slots={slots}{more}", url)


def states(session: dsage.Session) -> dict[str, str]:
    return {engine.name: engine.state for engine in session.engines}


def started(folder: Path, count: int) -> int:
    return sum(jobs.starts(folder, n) for n in range(count))


def hold(session: dsage.Session, folder: Path, count: int, **how: Any) -> dsage.Batch:
    """Scatter jobs that wait for the gate."""
    return session.scatter(jobs.held, [((str(folder), n), {}) for n in range(count)], **how)


@contextmanager
def cabled(slots: int = 2, *options: str) -> Iterator[tuple[WorkerServer, Cable]]:
    """Give a server with a cable that can be pulled."""
    with worker_server(*options, slots=slots) as server, cable(server.url, server.port, server.bulk_port) as wire:
        yield server, wire


def last_view(batch: dsage.Batch) -> dict[str, Any]:
    """Return the view of a batch that has ended."""
    views: list[dict[str, Any]] = []
    off = batch.watch(views.append)
    until(lambda: views and views[-1]["batch"]["ended"])
    off()
    return views[-1]


# --- several engines at once ---------------------------------------------------------------------------------


def test_one_batch_runs_on_local_and_remote_slots_and_the_view_counts_by_engine(tmp_path):
    with worker_server(slots=2) as server, dsage.spawn(["local:?slots=2", server.url]) as session:
        assert session.wait_for_workers(30)
        assert session.slots == 4
        batch = hold(session, tmp_path, 8)
        until(lambda: started(tmp_path, 8) == 4)
        (tmp_path / "gate").touch()
        assert batch.results(timeout=30) == list(range(8))
        shown = {engine["name"]: engine for engine in last_view(batch)["engines"]}
        assert set(shown) == {"local", name_of(server)}
        assert all(engine["finished"] >= 2 for engine in shown.values())
        assert sum(engine["finished"] for engine in shown.values()) == 8
        assert [jobs.starts(tmp_path, n) for n in range(8)] == [1] * 8


def test_an_engine_is_added_while_a_batch_runs_and_shares_its_work(tmp_path):
    with worker_server(slots=2) as server, dsage.spawn("local:?slots=1") as session:
        batch = hold(session, tmp_path, 6)
        until(lambda: started(tmp_path, 6) == 1)
        assert session.add(server.url) == f"The engine {name_of(server)} was added."
        until(lambda: started(tmp_path, 6) == 3)
        with pytest.raises(dsage.EngineError, match="is there already"):
            session.add(server.url)
        (tmp_path / "gate").touch()
        assert batch.results(timeout=30) == list(range(6))


def test_an_engine_is_removed_when_its_running_jobs_have_ended(tmp_path):
    with worker_server(slots=1) as server, dsage.spawn(["local:?slots=1", server.url]) as session:
        assert session.wait_for_workers(30)
        batch = hold(session, tmp_path, 6)
        until(lambda: started(tmp_path, 6) == 2)
        assert session.remove(server.url) == f"The engine {name_of(server)} goes when its running jobs have ended."
        until(lambda: states(session) == {"local": "open", name_of(server): "leaving"})
        (tmp_path / "gate").touch()
        assert batch.results(timeout=30) == list(range(6))
        assert [jobs.starts(tmp_path, n) for n in range(6)] == [1] * 6
        until(lambda: states(session) == {"local": "open"})
        server.wait_for_log("its child needs it no more")
        with pytest.raises(dsage.UsageError, match="'local' is the only engine"):
            session.remove("local")


def test_an_engine_is_removed_at_once_and_its_jobs_are_moved(tmp_path):
    with worker_server(slots=1) as server, dsage.spawn(["local:?slots=1", server.url]) as session:
        assert session.wait_for_workers(30)
        batch = hold(session, tmp_path, 4)
        until(lambda: started(tmp_path, 4) == 2)
        session.remove(name_of(server), now=True)
        until(lambda: states(session) == {"local": "open"})
        server.wait_for_log("its child needs it no more")
        until(lambda: not psutil.Process(server.pid).children(), 5.0)
        (tmp_path / "gate").touch()
        assert batch.results(timeout=30) == list(range(4))
        assert started(tmp_path, 4) == 5  # the one that ran there ran again


def test_an_engine_that_was_removed_is_added_again():
    with worker_server(slots=1) as server, dsage.spawn(["local:?slots=1", server.url]) as session:
        for _ in range(2):
            assert session.wait_for_workers(30)
            session.remove(server.url, now=True)
            until(lambda: states(session) == {"local": "open"})
            session.add(server.url)
        assert session.wait_for_workers(30)
        assert session.map(jobs.square, range(20)).results(timeout=30) == [n * n for n in range(20)]


def test_a_server_gives_what_it_has_however_much_is_asked():
    with worker_server(slots=2) as server, dsage.spawn(with_slots(server.url, 1)) as session:
        assert session.wait_for_workers(30)
        assert session.slots == 1
        session.scale(server.url, 50)
        until(lambda: session.slots == 2)
        until(lambda: [worker.stage for worker in session.workers] == ["ready"] * 2)


# --- once per host -------------------------------------------------------------------------------------------


def test_a_function_and_what_it_captured_go_to_a_host_once():
    array = np.random.default_rng(1).random(2_500_000)  # 20 MB, which nothing makes smaller

    def mean(_):
        return float(array.mean())

    with cabled(2) as (_server, wire), dsage.spawn(wire.url) as session:
        assert session.wait_for_workers(30)
        before = wire.sent
        assert session.map(mean, range(20)).results(timeout=60) == [array.mean()] * 20
        session.refresh()
        assert session.wait_for_workers(30)
        assert session.map(mean, range(20)).results(timeout=60) == [array.mean()] * 20
        assert array.nbytes < wire.sent - before < 1.2 * array.nbytes


# --- links and servers that break ----------------------------------------------------------------------------


def test_a_cut_link_loses_nothing_and_runs_nothing_twice(tmp_path):
    with cabled(2) as (server, wire), dsage.spawn(wire.url) as session:
        assert session.wait_for_workers(30)
        batch = session.scatter(jobs.noted, [((str(tmp_path), n, 0.02), {}) for n in range(150)])
        for times in (1, 2, 3):
            until(lambda times=times: batch.counts["finished"] >= 20 * times)
            wire.cut()
            until(lambda times=times: server.log().count("its bulk connection is gone") >= times)
            wire.mend()
            until(lambda times=times: server.log().count("is back") >= times)
        assert batch.results(timeout=60) == list(range(150))
        assert [jobs.starts(tmp_path, n) for n in range(150)] == [1] * 150
        assert server.log().count("was admitted") == 1


def test_what_ended_while_the_link_was_down_is_told_when_it_is_back(tmp_path):
    with cabled(2) as (server, wire), dsage.spawn(wire.url) as session:
        assert session.wait_for_workers(30)
        batch = hold(session, tmp_path, 2)
        until(lambda: started(tmp_path, 2) == 2)
        wire.cut()
        server.wait_for_log("its bulk connection is gone")
        (tmp_path / "gate").touch()
        assert not batch.ready()
        wire.mend()
        assert batch.results(timeout=30) == [0, 1]
        assert [jobs.starts(tmp_path, n) for n in range(2)] == [1, 1]


def test_large_payloads_arrive_whole_though_the_link_is_cut_while_they_travel(tmp_path):
    array = np.random.default_rng(2).random(1_250_000)

    def scaled(folder, n):
        jobs.note(folder, n)
        return array * n

    with cabled(2) as (server, wire), dsage.spawn(wire.url) as session:
        assert session.wait_for_workers(30)
        batch = session.scatter(scaled, [((str(tmp_path), n), {}) for n in range(12)])
        for times, bulk in ((1, 2_000_000), (2, 11_000_000)):
            until(lambda bulk=bulk: wire.bulk.sent >= bulk or started(tmp_path, 12) >= 6)
            wire.cut()
            until(lambda times=times: server.log().count("its bulk connection is gone") >= times)
            wire.mend()
            until(lambda times=times: server.log().count("is back") >= times)
        for n, value in enumerate(batch.results(timeout=60)):
            assert np.array_equal(value, array * n)
        assert [jobs.starts(tmp_path, n) for n in range(12)] == [1] * 12


def test_a_server_that_is_killed_and_started_anew_is_used_again_and_the_batch_ends_right(tmp_path):
    with worker_server(slots=2) as first:
        port, workers = first.port, []
        with dsage.spawn(first.url) as session:
            assert session.wait_for_workers(30)
            workers = [worker.pid for worker in session.workers]
            batch = hold(session, tmp_path, 6)
            until(lambda: started(tmp_path, 6) == 2)
            first.kill()
            until(lambda: not any(psutil.pid_exists(pid) for pid in workers), 5.0)
            with worker_server(slots=2, port=port) as second:
                second.wait_for_log("was admitted with 2 slots")
                until(lambda: started(tmp_path, 6) == 4)
                (tmp_path / "gate").touch()
                assert batch.results(timeout=30) == list(range(6))
                assert started(tmp_path, 6) == 8  # the two that ran ran again, uncharged
                session.die()


def test_jobs_of_a_lost_server_run_on_the_engines_that_are_left_and_it_comes_back_by_itself(tmp_path):
    with (
        cabled(1) as (_server, wire),
        dsage.spawn(["local:?slots=1", with_slots(wire.url, 1, "&linger=1s")]) as session,
    ):
        assert session.wait_for_workers(30)
        batch = hold(session, tmp_path, 4)
        until(lambda: started(tmp_path, 4) == 2)
        wire.cut()
        until(lambda: states(session) == {"local": "open", wire.name: "failed"})
        [failure] = session.failures
        assert failure.startswith(f"The engine {wire.name!r}: {wire.name} has not answered for")
        (tmp_path / "gate").touch()
        assert batch.results(timeout=30) == list(range(4))
        wire.mend()
        until(lambda: states(session) == {"local": "open", wire.name: "open"})
        assert session.wait_for_workers(30)
        again = session.map(jobs.square, range(20))
        assert again.results(timeout=30) == [n * n for n in range(20)]


@pytest.mark.slow
def test_the_room_of_a_child_that_never_comes_back_ends_after_linger(tmp_path):
    with worker_server(slots=1) as server:
        with dsage.spawn(with_slots(server.url, 1, "&linger=1s")) as session:
            assert session.wait_for_workers(30)
            hold(session, tmp_path, 2)
            until(lambda: started(tmp_path, 2) == 1)
            psutil.Process(session.pid).kill()
        assert psutil.Process(server.pid).children(), "its workers go on meanwhile"
        server.wait_for_log("nobody came back for")
        until(lambda: not psutil.Process(server.pid).children(), 5.0)


# --- who is not there, or full -------------------------------------------------------------------------------


def closed_url() -> str:
    """Return the URL of a server that is not there."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        port = taken.getsockname()[1]
    return f"dsage://{HOST}:{port}?slots=2&key={Keys().server().public_text}"


def test_a_server_that_is_not_there_keeps_no_batch_from_other_engines():
    url = closed_url()
    with dsage.spawn(["local:?slots=1", url]) as session:
        assert session.map(jobs.square, range(20)).results(timeout=30) == [n * n for n in range(20)]
        assert states(session)[url.partition("?")[0]] == "connecting"


def test_a_server_that_comes_later_is_used():
    with cabled(2) as (_server, wire):
        wire.cut()
        with dsage.spawn(wire.url) as session:
            batch = session.map(jobs.square, range(20))
            assert states(session) == {wire.name: "connecting"}
            wire.mend()
            assert batch.results(timeout=30) == [n * n for n in range(20)]


@pytest.mark.slow
def test_jobs_that_only_an_unreachable_server_could_run_end_with_the_reason_and_a_retry_dials_again():
    url = closed_url()
    with dsage.spawn(url) as session:
        batch = session.map(jobs.square, [3])
        [error] = batch.results(errors="return", timeout=60)
        assert isinstance(error, dsage.WorkerLost)
        assert re.search(r"Job 0 of batch 'batch-1' could not run.*cannot be reached", str(error))
        assert states(session) == {url.partition("?")[0]: "failed"}
        batch.retry()
        until(lambda: set(states(session).values()) == {"connecting"})


def test_all_slots_taken_the_second_session_waits_and_gets_them_when_the_first_ends():
    with worker_server(slots=2) as server, dsage.spawn(server.url) as first:
        assert first.wait_for_workers(30)
        with dsage.spawn(server.url) as second:
            assert second.wait_for_workers(30)
            [engine] = second.engines
            assert (engine.state, engine.slots, engine.note) == ("open", 0, "all of its slots are taken by others")
            batch = second.map(jobs.square, range(20))
            assert first.map(jobs.square, [3]).results(timeout=30) == [9]
            assert not batch.ready()
            first.die()
            assert batch.results(timeout=30) == [n * n for n in range(20)]
            [engine] = second.engines
            assert (engine.state, engine.slots, engine.note) == ("open", 2, "")


def test_sessions_share_the_slots_of_a_server(tmp_path):
    with (
        worker_server(slots=3) as server,
        dsage.spawn(with_slots(server.url, 1)) as first,
        dsage.spawn(with_slots(server.url, 2)) as second,
    ):
        for folder, session in (("a", first), ("b", second)):
            (tmp_path / folder).mkdir()
            hold(session, tmp_path / folder, 4)
        until(lambda: started(tmp_path / "a", 4) == 1 and started(tmp_path / "b", 4) == 2)
        first.scale(server.url, 3)
        second.scale(server.url, 1)
        until(lambda: second.slots == 1)
        assert first.slots == 1, "a slot that was taken back is another's when its worker has gone"
        (tmp_path / "b" / "gate").touch()
        until(lambda: started(tmp_path / "a", 4) == 2)
        until(lambda: (first.slots, second.slots) == (2, 1))


# --- versions and services -----------------------------------------------------------------------------------


def test_another_version_is_refused_in_one_sentence_with_both_versions(tmp_path):
    stub = tmp_path / "cloudpickle-0.0.1.dist-info"
    stub.mkdir()
    (stub / "METADATA").write_text("Metadata-Version: 2.1\nName: cloudpickle\nVersion: 0.0.1\n")
    with (
        worker_server(slots=1, env={**os.environ, "PYTHONPATH": str(tmp_path)}) as server,
        dsage.spawn(server.url) as session,
    ):
        until(lambda: states(session) == {name_of(server): "failed"})
        [error] = session.map(jobs.square, [3]).results(errors="return", timeout=30)
        assert isinstance(error, dsage.WorkerLost)
        import cloudpickle

        form = r"jupyter_dsage \S+, Python \d\.\d+, cloudpickle "
        ours, theirs = re.escape(cloudpickle.__version__), re.escape("0.0.1")
        sentence = f"The child runs {form}{ours}, this server {form}{theirs}: install the same on both."
        assert re.search(sentence, str(error))
        assert re.search(sentence, session.failures[0])
        assert not psutil.Process(server.pid).children()


def test_a_service_of_a_server_is_called_by_name_and_runs_there_only():
    with (
        worker_server("--service", "/mean=statistics:fmean", slots=1) as server,
        dsage.spawn(["local:?slots=1", server.url]) as session,
    ):
        assert session.wait_for_workers(30)
        batch = session.map("/mean", [[1, 2, 3], [4.5], [2, 3]])
        assert batch.results(timeout=30) == [2.0, 4.5, 2.5]
        finished = {engine["name"]: engine["finished"] for engine in last_view(batch)["engines"]}
        assert finished == {"local": 0, name_of(server): 3}
        with pytest.raises(dsage.UnknownServiceError, match="there is /all_series, /mean"):
            session.map("/meen", [[1]])


def test_a_server_for_services_only_runs_no_function_and_unpickles_nothing():
    with worker_server("--services-only", slots=1) as server:
        with dsage.spawn(server.url) as session:
            [error] = session.map(jobs.square, [1]).results(errors="return", timeout=30)
            assert isinstance(error, dsage.WorkerLost)
            assert "no engine of this session runs functions" in str(error)
            batch = session.scatter("/all_series", [((100,), {"bins": 5})])
            assert sum(batch.results(timeout=30)[0][0]) == 100
            assert last_view(batch)["engines"][0]["cannot"] == ["functions"]
        with dsage.spawn(["local:?slots=1", server.url]) as session:
            assert session.wait_for_workers(30)
            batch = session.map(jobs.square, range(10))
            assert batch.results(timeout=30) == [n * n for n in range(10)]
            finished = {engine["name"]: engine["finished"] for engine in last_view(batch)["engines"]}
            assert finished == {"local": 10, name_of(server): 0}
