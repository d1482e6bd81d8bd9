"""Every transport keeps the promises of net/transport.py: one set of tests for zmq, for the fake, and for streams.

Messages of one connection are asked of all three (`pair`), listeners and pollers of the two networks (`desk`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import socket
import struct
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jupyter_dsage import settings
from jupyter_dsage.errors import PeerGoneError
from jupyter_dsage.net.stream import StreamLink
from jupyter_dsage.net.unix_transport import UnixNetwork
from jupyter_dsage.net.zmq_transport import ZmqNetwork
from jupyter_dsage.testing.fake_net import FakeNet
from tests.leftovers import descriptors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jupyter_dsage.net.transport import Network

DEADLINE = 30.0  # seconds; what takes longer has failed
MB = 1_000_000


class Desk:
    """A network under test, a free address, and everything opened there, so that all of it is closed."""

    def __init__(self, network: Network, address: str) -> None:
        self.network = network
        self.address = address
        self._stack = contextlib.ExitStack()
        self._stack.callback(network.close)
        self.poller = network.poller()
        self._stack.callback(self.poller.close)
        self._writer = network.poller()
        """Watches ends that send more than the system takes at once, so that what they have kept leaves."""
        self._stack.callback(self._writer.close)

    def listen(self) -> Any:
        return self._opened(self.network.listen(self.address))

    def connect(self) -> Any:
        return self._opened(self.network.connect(self.address))

    def _opened(self, end: Any) -> Any:
        self._stack.callback(end.close)
        return end

    def see_to(self, end: Any) -> None:
        """Have what this end has kept leave while another one waits."""
        self._writer.watch(end)
        self._stack.callback(self._writer.unwatch, end)

    def close(self) -> None:
        self._stack.close()

    def receive(self, end: Any) -> Any:
        """Return the next message that arrives at a link or listener."""
        self.poller.watch(end)
        try:
            return until(end.receive, lambda: (self._writer.wait(0), self.poller.wait(0.01)))
        finally:
            self.poller.unwatch(end)


def until(ask: Callable[[], Any], meanwhile: Callable[[], object]) -> Any:
    """Return the first answer that is not None."""
    deadline = time.monotonic() + DEADLINE
    while (answer := ask()) is None:
        assert time.monotonic() < deadline, "it has not come"
        meanwhile()
    return answer


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Give a folder whose sockets have paths of less than 107 bytes, wherever pytest keeps its own."""
    folder = Path(tempfile.mkdtemp(prefix="dt-"))
    yield folder
    shutil.rmtree(folder)


def desk_for(kind: str, folder: Path) -> Desk:
    kinds: dict[str, Callable[[], Any]] = {"zmq": ZmqNetwork, "unix": UnixNetwork, "fake": FakeNet}
    return Desk(kinds[kind](), f"ipc://{folder}/x.sock")


@pytest.fixture(params=["zmq", "unix", "fake"])
def desk(request: pytest.FixtureRequest, short_folder: Path) -> Iterator[Desk]:
    made = desk_for(request.param, short_folder)
    yield made
    made.close()


# --- one connection ------------------------------------------------------------------------------------------


@dataclass
class Side:
    """One side of a connection: what it sends by, and how it waits for the next message."""

    send: Callable[..., None]
    next: Callable[[], list[Any]]


def stream_pair() -> tuple[StreamLink, StreamLink]:
    one, two = socket.socketpair()
    return StreamLink(one), StreamLink(two)


@pytest.fixture(params=["zmq", "unix", "fake", "stream"])
def pair(request: pytest.FixtureRequest, short_folder: Path) -> Iterator[tuple[Side, Side]]:
    if request.param == "stream":
        one, two = stream_pair()
        flush = [one.flush, two.flush]

        def both() -> None:
            for end in flush:
                end()

        yield Side(one.send, lambda: until(one.receive, both)), Side(two.send, lambda: until(two.receive, both))
        one.close()
        two.close()
        return
    desk = desk_for(request.param, short_folder)
    listener, link = desk.listen(), desk.connect()
    desk.see_to(listener)
    desk.see_to(link)
    link.send([b"greeting"])
    peer, _ = desk.receive(listener)
    yield (
        Side(link.send, lambda: desk.receive(link)),
        Side(lambda frames, **how: listener.send(peer, frames, **how), lambda: desk.receive(listener)[1]),
    )
    desk.close()


