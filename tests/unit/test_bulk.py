"""Large frames arrive whole, both ways at once; who has no pinned certificate stays outside; nothing is left."""

from __future__ import annotations

import contextlib
import gc
import os
import queue
import random
import socket
import ssl
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from jupyter_dsage import settings
from jupyter_dsage.errors import PeerGoneError, ProtocolError, StartError
from jupyter_dsage.net import tls
from jupyter_dsage.net.bulk import DOWN, UP, BulkReceiver, BulkSender, dial
from jupyter_dsage.net.bulk_door import BulkDoor
from tests.leftovers import descriptors
from tests.until import until

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER, ANN, EVE = (tls.make_identity() for _ in range(3))
PATIENCE = 20.0


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    gc.collect()
    before, threads = descriptors(), set(threading.enumerate())
    yield
    gc.collect()
    until(
        lambda: (descriptors(), set(threading.enumerate())) == (before, threads),
        5,
        lambda: f"{before} and {threads}, instead of {descriptors()} and {threading.enumerate()},",
    )


class Guests:
    """A door to which Ann is pinned, and what came in by it."""

    def __init__(self) -> None:
        self.door = BulkDoor("127.0.0.1", 0, SERVER)
        self.came: queue.SimpleQueue[tuple[ssl.SSLSocket, bytes]] = queue.SimpleQueue()
        self.door.pin(ANN.cert_pem, lambda *got: self.came.put(got))
        self.open: list[Any] = []

    def dial(self, direction: bytes, who: tls.Identity = ANN) -> ssl.SSLSocket:
        sock = dial("127.0.0.1", self.door.port, who, SERVER.cert_pem, direction)
        self.open.append(sock)
        return sock

    def pair(self, direction: bytes) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
        """Return the sending and the receiving end of a connection that is dialled in a direction."""
        near = self.dial(direction)
        far, first = self.came.get(timeout=PATIENCE)
        self.open.append(far)
        assert first == direction
        return (near, far) if direction == UP else (far, near)

    def raw(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.door.port))
        self.open.append(sock)
        return sock

    def close(self) -> None:
        for sock in self.open:
            sock.close()
        self.door.close()
        self.door.close()


@pytest.fixture
def guests() -> Iterator[Guests]:
    guests = Guests()
    yield guests
    guests.close()


class Inbox:
    """What a receiver was told."""

    def __init__(self, sock: ssl.SSLSocket, most: int = 2**40) -> None:
        self.frames: queue.SimpleQueue[tuple[int, bytearray]] = queue.SimpleQueue()
        self.end: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        self.asked: list[tuple[int, int]] = []
        self.most = most
        self.receiver = BulkReceiver(sock, lambda *got: self.frames.put(got), self.end.put, self.allowed)

    def allowed(self, key: int, size: int) -> bool:
        self.asked.append((key, size))
        return size <= self.most

    def next(self) -> tuple[int, bytearray]:
        return self.frames.get(timeout=PATIENCE)

    def ended(self) -> Exception | None:
        return self.end.get(timeout=PATIENCE)


SIZES = [0, 1, 15, 16, 17, 16_384, 65_536, 65_537, settings.BULK_SLICE_BYTES + 1, 50_000_000]


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_frames_of_any_size_arrive_in_order(guests: Guests, direction: bytes) -> None:
    out, in_ = guests.pair(direction)
    sender, inbox = BulkSender(out), Inbox(in_)
    frames = [random.Random(size).randbytes(size) for size in SIZES]
    for key, frame in enumerate(frames):
        sender.send(key + 2**63, frame if key % 2 else memoryview(frame))
    for key, frame in enumerate(frames):
        assert inbox.next() == (key + 2**63, frame)
    assert inbox.asked == [(key + 2**63, size) for key, size in enumerate(SIZES)]
    sender.close()
    assert inbox.ended() is None
    inbox.receiver.close()


def test_arrays_are_sent_as_their_bytes(guests: Guests) -> None:
    out, in_ = guests.pair(UP)
    sender, inbox = BulkSender(out), Inbox(in_)
    sender.send(1, memoryview(memoryview(bytes(range(64))).cast("d")))
    assert inbox.next() == (1, bytes(range(64)))
    with pytest.raises(TypeError):
        sender.send(1, memoryview(bytes(10))[::2])
    sender.close()
    inbox.receiver.close()


