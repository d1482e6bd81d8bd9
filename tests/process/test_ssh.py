"""Sessions on a host by ssh, with a real sshd: links that are cut, children that are killed, what is told of failures.

What holds of every engine is in test_engines.py, what networks do in tests/network/.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest

import jupyter_dsage as dsage
from tests.process import jobs
from tests.sshd import Sshd, sshd
from tests.until import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("sshd", "linux")


@pytest.fixture
def server(nothing_left: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:  # noqa: ARG001
    folder = tmp_path / "sshd"
    folder.mkdir()
    with sshd(folder) as made:
        monkeypatch.setenv("DSAGE_SSH", made.ssh)
        yield made


def ours(words: str) -> list[psutil.Process]:
    """Return this test's Python processes whose command line holds these words."""
    mark = os.environ["DSAGE_TEST_MARK"]
    found = []
    for process in psutil.process_iter(["cmdline"]):
        try:
            same = process.environ().get("DSAGE_TEST_MARK") == mark
        except psutil.Error:
            continue
        line = process.info["cmdline"] or [""]
        if same and "python" in line[0] and words in " ".join(line):
            found.append(process)
    return found


def only(words: str) -> psutil.Process:
    [process] = until(lambda: ours(words))
    return process


def engine(session: dsage.Session) -> Any:
    [found] = session.engines
    return found


def test_arrays_small_jobs_and_output_over_one_ssh_connection_and_no_port_is_opened(server):
    with dsage.spawn(server.url) as session:
        data = np.arange(3_000_000)
        doubled = session.submit(lambda array: array * 2, data)
        assert session.map(jobs.square, range(1000)).results(timeout=30) == [n * n for n in range(1000)]
        assert np.array_equal(doubled.result(60), data * 2)
        assert engine(session).name == server.name
        connections = [c for process in ours("jupyter_dsage") for c in process.net_connections("tcp")]
        assert len(ours("jupyter_dsage")) > 3  # child, bridge, room server, supervisor, workers
        assert [c for c in connections if c.status == "LISTEN"] == []
    assert server.log().count("Accepted publickey") == 1


def test_a_link_that_is_cut_is_made_again_and_nothing_is_lost_or_run_twice(server, tmp_path):
    with dsage.spawn(server.url) as session:
        batch = session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(8)])
        until(lambda: jobs.starts(tmp_path, 0) and jobs.starts(tmp_path, 1))
        workers = {worker.pid for worker in session.workers}
        only("worker.bridge").kill()
        (tmp_path / "gate").touch()
        assert batch.results(timeout=30) == list(range(8))
        assert [jobs.starts(tmp_path, n) for n in range(8)] == [1] * 8
        assert {worker.pid for worker in session.workers} == workers
    assert server.log().count("Accepted publickey") == 2


def test_a_killed_child_is_followed_by_one_that_finds_the_same_host(server, tmp_path):
    with dsage.spawn(server.url) as session:
        batch = session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(6)])
        until(lambda: jobs.starts(tmp_path, 0) and jobs.starts(tmp_path, 1))
        rooms = only("worker.rooms").pid
        psutil.Process(session.pid).kill()
        (tmp_path / "gate").touch()
        assert batch.results(timeout=60) == list(range(6))
        assert only("worker.rooms").pid == rooms


def test_a_killed_room_server_loses_its_workers_and_the_jobs_are_tried_again(server, tmp_path):
    with dsage.spawn(server.url) as session:
        batch = session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(4)])
        until(lambda: jobs.starts(tmp_path, 0) and jobs.starts(tmp_path, 1))
        only("worker.rooms").kill()
        (tmp_path / "gate").touch()
        assert batch.results(timeout=60) == list(range(4))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"python": "/nowhere/python"}, "/nowhere/python: No such file or directory (name an interpreter"),
        ({"python": "cat"}, "cat"),
        ({"user": "nobody"}, "Permission denied"),
        ({"host": "localhost"}, "Host key verification failed"),
        ({"host": "no.such.host.invalid"}, "Could not resolve hostname"),
    ],
)
def test_what_is_wrong_with_a_host_is_told_in_its_own_words(server, change, sentence):
    words = {"user": "", "host": server.host, "python": sys.executable} | change
    user = f"{words['user']}@" if words["user"] else server.name.partition("://")[2].partition("@")[0] + "@"
    with dsage.spawn(f"ssh://{user}{words['host']}:{server.port}?slots=1&python={words['python']}") as session:
        [error] = session.map(jobs.square, [1]).results(errors="return", timeout=30)
        assert isinstance(error, dsage.WorkerLost)
        assert sentence in str(error)
        assert "cannot be reached" in str(error)
        assert engine(session).state == "failed"


