"""Messages and large frames over one stream arrive whole and in order, however it is read; nonsense ends it."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_dsage import settings
from jupyter_dsage.errors import PeerGoneError, ProtocolError
from jupyter_dsage.net import squeeze
from jupyter_dsage.net.pacing import Pacer
from jupyter_dsage.net.packet_link import PacketLink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jupyter_dsage.wire.codec import Frame


class Pair:
    """Two ends; `large` is what the second was sent beside messages."""

    def __init__(self, *, squeezes: bool = False) -> None:
        self.one, self.two = (PacketLink(end) for end in socket.socketpair())
        self.large: list[tuple[int, bytes]] = []
        self.two.allowed = lambda _key, _size: True
        self.two.arrived = lambda key, frame: self.large.append((key, bytes(frame)))
        self.one.squeezes = squeezes

    def pump(self, done: Callable[[], bool]) -> list[list[bytes]]:
        """Carry what there is until a fact holds; return the messages that came."""
        came: list[list[bytes]] = []
        for _ in range(100_000):
            self.one.flush()
            while (message := self.two.receive()) is not None:
                came.append([bytes(frame) for frame in message])
            self.one.receive()
            if done():
                return came
        raise AssertionError("it did not come")

    def close(self) -> None:
        self.one.close()
        self.two.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


frames = st.lists(st.binary(max_size=300), max_size=settings.MAX_FRAMES)
sent = st.lists(st.one_of(frames, st.integers(1, 400_000)), max_size=12)


@given(sent, st.booleans())
def test_all_arrives_whole_and_each_kind_in_order(things: list[list[bytes] | int], squeezes: bool) -> None:  # noqa: FBT001
    pair = Pair(squeezes=squeezes)
    pair.one._pacer.rate = 1e6  # a slow link, as far as it knows
    messages = [thing for thing in things if isinstance(thing, list)]
    large = [(key, bytes([key % 7]) * size) for key, size in enumerate(things) if isinstance(size, int)]
    for key, thing in enumerate(things):
        if isinstance(thing, list):
            pair.one.send(thing)
        else:
            pair.one.send_bulk(key, bytes([key % 7]) * thing)
    came = pair.pump(lambda: len(pair.large) == len(large) and not pair.one.wants_write)
    while (message := pair.two.receive()) is not None:
        came.append([bytes(frame) for frame in message])
    assert came == messages
    assert pair.large == large
    pair.close()


def test_a_message_overtakes_a_large_frame(pair: Pair) -> None:
    pair.one.send_bulk(1, bytes(50_000_000))
    pair.one.send([b"cancel"])
    came = pair.pump(lambda: True)
    while not came:
        came = pair.pump(lambda: True)
    assert came == [[b"cancel"]]
    assert not pair.large
    pair.pump(lambda: bool(pair.large))
    assert pair.large == [(1, bytes(50_000_000))]


def test_what_the_other_end_has_not_read_is_bounded(pair: Pair) -> None:
    pair.one.send_bulk(1, bytes(20_000_000))
    for _ in range(1000):
        pair.one.flush()
        if pair.two._socket.recv(1_000_000, socket.MSG_DONTWAIT | socket.MSG_PEEK):
            break
    sent = 0
    for _ in range(1000):  # nobody acknowledges: it stops by itself
        pair.one.flush()
        try:
            sent += len(pair.two._socket.recv(1_000_000))
        except BlockingIOError:
            break
    assert settings.PACE_FIRST_BYTES <= sent <= settings.PACE_FIRST_BYTES + 2 * settings.PACKET_BYTES
    assert not pair.one.wants_write


def test_squeezed_parts_are_fewer_bytes() -> None:
    taken = {}
    for squeezes in (False, True):
        pair = Pair(squeezes=squeezes)
        pair.one._pacer.rate = 1e6
        pair.one.send_bulk(1, bytes(500_000))
        pair.one.flush()
        pair.two._socket.setblocking(True)  # noqa: FBT003
        taken[squeezes] = len(pair.two._socket.recv(1_000_000, socket.MSG_PEEK))
        pair.close()
    assert taken[True] < taken[False] / 10


def packet(kind: int, body: bytes, size: int | None = None) -> bytes:
    return struct.pack("<BI", kind, len(body) if size is None else size) + body


HEAD = struct.pack("<QQ", 7, 100)


@pytest.mark.parametrize(
    "nonsense",
    [
        packet(9, b""),
        packet(0, b"", settings.MAX_INLINE_BYTES + 1),
        packet(0, struct.pack("<I", 3)),
        packet(0, struct.pack("<IQ", 1, 50) + b"short"),
        packet(1, b"no head"),
        packet(1, HEAD) + packet(1, b"", 101),
        packet(1, HEAD) + packet(2, b"not zstd"),
        packet(2, b"a part of nothing"),
        packet(3, b"short"),
        packet(1, b"", 4_000_000_000),
    ],
)
def test_nonsense_is_a_protocol_error(pair: Pair, nonsense: bytes) -> None:
    pair.one._socket.sendall(nonsense)
    with pytest.raises(ProtocolError):
        pair.pump(lambda: False)


def test_a_frame_that_nobody_expects_is_refused_before_memory_is_taken(pair: Pair) -> None:
    pair.two.allowed = lambda _key, _size: False
    pair.one.send_bulk(1, b"x")
    with pytest.raises(ProtocolError, match="nobody expects"):
        pair.pump(lambda: False)


def test_a_bomb_is_refused() -> None:
    squeezed = squeeze.Squeezer().squeeze(memoryview(bytes(60_000)))
    assert squeezed is not None
    assert squeeze.unsqueezed(bytes(squeezed), 60_000) == bytes(60_000)
    with pytest.raises(ProtocolError, match="longer"):
        squeeze.unsqueezed(bytes(squeezed), 59_999)


def test_the_end_of_the_stream_is_told_after_the_last_message(pair: Pair) -> None:
    pair.one.send([b"last"])
    pair.one.close()
    last: list[Frame] | None = pair.two.receive()
    assert last == [b"last"]
    with pytest.raises(PeerGoneError):
        pair.two.receive()


@given(st.lists(st.tuples(st.integers(1, 65_536), st.floats(0.001, 5.0)), min_size=1, max_size=60))
def test_a_pacer_is_never_stuck_and_never_beyond_its_bounds(steps: list[tuple[int, float]]) -> None:
    pacer, now, total = Pacer(), 0.0, 0
    for count, seconds in steps:
        assert pacer.may()  # all was acknowledged
        pacer.sent(count, now)
        total += count
        now += seconds
        pacer.got(total, now)
        assert settings.PACE_LEAST_BYTES <= pacer._window <= settings.PACE_MOST_BYTES
        assert pacer.rate > 0


@given(rate=st.floats(50_000, 500e6), way=st.floats(0.001, 1.0))
def test_on_a_steady_link_a_message_waits_about_a_second_at_most_and_the_link_is_full(rate: float, way: float) -> None:
    """A link that takes `rate` bytes a second, with `way` seconds there and back."""
    pacer, now, done, sent, got = Pacer(), 0.0, 0.0, 0, 0
    under_way: list[tuple[float, int]] = []
    part = settings.PACKET_BYTES
    for _ in range(3000):
        if pacer.may():
            pacer.sent(part, now)
            sent += part
            done = max(done, now) + part / rate
            under_way.append((done + way, sent))
        else:
            now, got = under_way.pop(0)
            pacer.got(got, now)
    waits = done - now  # how long what is sent now would wait for its turn
    assert waits <= settings.PACE_SECONDS + way + 2 * settings.PACE_LEAST_BYTES / rate + 0.5
