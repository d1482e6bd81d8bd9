"""The hosts and the cable do what they are told, seen by real TCP connections."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.leftovers import Watch
from tests.network.conftest import traces
from tests.network.hosts import Wire, ip

pytestmark = pytest.mark.needs("namespaces")

SILENCE = 0.5  # seconds without a byte: what did not come by then was lost


@contextmanager
def connection(wire):
    """Two ends of one TCP connection: on `a`, which dialled, and on `b`."""
    with wire.b.inside():
        server = socket.create_server((wire.b.address, 0))
    with server:
        server.settimeout(20)
        with wire.a.inside():
            near = socket.create_connection(server.getsockname(), timeout=20)
        far, _ = server.accept()
    with near, far:
        for end in (near, far):
            end.settimeout(20)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield near, far


def read(end, count):
    """Read this many bytes, whatever the pieces."""
    parts = bytearray()
    while len(parts) < count:
        part = end.recv(min(1 << 20, count - len(parts)))
        if not part:
            raise EOFError(f"{len(parts)} bytes of {count} came.")
        parts += part
    return bytes(parts)


def arrives(end):
    """Say whether anything comes within `SILENCE`."""
    end.settimeout(SILENCE)
    try:
        return bool(end.recv(1, socket.MSG_PEEK))
    except TimeoutError:
        return False
    finally:
        end.settimeout(20)


def test_hosts_see_each_other_and_no_other_network(wire):
    with connection(wire) as (near, far):
        near.sendall(b"from a")
        assert read(far, 6) == b"from a"
        far.sendall(b"from b")
        assert read(near, 6) == b"from b"
    assert wire.a.run_python("import os; print(*sorted(os.listdir('/sys/class/net')))").split() == ["eth0", "lo"]
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname())"
    assert wire.b.run_python(code) == ""
    with wire.a.inside(), pytest.raises(OSError, match="unreachable"):
        socket.create_connection(("192.0.2.1", 80), timeout=5)


def test_much_data_arrives_whole(wire):
    data = os.urandom(1 << 20)
    with connection(wire) as (near, far), ThreadPoolExecutor(1) as pool:
        begun = time.monotonic()
        sending = pool.submit(lambda: [near.sendall(data) for _ in range(64)])
        assert all(read(far, len(data)) == data for _ in range(64))
        sending.result()
        print(f"{64 * len(data) / 1e6 / (time.monotonic() - begun):.0f} MB/s")  # noqa: T201


def test_nothing_passes_a_pulled_cable_and_all_arrives_once_after_it(wire):
    data = os.urandom(8 << 20)
    with connection(wire) as (near, far), ThreadPoolExecutor(1) as pool:
        sending = pool.submit(near.sendall, data)
        got = read(far, 1 << 20)
        wire.pull()
        while arrives(far):  # what had passed before
            got += far.recv(1 << 20)
        assert not arrives(far)
        assert not sending.done()
        wire.plug()
        assert got + read(far, len(data) - len(got)) == data
        sending.result()
        near.shutdown(socket.SHUT_WR)
        assert far.recv(1) == b""


def test_a_long_silence_ends_although_addresses_were_forgotten(wire):
    with connection(wire) as (near, far):
        wire.pull()
        ip("-n", wire.a.name, "neigh", "flush", "all")  # as the kernel does in time
        with wire.a.inside(), pytest.raises(OSError, match="No route to host"):
            socket.create_connection((wire.b.address, 9), timeout=20)
        near.sendall(b"late")
        wire.plug()
        assert read(far, 4) == b"late"


def test_one_way_loss_is_one_way(wire):
    with connection(wire) as (near, far):
        wire.drop("a->b")
        near.sendall(b"lost at first")
        far.sendall(b"arrives")
        assert read(near, 7) == b"arrives"
        assert not arrives(far)
        wire.drop("b->a")
        assert read(far, 13) == b"lost at first"
        far.sendall(b"and back")
        assert not arrives(near)
        wire.drop(None)
        assert read(near, 8) == b"and back"


def test_delay_and_random_loss(wire):
    data = os.urandom(1 << 20)
    wire.shape(0.3)
    with connection(wire) as (near, far), ThreadPoolExecutor(1) as pool:
        near.settimeout(None)  # what sendall takes as a whole is up to the kernel's congestion control
        begun = time.monotonic()
        near.sendall(b"?")
        far.sendall(read(far, 1))
        assert read(near, 1) == b"?"
        assert time.monotonic() - begun >= 0.6
        before = wire.counts()["a->b"].lost
        wire.shape(0.3, loss=0.01, seed=8)
        sending = pool.submit(near.sendall, data)
        assert read(far, len(data)) == data
        sending.result()
        assert wire.counts()["a->b"].lost > before
        wire.restore()
        far.sendall(b"quick")
        assert read(near, 5) == b"quick"


def test_a_limited_rate_holds_back_a_stream_and_not_what_shares_the_cable_with_it(wire):
    wire.shape(rate=4e6)
    data = os.urandom(4 << 20)
    with connection(wire) as (near, far), connection(wire) as (other, other_far), ThreadPoolExecutor(1) as pool:
        near.settimeout(None)
        begun = time.monotonic()
        sending = pool.submit(near.sendall, data)
        got = read(far, 1 << 20)
        other.sendall(b"?")
        assert read(other_far, 1) == b"?"
        got += read(far, len(data) - len(got))
        sending.result()
        assert got == data
        assert time.monotonic() - begun >= len(data) / 4e6


def test_loss_is_seeded_and_delayed_frames_stay_in_order(wire):
    with wire.b.inside():
        far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with wire.a.inside():
        near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with far, near:
        far.bind((wire.b.address, 0))
        far.settimeout(20)
        near.connect(far.getsockname())
        near.send(b"first")  # asks for the address, which is then known
        assert far.recv(9) == b"first"

        def run(seed):
            wire.shape(0.2, loss=0.3, seed=seed)
            before = wire.counts()["a->b"]
            for number in range(200):
                near.send(b"%d" % number)
            while sum(wire.counts()["a->b"]) < sum(before) + 200:
                pass
            wire.shape(0.01)  # shorter, and yet none overtakes
            near.send(b"over")
            return list(iter(lambda: far.recv(9), b"over"))

        once, other, again = run(1), run(2), run(1)
        assert once == again != other
        assert once == sorted(once, key=int)
        assert 100 < len(once) < 180


def test_a_host_that_dies_says_nothing_and_has_forgotten_all_when_it_is_back(wire):
    code = (
        "import os, socket, sys, time\n"
        "server = socket.create_server((sys.argv[1], 5000))\n"
        "print('listening', flush=True)\n"
        "far, _ = server.accept()\n"
        "os.fork()\n"
        "while True: time.sleep(60)\n"
    )
    process = wire.b.popen([sys.executable, "-c", code, wire.b.address], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "listening\n"
    with wire.a.inside():
        near = socket.create_connection((wire.b.address, 5000), timeout=20)
    with near:
        assert process.pid in wire.b.pids()
        wire.b.kill_all()
        assert process.returncode == -9
        assert wire.b.pids() == []
        assert not arrives(near)
        wire.plug()
        near.sendall(b"anybody there?")
        with pytest.raises(ConnectionResetError):
            near.recv(1)


def test_only_the_calling_thread_is_inside(wire):
    def namespace():
        return os.readlink("/proc/thread-self/ns/net")  # noqa: PTH115 - the target is no path

    home = namespace()
    with ThreadPoolExecutor(1) as pool, wire.a.inside():
        inside = namespace()
        assert pool.submit(namespace).result() == inside  # the pool started its thread just now
        assert subprocess.check_output(["readlink", "/proc/self/ns/net"], text=True).strip() == inside  # noqa: S607
        os.stat(f"/proc/{os.getpid()}")  # noqa: PTH116 - files are the same as ever
    assert namespace() == home != inside


def test_code_that_fails_or_takes_long_says_so(wire):
    with pytest.raises(OSError, match="ZeroDivisionError"):
        wire.a.run_python("1 / 0")
    with pytest.raises(TimeoutError, match=r"still ran after 0\.1 s"):
        wire.a.run_python("import time; time.sleep(60)", timeout=0.1)


def test_nothing_is_left_after_an_error_and_wires_do_not_meet():
    before, watch = traces(), Watch()

    def fail():
        with Wire() as one, Wire() as two:
            assert {one.a.name, one.b.name}.isdisjoint({two.a.name, two.b.name})
            one.b.popen(["sleep", "60"], stdin=subprocess.PIPE)
            two.shape(5)
            two.a.popen(["sleep", "60"])
            assert traces() != before
            raise RuntimeError("a test fails")

    with pytest.raises(RuntimeError, match="a test fails"):
        fail()
    assert traces() == before
    assert watch.left() == []


def test_nothing_is_left_when_the_second_host_cannot_be_made(monkeypatch):
    before, watch, wire = traces(), Watch(), Wire()
    monkeypatch.setattr(wire.b, "name", "no/name")
    with pytest.raises(OSError, match="netns add no/name"):
        wire.__enter__()
    assert traces() == before
    assert watch.left() == []


def test_hosts_of_a_run_that_was_killed_are_swept():
    code = "import os, signal; from tests.network.hosts import Wire, ROOT\n"
    code += "wire = Wire(); wire.__enter__(); wire.a.popen(['sleep', '60'])\n"
    code += "while not wire.a.pids(): pass\n"  # `ip netns exec` enters a moment later
    code += "print(wire.a.name, flush=True)\n"
    code += "import time; time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as run:
        name = run.stdout.readline().strip()
        assert subprocess.check_output(["ip", "netns", "pids", name])  # noqa: S607
        run.kill()
    with Wire():
        assert name not in subprocess.check_output(["ip", "netns", "list"], text=True)  # noqa: S607


def test_orders_may_come_from_many_threads(wire):
    threads = [threading.Thread(target=lambda: [wire.pull(), wire.plug(), wire.counts()]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wire.state.plugged
