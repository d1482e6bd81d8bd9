"""Memory segments: written once, read by many, written again only when nobody reads them, gone with their readers."""

from __future__ import annotations

import gc
import os
import random
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from jupyter_dsage import settings
from jupyter_dsage.errors import PeerGoneError, ProtocolError
from jupyter_dsage.net.stream import StreamLink
from jupyter_dsage.wire import segments
from tests.leftovers import descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not segments.AVAILABLE, reason="this system has no memfd")
MB = 1_000_000


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    segments.drop_spare()
    gc.collect()
    before = descriptors()
    yield
    gc.collect()
    segments.drop_spare()
    assert descriptors() == before


def inode(frame: memoryview) -> int:
    segment = segments.of(frame)
    assert segment is not None
    return os.fstat(segment.descriptor).st_ino


def test_parts_are_joined_and_read_back() -> None:
    parts: list[Any] = [b"head", bytearray(b"x" * 100_000), memoryview(b"tail")]
    frame = segments.put(parts)
    assert segments.of(frame) is not None
    assert bytes(frame) == b"".join(parts)
    assert segments.of(b"plain") is None
    assert segments.of(memoryview(b"plain")) is None


def test_a_segment_is_written_again_when_nobody_reads_it_and_not_before() -> None:
    first = segments.put([b"a" * MB])
    number = inode(first)
    second = segments.put([b"b" * MB])
    assert inode(second) != number
    assert bytes(first[:3]) == b"aaa"
    del first
    third = segments.put([b"c" * MB])
    assert inode(third) == number
    assert bytes(third[:3]) == b"ccc"
    assert bytes(second[:3]) == b"bbb"


def test_a_mapping_keeps_a_segment_from_being_written_again_after_its_frame_is_gone() -> None:
    frame = segments.put([b"a" * MB])
    number, segment = inode(frame), segments.of(frame)
    assert segment is not None
    own = memoryview(segment.copy(0, MB))
    del frame, segment
    other = segments.put([b"b" * MB])
    assert inode(other) != number
    assert bytes(own) == b"a" * MB


def test_copies_may_be_changed_and_nobody_else_sees_it() -> None:
    frame = segments.put([b"a" * MB])
    segment = segments.of(frame)
    assert segment is not None
    one, two = memoryview(segment.copy(0, MB)), memoryview(segment.copy(0, MB))
    one[:5] = b"mine!"
    assert bytes(two[:5]) == bytes(frame[:5]) == b"aaaaa"
    assert frame.readonly
    second = memoryview(segment.copy(segments.PAGE, 10))
    assert bytes(second) == b"a" * 10


def test_segments_are_not_taken_for_much_smaller_ones() -> None:
    number = inode(segments.put([b"a" * 10 * MB]))
    small = segments.put([b"b" * MB])
    assert inode(small) != number
    large = segments.put([b"c" * 9 * MB])
    assert inode(large) == number


@pytest.mark.parametrize("kind", [bytes, bytearray])
@pytest.mark.parametrize("most", [None, 0])
def test_large_buffers_are_written_right_into_pages_that_are_there(
    kind: type, most: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(thread: threading.Thread) -> None:
        raise RuntimeError(f"can't start {thread.name}")

    monkeypatch.setattr(settings, "SHARED_WINDOW_BYTES", 16 * segments.PAGE)
    size = settings.SHARED_HALVED_BYTES + 12_345
    number = inode(segments.put([b"a" * segments.PAGE, b"b" * size]))
    if most == 0:  # as many threads as the system lets a process have
        monkeypatch.setattr(threading.Thread, "start", no_more)
    data = random.Random(1).randbytes(size)
    frame = segments.put([b"c" * segments.PAGE, kind(data), b"end"])
    assert inode(frame) == number
    assert bytes(frame) == b"c" * segments.PAGE + data + b"end"


def test_what_lies_idle_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "SHARED_SPARE_BYTES", 5 * MB)
    monkeypatch.setattr(settings, "SHARED_SPARE", 3)
    before = len(descriptors())
    held = [segments.put([bytes([number]) * MB]) for number in range(10)]
    assert len(descriptors()) <= before + 3 + 10
    assert [frame[0] for frame in held] == list(range(10))
    del held
    segments.put([b"x" * 20 * MB])
    gc.collect()
    assert len(descriptors()) <= before + 3


def test_where_descriptors_run_short_frames_are_plain_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "SHARED_OPEN", 2)
    held = [segments.put([bytes([number]) * MB]) for number in range(4)]
    assert [segments.of(frame) is not None for frame in held] == [True, True, False, False]
    assert [bytes(frame) for frame in held] == [bytes([number]) * MB for number in range(4)]


def test_what_arrives_where_descriptors_run_short_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = (StreamLink(end) for end in socket.socketpair())
    one.send([segments.put([b"a" * 3 * MB])])
    monkeypatch.setattr(settings, "SHARED_OPEN", 0)
    [frame] = two.receive() or []
    assert segments.of(frame) is None
    assert bytes(frame) == b"a" * 3 * MB
    one.close()
    two.close()


