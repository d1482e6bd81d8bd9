"""Attacks on a worker server: nothing unpickled, nothing lost, others served meanwhile, one log line a minute.

Each test has a batch of an honest session going on at the same server (`honest`): it must end right.
"""

from __future__ import annotations

import os
import pickle
import resource
import socket
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
import zmq

import jupyter_dsage as dsage
from jupyter_dsage import settings
from jupyter_dsage.errors import PeerGoneError
from jupyter_dsage.net.keys import Keys, parse_key
from jupyter_dsage.net.secure import SecureLink
from jupyter_dsage.net.zmq_transport import ZmqNetwork
from jupyter_dsage.wire import codec, data_calls, remote
from jupyter_dsage.wire import messages as m
from tests.process import attacker
from tests.worker_server import worker_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.worker_server import WorkerServer


class Bomb:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def bomb(tmp_path: Path) -> Iterator[bytes]:
    """Give a pickle that must never be read; look afterwards whether it was."""
    path = tmp_path / "unpickled"
    yield pickle.dumps(Bomb(str(path)))
    assert not path.exists(), "a byte from a peer was unpickled"


@pytest.fixture(autouse=True)
def own_keys(nothing_left: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keys:  # noqa: ARG001
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    return Keys()


@pytest.fixture
def server(own_keys: Keys) -> Iterator[WorkerServer]:
    own_keys.server()
    with worker_server(slots=3) as made:
        yield made


@pytest.fixture
def honest(server: WorkerServer, tmp_path: Path) -> Iterator[dsage.Session]:
    """Give a session that works at the server while the attack goes on; its jobs end right, each run once."""
    ran = tmp_path / "ran"

    def job(number):
        with ran.open("a") as file:
            file.write(f"{number}\n")
        time.sleep(0.01)
        return number * number

    with dsage.spawn(f"{server.url.replace('slots=3', 'slots=2')}") as session:
        batch = session.map(job, range(120))
        batch[0].result(attacker.DEADLINE)
        yield session
        assert batch.results(timeout=attacker.DEADLINE) == [n * n for n in range(120)]
        assert sorted(map(int, ran.read_text().split())) == list(range(120)), "a job ran twice, or never"


def answers(session: dsage.Session) -> int:
    """Have the server run one job now."""
    return session.submit(abs, -1).result(attacker.DEADLINE)


def test_a_stranger_is_not_heard(server, honest):
    with attacker.caller(server.port, attacker.fresh_pair()) as stranger:
        stranger.dial()
        assert stranger.silent(1.0)
    assert answers(honest) == 1
    assert "is not authorized" in server.log()


def test_an_old_key_is_not_heard_any_more(server, honest, own_keys):
    old = attacker.fresh_pair()
    own_keys.authorize(old.public_text, "client", "somebody who left")
    with attacker.caller(server.port, old) as guest:
        guest.dial()
        assert guest.hear(remote.Admitted).role == "client"
        own_keys.revoke(old.public_text)
        server.wait_for_log("its key is no longer authorized")
        guest.say(0, m.SpawnWorker(1))
        guest.raw(remote.greeting(remote.Beat(1.0)))
        with pytest.raises(TimeoutError):
            guest.hear(remote.Beat, 1.0)
    with attacker.caller(server.port, old) as guest:
        guest.dial()
        assert guest.silent(1.0)
    assert answers(honest) == 1


@pytest.mark.parametrize("mechanism", ["null", "plain"])
def test_a_peer_without_curve_is_not_heard(server, honest, mechanism):
    with zmq.Context() as context, context.socket(zmq.DEALER) as peer:
        peer.linger = 0
        if mechanism == "plain":
            peer.plain_username, peer.plain_password = b"client", b"client"
        peer.connect(f"tcp://127.0.0.1:{server.port}")
        peer.send_multipart(remote.greeting(remote.Beat(1.0)))
        assert not peer.poll(1000)
    assert answers(honest) == 1


def test_a_child_refuses_a_server_with_another_key(server, honest):
    wrong = attacker.fresh_pair().public_text
    with dsage.spawn(["local:?slots=1", f"dsage://127.0.0.1:{server.port}?slots=1&key={wrong}"]) as session:
        # Asked before anything is submitted: that gives an engine that has failed another chance.
        assert session.wait_for_workers(attacker.DEADLINE)
        engine = next(engine for engine in session.engines if engine.name != "local")
        assert engine.state == "failed"
        assert "does not have the key that is known" in engine.note
        assert session.map(abs, [-1]).results(timeout=attacker.DEADLINE) == [1]
    assert answers(honest) == 1


def _say_until_gone(link: SecureLink) -> None:
    deadline = time.monotonic() + attacker.DEADLINE
    while time.monotonic() < deadline:
        link.send(remote.greeting(remote.Beat(1.0)))


def test_a_word_that_comes_too_late_does_not_hide_why(server, own_keys):
    with closing(ZmqNetwork()) as network:
        wrong = parse_key(attacker.fresh_pair().public_text)
        link = SecureLink(network, "127.0.0.1", server.port, own_keys.client(), wrong)
        with pytest.raises(PeerGoneError):
            _say_until_gone(link)
        assert link.strange
        assert "does not have the key that is known" in link.look()
        link.close()


def test_a_changed_key_is_refused_before_anything_starts(server, own_keys):
    own_keys.trust("127.0.0.1", server.port, attacker.fresh_pair().public_text)
    with pytest.raises(dsage.ServerKeyError, match=r"has changed.*jupyter dsage keys trust 127\.0\.0\.1"):
        dsage.spawn(server.url)


@pytest.mark.parametrize("door", ["port", "bulk_port"])
def test_a_thousand_silent_sockets_keep_nobody_waiting(server, honest, door):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    opened = []
    try:
        opened = attacker.sockets(getattr(server, door), 1000)
        assert answers(honest) == 1
        deadline = time.monotonic() + attacker.DEADLINE
        for sock in opened:
            sock.settimeout(max(0.1, deadline - time.monotonic()))
            assert attacker.ended(sock), "a silent connection was kept"
        assert answers(honest) == 1
    finally:
        for sock in opened:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    lines = [line for line in server.log().splitlines() if "Refused" in line or "refused" in line]
    assert len(lines) <= 2, "one line a minute for each address (and door)"


@pytest.mark.parametrize("door", ["port", "bulk_port"])
def test_random_bytes_end_their_connection_only(server, honest, door):
    for size in (1, 9, 64, 1000, 100_000):
        with socket.create_connection(("127.0.0.1", getattr(server, door)), timeout=attacker.DEADLINE) as sock:
            try:
                sock.sendall(os.urandom(size))
            except ConnectionError:
                continue  # closed while it sent
            assert attacker.ended(sock)
    assert answers(honest) == 1


NONSENSE = {
    "no envelope": [b"hello"],
    "random frames": [os.urandom(50), os.urandom(50)],
    "too many frames": [b""] * 20,
    "an envelope alone": codec.encode(remote.Envelope(1, 0, 0)),
    "a number far ahead": remote.seal(remote.Envelope(2**50, 0, 0), codec.encode(remote.Part())),
    "what was never sent is acknowledged": remote.seal(remote.Envelope(1, 0, 10**6), codec.encode(remote.Part())),
    "bulk frames that cannot be": remote.seal(remote.Envelope(1, 0, 0, ((9, 5),)), codec.encode(remote.Part())),
    "a greeting that must be numbered": remote.greeting(m.SpawnWorker(1)),
    "what only a server says": remote.seal(remote.Envelope(1, 0, 0), codec.encode(remote.Granted(100))),
    "what only a worker says": remote.seal(
        remote.Envelope(1, 1, 0), codec.encode(m.Report(1, 0, 0, (), (), 0.0, ended=True))
    ),
    "another protocol": [b"D\x01" + os.urandom(8), b"x"],
}


@pytest.mark.parametrize("frames", NONSENSE.values(), ids=NONSENSE.keys())
def test_malformed_frames_behind_a_valid_key_cost_one_peer_its_connection(server, honest, frames):
    with attacker.caller(server.port) as peer:
        peer.dial()
        peer.hear(remote.Admitted)
        peer.raw(frames)
        assert peer.hear(m.Refused).reason
        peer.raw(remote.greeting(remote.Beat(1.0)))
        with pytest.raises(TimeoutError):
            peer.hear(remote.Beat, 0.5)
    assert answers(honest) == 1


def test_who_greets_and_is_gone_at_once_does_no_harm(server, honest):
    for _ in range(30):
        with attacker.caller(server.port) as peer:
            peer.dial()
            peer.socket.poll(5)
    assert answers(honest) == 1


def test_a_file_of_keys_that_cannot_be_read_admits_nobody_new_and_ends_nobody(server, honest, own_keys):
    own_keys.authorize((pair := attacker.fresh_pair()).public_text, "client")
    own_keys.authorized_file.chmod(0o644)
    server.wait_for_log("Nobody new is admitted")
    with attacker.caller(server.port, pair) as peer:
        peer.dial()
        assert peer.silent(1.0)
    assert answers(honest) == 1


def test_the_first_message_must_be_a_greeting(server, honest):
    with attacker.caller(server.port) as peer:
        peer.say(0, m.SpawnWorker(1))
        assert "greeting" in peer.hear(m.Refused).reason
    assert answers(honest) == 1


def test_a_caller_has_no_word_for_a_function(server, honest, own_keys, bomb):
    own_keys.authorize((pair := attacker.fresh_pair()).public_text, "caller")
    with attacker.caller(server.port, pair) as peer:
        peer.dial()
        admitted = peer.hear(remote.Admitted)
        assert (admitted.role, admitted.functions) == ("caller", False)
        peer.say(remote.DEPOSIT, m.Function("f"), bomb)
        assert peer.hear(m.Refused).reason
    assert answers(honest) == 1


@contextmanager
def with_worker(server: WorkerServer, keys: Keys) -> Iterator[attacker.Caller]:
    """Give a caller that has been admitted and has worker 7."""
    keys.authorize((pair := attacker.fresh_pair()).public_text, "caller")
    with attacker.caller(server.port, pair) as peer:
        peer.dial()
        peer.hear(remote.Admitted)
        peer.say(0, m.SpawnWorker(7))
        peer.hear(m.WorkerHello)
        yield peer


@pytest.mark.parametrize("function", ["service:/all_series", "never sent"])
def test_a_callers_pickle_is_never_read_by_a_worker(server, honest, own_keys, bomb, function):
    """The bytes go where arguments go, under a service's name and under none: the worker must take them for data."""
    with with_worker(server, own_keys) as peer:
        peer.say(remote.DEPOSIT, m.Service("service:/all_series", "/all_series"))
        peer.say(remote.DEPOSIT, remote.Segment(1), bomb)
        run = m.RunJobs(1, function, 1, 0, 0, 1, ())
        known = function.startswith("service:")
        peer.say(7, remote.Grant(run, with_function=known, with_segment=True))
        gone = peer.hear((m.Report, m.WorkerGone))
        assert isinstance(gone, m.WorkerGone) or gone.failed == (0,)
    assert answers(honest) == 1


def test_a_call_may_hold_a_pickle_as_mere_bytes(server, honest, own_keys, bomb):
    with with_worker(server, own_keys) as peer:
        peer.say(remote.DEPOSIT, m.Service("f", "/all_series"))
        peer.say(remote.DEPOSIT, remote.Segment(1), data_calls.dump_calls([((bomb,), {"bins": bomb})], 0))
        peer.say(7, remote.Grant(m.RunJobs(1, "f", 1, 0, 0, 1, ()), with_function=True, with_segment=True))
        assert peer.hear(m.Report).failed == (0,)
    assert answers(honest) == 1


def test_somebody_elses_place_cannot_be_taken(server, honest, own_keys):
    own_keys.authorize((pair := attacker.fresh_pair()).public_text, "caller")
    with attacker.caller(server.port) as owner, attacker.caller(server.port, pair) as thief:
        owner.dial()
        owner.hear(remote.Admitted)
        thief.dial(token=owner.token)
        assert "somebody else's" in thief.hear(m.Refused).reason
    with attacker.caller(server.port, pair) as thief:
        thief.dial(certificate=owner.certificate)
        assert "somebody else's" in thief.hear(m.Refused).reason
    with attacker.caller(server.port, pair) as thief:
        thief.dial(certificate="no certificate")
        assert thief.hear(m.Refused).reason
    assert answers(honest) == 1


def test_a_caller_cannot_fill_the_server(server, honest, own_keys):
    own_keys.authorize((pair := attacker.fresh_pair()).public_text, "caller")
    with attacker.caller(server.port, pair) as peer:
        peer.dial()
        peer.hear(remote.Admitted)
        for number in range(settings.MAX_CALLER_THINGS + 2):
            peer.say(remote.DEPOSIT, m.Service(f"s{number}", "/all_series"))
        assert "A caller may have" in peer.hear(m.Refused).reason
    assert answers(honest) == 1


def test_a_caller_has_few_places(server, honest, own_keys):
    own_keys.authorize((pair := attacker.fresh_pair()).public_text, "caller")
    for _ in range(settings.MAX_CALLER_ROOMS):
        with attacker.caller(server.port, pair) as peer:
            peer.dial()
            peer.hear(remote.Admitted)
    with attacker.caller(server.port, pair) as peer:
        peer.dial()
        assert "children already" in peer.hear(m.Refused).reason
    assert answers(honest) == 1


def test_a_replayed_connection_does_nothing(server, honest, tmp_path):
    """All bytes of a session that ran a job are sent again: the job does not run again."""
    ran = tmp_path / "replayed"

    def job():
        with ran.open("a") as file:
            file.write("once\n")

    recorder = attacker.Recorder(server.port)
    keys = Keys()
    keys.trust("127.0.0.1", recorder.port, keys.server().public_text)
    with dsage.spawn(f"dsage://127.0.0.1:{recorder.port}?slots=1") as session:
        session.submit(job).result(attacker.DEADLINE)
    recorder.close()
    assert len(recorder.sent) > 1000
    with socket.create_connection(("127.0.0.1", server.port), timeout=attacker.DEADLINE) as sock:
        sock.sendall(recorder.sent)
        assert attacker.ended(sock)
    assert answers(honest) == 1
    assert ran.read_text() == "once\n"


def test_a_message_that_is_doubled_counts_once(server, honest):
    with attacker.caller(server.port) as peer:
        peer.dial()
        peer.hear(remote.Admitted)
        frames = remote.seal(remote.Envelope(1, 0, 0), codec.encode(m.SpawnWorker(7)))
        for _ in range(3):
            peer.raw(frames)
        assert peer.hear(m.WorkerHello).worker == 7
        with pytest.raises(TimeoutError):
            peer.hear((m.WorkerHello, m.WorkerGone, m.Refused), 1.0)
    assert answers(honest) == 1


def test_strangers_who_knock_all_the_time_get_one_line(server, honest):
    """Sixteen of them, each with a key of its own, for some seconds: the log stays short, and others are served."""
    stop = threading.Event()

    def knock():
        while not stop.is_set():
            with attacker.caller(server.port, attacker.fresh_pair()) as stranger:
                stranger.dial()
                stranger.silent(0.2)

    threads = [threading.Thread(target=knock) for _ in range(16)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            assert answers(honest) == 1
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert server.log().count("is not authorized") == 1


def test_nothing_listens_beyond_loopback_unasked(server, honest):
    import psutil

    own = [psutil.Process(server.pid), psutil.Process(honest.pid)]
    family = [*own, *(child for process in own for child in process.children(recursive=True))]
    listening = [
        connection.laddr.ip
        for process in family
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert sorted(listening) == ["127.0.0.1", "127.0.0.1"], "the server's two ports, and nothing else"
