"""What comes to a session's sockets from who is no client costs that one its connection, and nobody else (P13)."""

from __future__ import annotations

import contextlib
import os
import socket
import stat

import pytest

from jupyter_dsage.net.unix_transport import UnixLink
from jupyter_dsage.wire import codec, segments
from jupyter_dsage.wire import messages as m
from tests.process import jobs
from tests.until import until


@pytest.fixture
def path(session):
    return session._started.address.removeprefix("ipc://")


def connected(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    sock.connect(path)
    return sock


def works(session):
    return session.map(jobs.square, range(50)).results(timeout=30) == [n * n for n in range(50)]


def test_only_their_owner_reaches_them(session, path):
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700  # noqa: PTH116, PTH120
    assert works(session)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 1000, b"\1\0\0\0" + b"\xff" * 8])
def test_bytes_that_are_no_message_end_their_connection(session, path, data):
    with connected(path) as sock:
        sock.sendall(data)
        assert sock.recv(1000) == b""
    assert works(session)


def test_a_message_of_a_stranger_is_refused_in_a_sentence(session, path):
    link = UnixLink(f"ipc://{path}")
    link.send([b"no header"])
    link.send(codec.encode(m.Die()))
    got = [until(link.receive) for _ in range(2)]
    link.close()
    sentences = [codec.to_client(frames)[0].reason for frames in got]
    assert "no message of jupyter_dsage" in sentences[0]
    assert "first message of a client is its hello" in sentences[1]
    assert works(session)


@pytest.mark.skipif(not segments.AVAILABLE, reason="this system has no memfd")
def test_a_descriptor_that_could_be_cut_short_ends_its_connection(session, path):
    descriptor = os.memfd_create("x")
    os.ftruncate(descriptor, 1_000_000)
    head = (1).to_bytes(4, "little") + (1_000_000 | 1 << 63).to_bytes(8, "little")
    with connected(path) as sock:
        socket.send_fds(sock, [head], [descriptor])
        assert sock.recv(1000) == b""
    os.close(descriptor)
    assert works(session)


def test_crowds_that_say_nothing_or_half_a_message_hold_nobody_up(session, path):
    with contextlib.ExitStack() as stack:
        for number in range(200):
            sock = stack.enter_context(connected(path))
            if number % 2:
                sock.sendall(b"\1\0\0\0" + (1000).to_bytes(8, "little") + b"half")
        assert works(session)
    assert works(session)