def messages(seed: int, count: int) -> list[list[bytes]]:
    rng = random.Random(seed)
    sizes = [0, 1, 7, 255, 256, 8191, 100_000]
    return [[rng.randbytes(rng.choice(sizes)) for _ in range(rng.randint(1, 4))] for _ in range(count)]


def test_messages_arrive_whole_once_and_in_order_both_ways(pair: tuple[Side, Side]) -> None:
    there, back = messages(1, 300), messages(2, 300)
    for one, two in zip(there, back, strict=True):
        pair[0].send(one)
        pair[1].send(two)
    assert [pair[1].next() for _ in there] == there
    assert [pair[0].next() for _ in back] == back


def test_messages_that_may_leave_together_arrive_one_by_one(pair: tuple[Side, Side]) -> None:
    here, there = pair
    here.send([b"hello"])
    there.next()
    sent = messages(4, 50)
    for message in sent[:-1]:
        there.send(message, more=True)
    there.send(sent[-1])
    assert [here.next() for _ in sent] == sent


def test_a_message_may_have_as_many_frames_as_the_codec_allows(pair: tuple[Side, Side]) -> None:
    frames = [b"%d" % number for number in range(settings.MAX_FRAMES)]
    pair[0].send(frames)
    assert pair[1].next() == frames


def test_frames_may_be_empty(pair: tuple[Side, Side]) -> None:
    for frames in ([b""], [b"", b""], [b"a", b"", b"b"], [b"", b"c"]):
        pair[0].send(frames)
        assert pair[1].next() == frames


def test_large_frames_arrive(pair: tuple[Side, Side]) -> None:
    frame = random.Random(3).randbytes(MB) * 20
    pair[0].send([b"head", frame])
    got = pair[1].next()
    assert got == [b"head", frame]
    pair[1].send(got)
    assert pair[0].next() == [b"head", frame]


def test_what_happens_to_a_buffer_after_send_does_not_matter(pair: tuple[Side, Side]) -> None:
    buffer = bytearray(b"before" * 100_000)
    pair[0].send([b"head", memoryview(buffer)])
    buffer[:6] = b"after!"
    assert pair[1].next()[1] == b"before" * 100_000


def test_a_memoryview_of_wide_items_travels_whole(pair: tuple[Side, Side]) -> None:
    wide = memoryview(struct.pack("<4d", 1.0, 2.0, 3.0, 4.0)).cast("d")
    pair[0].send([wide, b"next"])
    assert pair[1].next() == [bytes(wide), b"next"]


# --- networks: listeners and links ---------------------------------------------------------------------------


def test_a_link_may_be_made_and_used_before_anybody_listens(desk: Desk) -> None:
    link = desk.connect()
    desk.see_to(link)
    for number in range(10):
        link.send([b"%d" % number])
    listener = desk.listen()
    got = [desk.receive(listener) for _ in range(10)]
    assert [frames for _, frames in got] == [[b"%d" % number] for number in range(10)]
    assert len({peer for peer, _ in got}) == 1


def test_nothing_is_there_before_it_was_sent(desk: Desk) -> None:
    listener, link = desk.listen(), desk.connect()
    assert listener.receive() is None
    assert link.receive() is None


def test_many_peers_have_names_of_their_own_and_get_their_own_answers(desk: Desk) -> None:
    listener, links = desk.listen(), [desk.connect() for _ in range(40)]
    for number, link in enumerate(links):
        link.send([b"%d" % number])
    names = {}
    for _ in links:
        peer, [number] = desk.receive(listener)
        names[peer] = number
    assert sorted(names.values(), key=int) == [b"%d" % number for number in range(40)]
    for peer, number in names.items():
        listener.send(peer, [b"you are", number])
    for number, link in enumerate(links):
        assert desk.receive(link) == [b"you are", b"%d" % number]


def test_a_peer_keeps_its_name_and_one_that_connects_again_has_a_new_one(desk: Desk) -> None:
    listener, link = desk.listen(), desk.connect()
    link.send([b"1"])
    link.send([b"2"])
    names = [desk.receive(listener)[0] for _ in range(2)]
    link.close()
    again = desk.connect()
    again.send([b"3"])
    assert names[0] == names[1] != desk.receive(listener)[0]