def test_both_directions_at_once_from_several_threads(guests: Guests) -> None:
    ends = [guests.pair(UP), guests.pair(DOWN)]
    senders, inboxes = [BulkSender(out) for out, _ in ends], [Inbox(in_) for _, in_ in ends]
    frame = os.urandom(1_000_000)

    def send(sender: BulkSender, first: int) -> None:
        for key in range(first, first + 10):
            sender.send(key, frame)

    threads = [threading.Thread(target=send, args=(sender, first)) for sender in senders for first in (0, 100)]
    for thread in threads:
        thread.start()
    for inbox in inboxes:
        got = [inbox.next() for _ in range(20)]
        assert sorted(key for key, _ in got) == [*range(10), *range(100, 110)]
        assert all(data == frame for _, data in got)
    for thread in threads:
        thread.join()
    for end in (*senders, *(inbox.receiver for inbox in inboxes)):
        end.close()
        end.close()


def test_sending_never_blocks(guests: Guests) -> None:
    out, _silent = guests.pair(UP)
    sender = BulkSender(out)
    frame, started = bytes(10_000_000), time.monotonic()
    for key in range(50):
        sender.send(key, frame)
    assert time.monotonic() - started < 1
    started = time.monotonic()
    sender.close()
    assert time.monotonic() - started < 2
    with pytest.raises(PeerGoneError):
        sender.send(1, b"x")