def test_where_there_is_no_memory_for_a_segment_frames_are_plain_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    frame = segments.put([b"a" * MB])
    assert segments.of(frame) is None
    assert bytes(frame) == b"a" * MB


def test_a_segment_cannot_be_cut_short_by_a_reader() -> None:
    segment = segments.of(segments.put([b"a" * MB]))
    assert segment is not None
    with pytest.raises(OSError, match=r"not permitted|Invalid|Bad file"):
        os.ftruncate(segment.descriptor, 0)
    writable = os.open(f"/proc/self/fd/{segment.descriptor}", os.O_RDWR)
    with pytest.raises(PermissionError):
        os.ftruncate(writable, 0)
    os.close(writable)


def test_steps_are_the_bytes_on_whole_pages() -> None:
    data = random.Random(1).randbytes(9 * MB + 17)
    for frame in (data, memoryview(data), segments.put([data])):
        steps = list(segments.whole_pages(frame))
        assert b"".join(bytes(step) for step in steps)[: len(data)] == data
        assert not any(step.nbytes % segments.PAGE for step in steps)


def test_threads_may_write_at_once() -> None:
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(50):
            frame = segments.put([bytes([number]) * 200_000])
            if bytes(frame) != bytes([number]) * 200_000:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(sys.platform != "linux", reason="fork")
def test_a_forked_process_does_not_write_into_its_parents_segments() -> None:
    number = inode(segments.put([b"a" * MB]))
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        other = inode(segments.put([b"b" * MB]))
        os.write(into, b"same" if other == number else b"else")
        os._exit(0)
    assert os.read(out, 4) == b"else"
    os.waitpid(pid, 0)
    os.close(out)
    os.close(into)


# --- on the way ----------------------------------------------------------------------------------------------


def test_a_segment_travels_as_it_is_and_is_passed_on() -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    one, two, three, four = (StreamLink(end) for pair in pairs for end in pair)
    frame = segments.put([b"a" * MB])
    one.send([b"head", frame, b"tail"])
    got = two.receive()
    assert got is not None
    assert [bytes(part) for part in got] == [b"head", b"a" * MB, b"tail"]
    three.send(got)
    passed = four.receive()
    assert passed is not None
    assert inode(passed[1]) == inode(frame)  # type: ignore[arg-type]
    for end in (one, two, three, four):
        end.close()
    del got, passed


def test_large_bytes_travel_as_a_segment() -> None:
    one, two = (StreamLink(end) for end in socket.socketpair())
    one.send([b"a" * 50 * MB])
    assert not one.wants_write
    [frame] = two.receive() or []
    assert segments.of(frame) is not None
    assert bytes(frame) == b"a" * 50 * MB
    one.close()
    two.close()


def test_what_was_sent_arrives_though_the_sender_has_gone() -> None:
    one, two = (StreamLink(end) for end in socket.socketpair())
    one.send([segments.put([b"a" * MB])])
    one.close()
    segments.drop_spare()
    [frame] = two.receive() or []
    assert bytes(frame) == b"a" * MB
    with pytest.raises(PeerGoneError):
        two.receive()
    two.close()


def marked(size: int) -> bytes:
    return (1).to_bytes(4, "little") + (size | 1 << 63).to_bytes(8, "little")


def test_a_message_that_names_a_segment_and_brings_none_is_refused(raw: tuple[socket.socket, StreamLink]) -> None:
    raw[0].sendall(marked(MB))
    with pytest.raises(ProtocolError, match="without its descriptor"):
        raw[1].receive()


@pytest.mark.parametrize("kind", ["file", "pipe", "unsealed", "too small"])
def test_descriptors_that_are_no_segments_are_refused(
    raw: tuple[socket.socket, StreamLink], tmp_path: Any, kind: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a" * MB)
    other: list[int] = []
    if kind == "file":
        descriptor = os.open(path, os.O_RDWR)
    elif kind == "pipe":
        descriptor, into = os.pipe()
        other.append(into)
    elif kind == "unsealed":
        descriptor = os.memfd_create("x")
        os.ftruncate(descriptor, MB)
    else:
        segment = segments.of(segments.put([b"a" * 1000]))
        assert segment is not None
        descriptor = os.dup(segment.descriptor)
        del segment
    socket.send_fds(raw[0], [marked(MB)], [descriptor])
    with pytest.raises(ProtocolError, match="no segment"):
        raw[1].receive()
    for left in (descriptor, *other):
        os.close(left)


def test_descriptors_that_nobody_asked_for_are_closed(raw: tuple[socket.socket, StreamLink]) -> None:
    descriptor = os.memfd_create("x")
    socket.send_fds(raw[0], [b"\1\0\0\0" + (5).to_bytes(8, "little") + b"hello"], [descriptor] * 4)
    assert raw[1].receive() == [b"hello"]
    os.close(descriptor)
    raw[1].close()


def test_too_many_descriptors_are_refused(raw: tuple[socket.socket, StreamLink]) -> None:
    descriptor = os.memfd_create("x")
    socket.send_fds(raw[0], [b"\1"], [descriptor] * 100)
    with pytest.raises(ProtocolError, match="belong to no message"):
        raw[1].receive()
    os.close(descriptor)