def test_to_send_to_a_peer_that_is_gone_raises(desk: Desk) -> None:
    listener, link = desk.listen(), desk.connect()
    link.send([b"hello"])
    peer, _ = desk.receive(listener)
    link.close()

    def refused() -> bool | None:
        try:
            listener.send(peer, [b"anybody there?"])
        except PeerGoneError:
            return True
        return None

    assert until(refused, lambda: desk.poller.wait(0.01))
    assert refused()


def test_to_send_to_a_peer_that_never_was_raises(desk: Desk) -> None:
    with pytest.raises(PeerGoneError):
        desk.listen().send(b"nobody", [b"hello"])


def test_what_a_link_sent_before_it_closed_arrives(desk: Desk) -> None:
    listener, link = desk.listen(), desk.connect()
    link.send([b"hello"])
    desk.receive(listener)
    for number in range(100):
        link.send([b"%d" % number])
    link.close()
    assert [desk.receive(listener)[1] for _ in range(100)] == [[b"%d" % number] for number in range(100)]


def test_links_may_live_in_threads_of_their_own(desk: Desk) -> None:
    listener = desk.listen()
    got: dict[int, list[Any]] = {}

    def client(number: int) -> None:
        link, poller = desk.network.connect(desk.address), desk.network.poller()
        poller.watch(link)
        for count in range(200):
            link.send([b"%d %d" % (number, count)])
        while len(got.setdefault(number, [])) < 200:
            poller.wait(DEADLINE)
            while (frames := link.receive()) is not None:
                got[number].append(frames)
        poller.unwatch(link)
        link.close()
        poller.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(4 * 200):
        peer, frames = desk.receive(listener)
        listener.send(peer, frames)
    for thread in threads:
        thread.join(DEADLINE)
    assert got == {number: [[b"%d %d" % (number, count)] for count in range(200)] for number in range(4)}


# --- pollers -------------------------------------------------------------------------------------------------


def test_a_poller_tells_which_source_has_something_until_it_is_read(desk: Desk) -> None:
    listener, link, quiet = desk.listen(), desk.connect(), desk.connect()
    for end in (listener, link, quiet):
        desk.poller.watch(end)
    link.send([b"1"])
    link.send([b"2"])
    for _ in range(2):
        assert until(lambda: desk.poller.wait(1) or None, lambda: None) == [listener]
        peer, _ = until(listener.receive, lambda: desk.poller.wait(1))
    listener.send(peer, [b"answer"])
    assert until(lambda: desk.poller.wait(1) or None, lambda: None) == [link]
    assert link.receive() == [b"answer"]
    assert desk.poller.wait(0) == []


def test_a_wait_ends_after_its_time(desk: Desk) -> None:
    desk.poller.watch(desk.listen())
    for seconds in (0, 0.0, 0.001, 0.02, -1):
        assert desk.poller.wait(seconds) == []


def test_a_wait_without_limit_ends_when_a_message_comes(desk: Desk) -> None:
    listener = desk.listen()
    desk.poller.watch(listener)

    def client() -> None:
        link = desk.network.connect(desk.address)
        link.send([b"hello"])
        link.close()

    thread = threading.Thread(target=client)
    thread.start()
    assert desk.poller.wait(None) == [listener]
    thread.join(DEADLINE)


def test_a_wake_from_another_thread_ends_the_wait(desk: Desk) -> None:
    desk.poller.watch(desk.listen())
    for _ in range(50):
        thread = threading.Thread(target=desk.poller.wake)
        thread.start()
        assert desk.poller.wait(None) == []
        thread.join(DEADLINE)
        desk.poller.wait(0)


def test_a_wake_that_came_first_ends_the_next_wait_and_no_other(desk: Desk) -> None:
    for _ in range(100_000):  # more than a pipe holds
        desk.poller.wake()
    assert desk.poller.wait(None) == []
    assert desk.poller.wait(0.001) == []
    desk.poller.wake()
    assert desk.poller.wait(None) == []


