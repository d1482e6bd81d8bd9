"""What is asked of a stream alone: backpressure, the end, and bytes that are no message of ours."""

from __future__ import annotations

import random
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

import pytest

from jupyter_dsage import settings
from jupyter_dsage.errors import PeerGoneError, ProtocolError
from jupyter_dsage.net.stream import StreamLink

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE = 30.0  # seconds; what takes longer has failed
MB = 1_000_000


@pytest.fixture
def streams() -> Iterator[tuple[StreamLink, StreamLink]]:
    one, two = map(StreamLink, socket.socketpair())
    yield one, two
    one.close()
    two.close()


def test_a_stream_keeps_what_a_busy_peer_does_not_take(streams: tuple[StreamLink, StreamLink]) -> None:
    one, two = streams
    sent = [[bytes([number]) * 200_000] for number in range(250)]
    for frames in sent:
        one.send(frames)
    assert one.wants_write
    got: list[Any] = []
    deadline = time.monotonic() + DEADLINE
    while len(got) < 250 and time.monotonic() < deadline:
        one.flush()
        while (frames := two.receive()) is not None:
            got.append(frames)
    assert got == sent
    assert not one.wants_write


def test_the_end_of_a_stream_is_told_after_its_last_message(streams: tuple[StreamLink, StreamLink]) -> None:
    one, two = streams
    for number in range(100):
        one.send([b"%d" % number])
    one.close()
    assert [two.receive() for _ in range(100)] == [[b"%d" % number] for number in range(100)]
    for _ in range(3):
        with pytest.raises(PeerGoneError):
            two.receive()
    with pytest.raises(PeerGoneError):
        two.send([b"anybody there?"])
    assert not two.wants_write


def test_what_a_dead_peer_had_sent_can_be_read_after_a_send_has_failed(streams: tuple[StreamLink, StreamLink]) -> None:
    one, two = streams
    two.send([b"never read"])
    one.send([b"last words"])
    one.close()
    two.send([b"lost"])
    assert not two.wants_write
    assert two.receive() == [b"last words"]
    with pytest.raises(PeerGoneError):
        two.receive()
    with pytest.raises(PeerGoneError):
        two.send([b"anybody there?"])


def test_a_message_cut_off_by_the_end_is_no_message(raw: tuple[socket.socket, StreamLink]) -> None:
    sock, link = raw
    sock.sendall(struct.pack("<IQ", 1, 10) + b"12345")
    assert link.receive() is None
    sock.close()
    with pytest.raises(PeerGoneError):
        link.receive()


def test_a_message_that_arrives_byte_by_byte_is_whole(raw: tuple[socket.socket, StreamLink]) -> None:
    sock, link = raw
    data = struct.pack("<IQQ", 2, 3, 0) + b"abc"
    for byte in data[:-1]:
        sock.sendall(bytes([byte]))
        assert link.receive() is None
    sock.sendall(data[-1:])
    assert link.receive() == [b"abc", b""]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff" * 100,
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack("<I", settings.MAX_FRAMES + 1),
        struct.pack("<IQ", 1, 2**64 - 1),
        struct.pack("<IQQ", 2, 1, settings.MAX_FRAME_BYTES + 1),
    ],
)
def test_garbage_on_a_stream_is_refused_at_once(raw: tuple[socket.socket, StreamLink], garbage: bytes) -> None:
    sock, link = raw
    sock.sendall(garbage)
    for _ in range(2):
        with pytest.raises(ProtocolError):
            link.receive()


def test_a_stream_allocates_only_for_what_has_arrived(raw: tuple[socket.socket, StreamLink]) -> None:
    sock, link = raw
    sock.sendall(struct.pack("<IQ", 1, settings.MAX_FRAME_BYTES) + b"x" * 1000)
    assert link.receive() is None
    assert len(link._in) < 2000


def test_random_bytes_on_a_stream_do_no_harm() -> None:
    rng = random.Random(4)
    for _ in range(2000):
        sock, other = socket.socketpair()
        link = StreamLink(other)
        sock.sendall(rng.choice([b"", b"\1\0\0\0", b"\2\0\0\0\3"]) + rng.randbytes(rng.randint(0, 200)))
        sock.close()
        with pytest.raises((ProtocolError, PeerGoneError)):
            drain(link)
        link.close()


def drain(link: StreamLink) -> None:
    while link.receive() is not None:
        continue