def test_a_frame_that_is_not_allowed_takes_no_memory_and_ends_the_connection(guests: Guests) -> None:
    out, in_ = guests.pair(UP)
    inbox = Inbox(in_, most=100)
    out.sendall(struct.pack("<QQI", 7, 100, 100) + bytes(100) + struct.pack("<QQ", 8, 2**33 // 2))
    assert inbox.next() == (7, bytes(100))
    assert isinstance(inbox.ended(), ProtocolError)
    out, in_ = guests.pair(UP)
    inbox = Inbox(in_)
    out.sendall(struct.pack("<QQ", 7, 2**64 - 1))
    assert isinstance(inbox.ended(), ProtocolError)
    assert inbox.asked == []  # beyond what any frame may have


def test_an_end_inside_a_frame_is_told_and_one_between_frames_is_none(guests: Guests) -> None:
    for sent, kind in [
        (struct.pack("<QQI", 7, 100, 100) + bytes(99), PeerGoneError),
        (struct.pack("<QQI", 7, 100, 50) + bytes(50), PeerGoneError),
        (struct.pack("<QQI", 7, 100, 101) + bytes(101), ProtocolError),
        (struct.pack("<QQI", 7, 100, 0), ProtocolError),
        (struct.pack("<QQI", 7, 100, 5 | 1 << 31) + b"bytes", ProtocolError),
        (struct.pack("<QQ", 7, 100), PeerGoneError),
        (bytes(7), PeerGoneError),
        (struct.pack("<QQI", 7, 1, 1) + b"x", type(None)),
        (b"", type(None)),
    ]:
        out, in_ = guests.pair(UP)
        inbox = Inbox(in_)
        if sent:
            out.sendall(sent)
        out.close()
        assert type(inbox.ended()) is kind


def test_bytes_that_are_no_tls_end_the_connection(guests: Guests) -> None:
    out, in_ = guests.pair(UP)
    inbox = Inbox(in_)
    os.write(out.fileno(), b"x" * 1000)
    assert isinstance(inbox.ended(), OSError)


@pytest.mark.parametrize("squeezes", [False, True])
def test_frames_arrive_as_they_were_over_a_slow_connection_squeezed_where_both_ends_can(
    guests: Guests,
    monkeypatch: pytest.MonkeyPatch,
    squeezes: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setattr(settings, "SQUEEZE_BELOW", float("inf"))  # any connection is slow now
    out, in_ = guests.pair(UP)
    sender, inbox = BulkSender(out, squeezes=squeezes), Inbox(in_)
    frames = [bytes(12_000_000), os.urandom(1_000_000), b"x", bytes(range(256)) * 40_000]
    for key, frame in enumerate(frames):
        sender.send(key, frame)
    for key, frame in enumerate(frames):
        assert inbox.next() == (key, frame)
    sent = sum(octets for octets, _ in sender._times)
    assert (sent < 2_000_000) == squeezes
    sender.close()


def test_a_peer_that_vanishes_ends_both_threads(guests: Guests) -> None:
    out, in_ = guests.pair(UP)
    ended: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
    sender = BulkSender(out, ended.put)
    sender.send(1, bytes(50_000_000))
    in_.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # as a process that is killed
    in_.close()
    assert isinstance(ended.get(timeout=PATIENCE), OSError)
    with pytest.raises(PeerGoneError):
        sender.send(2, b"x")
    sender.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has no such option")
def test_silence_is_noticed_by_the_system(guests: Guests) -> None:
    for end in guests.pair(UP):
        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) + 3 * 2 == 10
        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_receiver_may_be_closed_by_what_it_calls(guests: Guests) -> None:
    out, in_ = guests.pair(UP)
    closed = threading.Event()
    made: list[BulkReceiver] = []
    ready = threading.Event()

    def arrived(_key: int, _frame: bytearray) -> None:
        ready.wait(PATIENCE)
        made[0].close()

    made.append(BulkReceiver(in_, arrived, lambda _: closed.set(), lambda *_: True))
    ready.set()
    out.sendall(struct.pack("<QQ", 1, 0))
    assert closed.wait(PATIENCE)


# --- the door ------------------------------------------------------------------------------------------------


def hello(guests: Guests) -> None:
    """Check that who may come in still does, and soon."""
    started = time.monotonic()
    guests.pair(UP)
    assert time.monotonic() - started < 2


def test_a_stranger_stays_outside(guests: Guests, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(PeerGoneError, match=r"^The bulk port \d+ of 127.0.0.1 cannot be used \("):
        guests.dial(UP, EVE)
    with pytest.raises(PeerGoneError):
        guests.dial(UP, EVE)
    hello(guests)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("Refused a bulk connection from '127.0.0.1': ")
    assert guests.came.empty()


def test_a_server_with_another_certificate_is_refused(guests: Guests) -> None:
    with pytest.raises(PeerGoneError, match="CERTIFICATE_VERIFY_FAILED"):
        dial("127.0.0.1", guests.door.port, ANN, EVE.cert_pem, UP)
    hello(guests)


def test_who_signs_for_another_is_not_that_other(guests: Guests) -> None:
    """A pinned certificate is no authority: one that it signed does not come in."""
    signed = _signed_by(ANN)
    with pytest.raises(PeerGoneError):
        guests.dial(UP, signed)
    hello(guests)


def _signed_by(issuer: tls.Identity) -> tls.Identity:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    own = tls.make_identity()
    key: Any = serialization.load_pem_private_key(issuer.key_pem, None)
    parent, child = (x509.load_pem_x509_certificate(one.cert_pem.encode()) for one in (issuer, own))
    made = (
        x509.CertificateBuilder()
        .subject_name(child.subject)
        .issuer_name(parent.subject)
        .public_key(child.public_key())  # type: ignore[arg-type]
        .serial_number(1)
        .not_valid_before(parent.not_valid_before_utc)
        .not_valid_after(parent.not_valid_after_utc)
        .sign(key, hashes.SHA256())
    )
    return tls.Identity(made.public_bytes(serialization.Encoding.PEM).decode(), own.key_pem)


def shake(guests: Guests, change: Any) -> bytes:
    """Try to come in with a context that was changed; return what the door says."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    change(context)
    raw = guests.raw()
    raw.settimeout(PATIENCE)
    with contextlib.suppress(OSError), context.wrap_socket(raw) as sock:
        sock.sendall(UP)
        return sock.recv(1)
    return b""


def test_no_certificate_and_old_tls_stay_outside(guests: Guests) -> None:
    def old(context: ssl.SSLContext) -> None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with tls._as_file(ANN.cert_pem.encode() + ANN.key_pem) as path:
            context.load_cert_chain(path)

    def good(context: ssl.SSLContext) -> None:
        with tls._as_file(ANN.cert_pem.encode() + ANN.key_pem) as path:
            context.load_cert_chain(path)

    assert shake(guests, lambda _: None) == b""
    assert shake(guests, old) == b""
    assert guests.came.empty()
    assert shake(guests, good) == b"W"
    guests.came.get(timeout=PATIENCE)[0].close()


def test_a_first_byte_of_no_use_is_refused(guests: Guests) -> None:
    for byte in (b"X", b"\0"):
        with pytest.raises(PeerGoneError, match="it does not take our certificate"):
            guests.dial(byte)
    hello(guests)


def test_plain_bytes_and_silence_stop_nobody_and_are_dropped(guests: Guests, caplog: pytest.LogCaptureFixture) -> None:
    quiet = [guests.raw() for _ in range(100)]
    for index, sock in enumerate(quiet[:50]):
        sock.sendall(bytes([index]) * 500)
    hello(guests)
    started = time.monotonic()
    for sock in quiet:
        sock.settimeout(PATIENCE)
        with contextlib.suppress(ConnectionError):
            while sock.recv(1000):
                pass
    assert time.monotonic() - started < settings.BULK_HANDSHAKE_SECONDS + 2
    assert len(caplog.messages) == 1
    hello(guests)


def test_of_too_many_the_oldest_goes(guests: Guests, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "BULK_PENDING", 5)
    monkeypatch.setattr(settings, "BULK_HANDSHAKE_SECONDS", 60.0)
    quiet = [guests.raw() for _ in range(8)]
    for sock in quiet[:3]:
        sock.settimeout(PATIENCE)
        assert sock.recv(1) == b""
    quiet[7].settimeout(0.1)
    with pytest.raises(TimeoutError):
        quiet[7].recv(1)
    hello(guests)


def test_who_is_unpinned_comes_in_no_more(guests: Guests) -> None:
    hello(guests)
    guests.door.pin(EVE.cert_pem, lambda *got: guests.came.put(got))
    guests.door.unpin(ANN.cert_pem)
    guests.door.unpin(ANN.cert_pem)
    with pytest.raises(PeerGoneError):
        guests.dial(UP)
    guests.dial(DOWN, EVE)
    sock, first = guests.came.get(timeout=PATIENCE)
    assert first == DOWN
    sock.close()


def test_a_callback_that_fails_leaves_the_door_open(guests: Guests, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("not today")

    guests.door.pin(EVE.cert_pem, fail)
    with pytest.raises(PeerGoneError):
        BulkSenderThatWaits(guests.dial(UP, EVE)).until_it_ends()
    hello(guests)
    assert "let in, and then failed: not today" in caplog.text


class BulkSenderThatWaits:
    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.sock = sock

    def until_it_ends(self) -> None:
        self.sock.settimeout(PATIENCE)
        with contextlib.suppress(OSError):
            assert self.sock.recv(1) == b""
        raise PeerGoneError


def test_what_is_no_certificate_is_refused(guests: Guests) -> None:
    begin, end = "-----BEGIN CERTIFICATE-----\n", "\n-----END CERTIFICATE-----\n"
    for text in ("", "x", begin + end, begin + "AAAA" + end, begin + "ä" + end, SERVER.key_pem.decode()):
        with pytest.raises(ProtocolError):
            guests.door.pin(text, lambda *_: None)
        with pytest.raises(ProtocolError):
            dial("127.0.0.1", guests.door.port, ANN, text, UP)
    hello(guests)


def test_a_port_that_is_taken_is_a_sentence(guests: Guests) -> None:
    with pytest.raises(StartError, match=rf"^The bulk port {guests.door.port} of 127.0.0.1 cannot be used"):
        BulkDoor("127.0.0.1", guests.door.port, SERVER)
    with pytest.raises(StartError, match="cannot be used"):
        BulkDoor("no.such.host.invalid", 0, SERVER)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(PeerGoneError, match=r"check that the server runs and that no firewall keeps that port shut\.$"):
        dial("127.0.0.1", port, ANN, SERVER.cert_pem, UP)


def test_a_door_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "BULK_CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(PeerGoneError, match="timed out"):
        dial("127.0.0.1", silent.getsockname()[1], ANN, SERVER.cert_pem, UP)


def test_connections_that_are_in_outlive_the_door() -> None:
    guests = Guests()
    out, in_ = guests.pair(UP)
    guests.door.close()
    sender, inbox = BulkSender(out), Inbox(in_)
    sender.send(1, b"late")
    assert inbox.next() == (1, b"late")
    sender.close()
    inbox.receiver.close()
    guests.close()


# --- identities ----------------------------------------------------------------------------------------------


def test_an_identity_shows_nothing_and_is_a_new_one_each_time() -> None:
    assert repr(ANN) == "Identity(...)"
    assert tls.fingerprint(ANN.cert_pem) != tls.fingerprint(EVE.cert_pem)


def test_the_key_lies_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tls.client_context(ANN, SERVER.cert_pem)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.delattr(os, "memfd_create", raising=False)
    seen = []
    load = ssl.SSLContext.load_cert_chain

    def look(context: ssl.SSLContext, path: str) -> None:
        seen.append(os.stat(path).st_mode & 0o777)  # noqa: PTH116  (a path of the system's)
        load(context, path)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", look)
    tls.client_context(ANN, SERVER.cert_pem)
    assert seen == [0o600]
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cryptography", None)
    with pytest.raises(StartError, match=r"run pip install 'jupyter_dsage\[remote\]' on both sides\.$"):
        tls.make_identity()