def test_a_poller_waits_for_descriptors_too(desk: Desk) -> None:
    listener = desk.listen()
    out, into = os.pipe()
    with open(out, "rb", buffering=0) as reader, open(into, "wb", buffering=0) as writer:  # noqa: PTH123 - descriptors
        desk.poller.watch(listener)
        desk.poller.watch(reader)
        assert desk.poller.wait(0) == []
        writer.write(b"x")
        assert desk.poller.wait(None) == [reader]
        assert desk.poller.wait(None) == [reader]
        reader.read(1)
        assert desk.poller.wait(0) == []
        writer.close()
        assert desk.poller.wait(None) == [reader]
        assert reader.read(1) == b""
        desk.poller.unwatch(reader)
        assert desk.poller.wait(0) == []


def test_what_is_no_longer_watched_is_not_told(desk: Desk) -> None:
    listener, link = desk.listen(), desk.connect()
    desk.poller.watch(listener)
    link.send([b"hello"])
    assert until(lambda: desk.poller.wait(1) or None, lambda: None) == [listener]
    desk.poller.unwatch(listener)
    assert desk.poller.wait(0) == []
    desk.poller.unwatch(listener)
    desk.poller.watch(listener)
    assert desk.poller.wait(None) == [listener]


def test_a_poller_lets_a_stream_write_what_it_has_kept(desk: Desk) -> None:
    one, two = stream_pair()
    with contextlib.closing(one), contextlib.closing(two):
        desk.poller.watch(one)
        desk.poller.watch(two)
        frame = bytes(200_000)  # not so large that it would go as a segment
        for _ in range(250):
            one.send([frame])
        assert one.wants_write
        for _ in range(250):
            while (got := two.receive()) is None:
                assert desk.poller.wait(DEADLINE) in ([], [two])
            assert got == [frame]
        assert not one.wants_write
        desk.poller.unwatch(one)
        desk.poller.unwatch(two)


def test_a_poller_tells_of_a_stream_that_has_ended(desk: Desk) -> None:
    one, two = stream_pair()
    with contextlib.closing(one), contextlib.closing(two):
        desk.poller.watch(two)
        one.close()
        assert desk.poller.wait(None) == [two]
        with pytest.raises(PeerGoneError):
            two.receive()
        desk.poller.unwatch(two)


# --- the end -------------------------------------------------------------------------------------------------


def test_everything_may_be_closed_twice(desk: Desk) -> None:
    listener, link, poller = desk.listen(), desk.connect(), desk.network.poller()
    link.send([b"hello"])
    desk.receive(listener)
    for end in (link, listener, poller):
        end.close()
        end.close()
    poller.wake()  # another thread may not have heard yet
    desk.poller.close()
    desk.network.close()
    desk.network.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system does not list descriptors")
@pytest.mark.parametrize("kind", ["zmq", "unix", "fake"])
def test_a_closed_network_leaves_neither_descriptor_nor_file(kind: str, short_folder: Path) -> None:
    before = descriptors()
    desk = desk_for(kind, short_folder)
    listener, links = desk.listen(), [desk.connect() for _ in range(5)]
    for link in links:
        link.send([b"hello"])
        peer, _ = desk.receive(listener)
        listener.send(peer, [b"never read"])
    desk.close()
    assert descriptors() == before
    assert list(short_folder.iterdir()) == []


def test_a_listener_without_descriptors_lets_people_in_when_one_has_gone(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = desk_for("unix", short_folder)
    listener, first = desk.listen(), desk.connect()
    first.send([b"first"])
    assert desk.receive(listener)[1] == [b"first"]

    def none_left(_: socket.socket) -> Any:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    second = desk.connect()
    second.send([b"second"])
    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "accept", none_left)
        assert listener.receive() is None
        assert listener.receive() is None
    first.close()
    assert desk.receive(listener)[1] == [b"second"]
    desk.close()


def test_a_listener_whose_file_was_removed_is_found_again_and_keeps_its_connections(desk: Desk) -> None:
    """Systems remove what is old in /tmp: nobody could attach to the session any more, and they waited for ever."""
    listener, before = desk.listen(), desk.connect()
    before.send([b"one"])
    peer, _ = desk.receive(listener)
    if isinstance(desk.network, UnixNetwork):  # the one of addresses on this host
        Path(desk.address.removeprefix("ipc://")).unlink()
    listener.keep()
    listener.keep()
    desk.connect().send([b"two"])
    assert desk.receive(listener)[1] == [b"two"]
    before.send([b"three"])
    assert desk.receive(listener) == (peer, [b"three"])
