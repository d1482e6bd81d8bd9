"""Who has a key with a role gets in; everybody else stays outside, whatever they send, and fills no log."""

from __future__ import annotations

import socket as sockets
import time
from typing import TYPE_CHECKING, Any

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from zmq.utils import z85

from jupyter_dsage.net.doorman import Doorman, curve_client, curve_server, role_of
from jupyter_dsage.net.keys import KeyPair, key_text
from jupyter_dsage.net.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SERVER, ANN, BOB, EVE = (KeyPair(*zmq.curve_keypair()) for _ in range(4))
ROLES = {ANN.public: "client", BOB.public: "caller"}
SHUT = 0.4
"""Seconds of watching a door that stays shut; those who may come in take some milliseconds."""


class House:
    """A server with its doorman, and its guests' sockets; one thread, so the test is the poll loop."""

    def __init__(self, admit: Callable[[bytes], str | None] = ROLES.get) -> None:
        self.context: Any = zmq.Context()
        self.doorman: Doorman | None = Doorman(self.context, "house", admit)
        self.socket = self.context.socket(zmq.ROUTER)
        curve_server(self.socket, SERVER, "house")
        self.port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        self.guests: Any = zmq.Context()
        self.open: list[zmq.Socket[bytes]] = [self.socket]

    def guest(self, pair: KeyPair | None, server: bytes = SERVER.public) -> zmq.Socket[bytes]:
        guest = self.guests.socket(zmq.DEALER)
        guest.linger = 0
        if pair is not None:
            curve_client(guest, pair, server)
        return self.knock(guest)

    def knock(self, guest: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
        self.open.append(guest)
        guest.connect(f"tcp://127.0.0.1:{self.port}")
        guest.send(b"hello")
        return guest

    def heard(self, seconds: float) -> list[zmq.Frame] | None:
        """Serve until a message is there, and return its frames."""
        deadline = time.monotonic() + seconds
        poller = zmq.Poller()
        poller.register(self.socket, zmq.POLLIN)
        if self.doorman is not None:
            poller.register(self.doorman.socket, zmq.POLLIN)
        while (left := deadline - time.monotonic()) > 0:
            for ready, _ in poller.poll(left * 1000):
                if ready is self.socket:
                    return self.socket.recv_multipart(copy=False)
                assert self.doorman is not None
                self.doorman.serve()
        return None

    def close(self) -> None:
        for socket in self.open:
            socket.close()
        self.guests.term()
        if self.doorman is not None:
            self.doorman.close()
            self.doorman.close()
        self.context.term()


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.close()


@pytest.mark.parametrize(("pair", "role"), [(ANN, "client"), (BOB, "caller")])
def test_who_has_a_role_gets_in_with_it(house: House, pair: KeyPair, role: str) -> None:
    house.guest(pair)
    frames = house.heard(10)
    assert frames is not None
    assert role_of(frames[-1]) == (role, pair.public)
    house.socket.send_multipart([frames[0].bytes, b"welcome"])


def test_a_stranger_stays_outside_while_others_get_in(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.guest(EVE)
    assert house.heard(SHUT) is None
    (line,) = caplog.messages
    assert line == f"Refused a connection from '127.0.0.1': its key {key_text(EVE.public)[:8]}... is not authorized."
    house.guest(ANN)
    assert house.heard(10) is not None
    assert len(caplog.messages) == 1


def test_a_peer_without_a_key_stays_outside(house: House) -> None:
    house.guest(None)
    plain = house.guests.socket(zmq.DEALER)
    plain.linger, plain.plain_username, plain.plain_password = 0, b"ann", b"secret"
    house.knock(plain)
    assert house.heard(SHUT) is None


def test_a_guest_that_wants_another_server_stays_outside(house: House) -> None:
    house.guest(ANN, EVE.public)
    assert house.heard(SHUT) is None


def test_random_bytes_and_silence_stay_outside(house: House) -> None:
    quiet = [sockets.create_connection(("127.0.0.1", house.port)) for _ in range(20)]
    for index, peer in enumerate(quiet[:10]):
        peer.sendall(bytes([index]) * 200)
    house.guest(ANN)
    assert house.heard(10) is not None
    for peer in quiet:
        peer.close()


def test_without_a_doorman_nobody_gets_in(house: House) -> None:
    assert house.doorman is not None
    house.doorman.close()
    house.doorman = None
    house.guest(ANN)
    house.guest(EVE)
    assert house.heard(SHUT) is None


def test_an_admit_that_fails_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    def admit(_key: bytes) -> str:
        raise OSError("the file is gone")

    house = House(admit)
    house.guest(ANN)
    assert house.heard(SHUT) is None
    assert caplog.messages == ["Refused a connection from '127.0.0.1': whom to admit cannot be read: the file is gone."]
    house.close()


# --- what the doorman is asked -------------------------------------------------------------------------------

GOOD = [b"1.0", b"7", b"house", b"10.0.0.1", b"", b"CURVE", z85.decode(ANN.public)]


def asked(*requests: list[bytes], now: Callable[[], float] = time.monotonic) -> list[list[bytes]]:
    """Ask a doorman, and return its answers."""
    context: Any = zmq.Context()
    doorman = Doorman(context, "house", ROLES.get, now)
    socket = context.socket(zmq.DEALER)
    socket.connect("inproc://zeromq.zap.01")
    for request in requests:
        socket.send_multipart(request)
    doorman.serve()
    answers = []
    while socket.poll(0):
        answers.append(socket.recv_multipart())
    socket.close()
    doorman.close()
    context.term()
    return answers


def changed(at: int, frame: bytes) -> list[bytes]:
    return [b"", *GOOD[:at], frame, *GOOD[at + 1 :]]


def test_the_answer_names_role_and_key() -> None:
    user = f"client {key_text(ANN.public)}".encode()
    assert asked([b"", *GOOD]) == [[b"", b"1.0", b"7", b"200", b"OK", user, b""]]


@pytest.mark.parametrize(
    "request_",
    [
        *(
            changed(2, b"elsewhere"),
            changed(5, b"PLAIN"),
            changed(5, b"NULL"),
            changed(6, b"short"),
            changed(6, bytes(32)),
        ),
        *([b"", *GOOD, b"more"], [b"", *GOOD[:6]], [b"", b"1.0", b"7"]),
    ],
)
def test_what_is_no_good_request_is_refused(request_: list[bytes]) -> None:
    assert asked(request_) == [[b"", b"1.0", b"7", b"400", b"Not admitted", b"", b""]]


@given(st.lists(st.lists(st.binary(max_size=40), min_size=1, max_size=9), max_size=5))
def test_malformed_requests_raise_nothing(requests: list[list[bytes]]) -> None:
    answers = asked(*requests, [b"", *GOOD])
    assert answers[-1][3] == b"200"


def test_one_line_a_minute_for_each_address(caplog: pytest.LogCaptureFixture) -> None:
    times = iter([0.0] * 100 + [61.0])
    asked(*[changed(6, bytes(32))] * 100, changed(3, b"10.0.0.2")[:-1], now=lambda: next(times))
    assert len(caplog.messages) == 2
    times = iter([0.0] * 100 + [61.0])
    caplog.clear()
    asked(*[changed(6, bytes(32))] * 101, now=lambda: next(times))
    assert [line.partition(".")[2][-37:] for line in caplog.messages][1] == " (99 more refused since the last line)"[
        -37:
    ]
    for secret in (ANN.secret, SERVER.secret):
        assert key_text(secret) not in caplog.text


def test_a_frame_that_nobody_vouched_for_has_no_role() -> None:
    assert role_of(zmq.Frame(b"x")) is None


# --- the throttle --------------------------------------------------------------------------------------------


def test_the_throttle_counts_what_it_holds_back() -> None:
    throttle = Throttle(seconds=60)
    assert throttle.note("a", 0) == 0
    assert throttle.note("b", 1) == 0
    assert [throttle.note("a", second) for second in (1, 2, 59.9)] == [None] * 3
    assert throttle.note("a", 60) == 3
    assert throttle.note("a", 61) is None
    assert throttle.note("a", 1000) == 1
    assert throttle.note("a", 2000) == 0


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 40)), max_size=200))
def test_the_throttle_is_bounded_and_tells_each_at_most_once_a_minute(events: list[tuple[int, float]]) -> None:
    throttle = Throttle(seconds=60, most=10)
    now, told = 0.0, dict[str, list[float]]()
    for address, wait in events:
        now += wait
        if throttle.note(str(address), now) is not None:
            told.setdefault(str(address), []).append(now)
    assert len(throttle._told) <= 11
    assert len(throttle._held) <= 11
    lines = sorted(when for times in told.values() for when in times)
    for start in lines:  # ten addresses and "others", and each again as its minute ends
        assert sum(start <= when < start + 60 for when in lines) <= 2 * 11


def test_many_addresses_share_a_line() -> None:
    throttle = Throttle(seconds=60, most=3)
    lines = [throttle.note(str(index), 0) for index in range(1000)]
    assert lines == [0] * 4 + [None] * 996
    assert throttle.note("new", 61) == 0