def test_a_session_that_ends_while_large_frames_are_on_their_way_leaves_nothing_there(server, tmp_path):
    with dsage.spawn(server.url) as session:
        doubled = session.submit(lambda array: array * 2, np.arange(30_000_000))
        waiting = session.submit(jobs.held, str(tmp_path), 0)
        until(lambda: jobs.starts(tmp_path, 0))
    for job in (doubled, waiting):
        assert isinstance(job.exception(30), dsage.SessionLost)


def test_nonsense_at_the_room_servers_socket_costs_its_connection_only(server):
    with dsage.spawn(server.url) as session:
        assert session.wait_for_workers(30)
        [path] = Path(os.environ["XDG_RUNTIME_DIR"]).glob("dsage-*/rooms.sock")
        batch = session.map(jobs.nap, [0.01] * 100)
        for nonsense in (
            bytes(100),
            os.urandom(5000),
            b"\x00\xff\xff\xff\xff",
            b"GET / HTTP/1.0\r\n\r\n",
            b"\x03\1\0\0\0k",
        ):
            with socket.socket(socket.AF_UNIX) as stranger:
                stranger.settimeout(10)
                stranger.connect(str(path))
                stranger.sendall(nonsense)
                assert stranger.recv(1000) == b""  # it is closed
        assert batch.results(timeout=30) == [0.01] * 100
    assert server.log().count("Accepted publickey") == 1


def test_an_engine_that_is_removed_and_added_at_once_again_and_again_comes_back(server):
    with dsage.spawn([server.url, "local:?slots=1"]) as session:
        for _ in range(3):
            session.remove(server.name, now=True)
            session.add(server.url)
        with pytest.raises(dsage.EngineError, match="is there already"):
            session.add(server.url)
        until(lambda: session.slots == 3)
        assert session.map(jobs.square, range(100)).results(timeout=30) == [n * n for n in range(100)]
        session.remove(server.name, now=True)
        session.add(server.url)  # and it ends while that one is being reached


def test_what_a_hosts_start_up_files_print_is_left(server, tmp_path):
    chatty = tmp_path / "chatty"
    chatty.write_text(f'#!/bin/sh\necho "Welcome to lab7!"; echo "You have mail."\nexec {sys.executable} "$@"\n')
    chatty.chmod(0o700)
    with dsage.spawn(server.url.replace(sys.executable, str(chatty))) as session:
        assert session.map(jobs.square, range(10)).results(timeout=30) == [n * n for n in range(10)]


def test_the_number_of_slots_is_that_of_the_hosts_cores_where_none_is_given(server):
    with dsage.spawn(server.url.replace("slots=2&", "")) as session:
        assert session.wait_for_workers(30)
        assert session.slots == len(os.sched_getaffinity(0))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_environment_is_made_where_there_is_none_and_used_the_next_time(server, tmp_path):
    base = os.path.realpath(sys.executable)  # without our package: the environment's own Python has it
    with dsage.spawn(f"{server.name}?slots=1&python={base}") as session:
        [error] = session.map(jobs.square, [1]).results(errors="return", timeout=30)
        assert "say &bootstrap=1" in str(error)
    with server.with_env("XDG_DATA_HOME", str(tmp_path / "data")):
        for _ in range(2):
            with dsage.spawn(f"{server.name}?slots=1&bootstrap=1&python={base}") as session:
                [path] = session.map(lambda _: __import__("sys").executable, [0]).results(timeout=200)
                assert path.startswith(str(tmp_path / "data" / "jupyter_dsage" / "envs"))
    assert len(list((tmp_path / "data" / "jupyter_dsage" / "envs").iterdir())) == 1
