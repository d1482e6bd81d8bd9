"""Two hosts as network namespaces, and the cable between them, for tests of what networks do to sessions.

A `Wire` makes the hosts `a` and `b`; each has a loopback device and one network device, and sees nothing else. Its
methods pull the cable, lose frames one way, delay and lose at random, while traffic flows.

The network devices are TAP devices: what the kernel sends through one is read from a descriptor, frame by frame, and
a small process (`cable.py`) writes it to the other. A pair of veth devices with netem does the same where the kernel
has netem, but pulling and one-way loss would need a third namespace with a filter in it; here the cable is a
program, so every fault is one line in it, loss is seeded, and closing the descriptors takes everything away. TAP and
not TUN, so that a pulled cable also lets address resolution (ARP) fail, as on one network: "No route to host". The
devices promise no offloads, so the kernel makes whole checksums and frames of at most 1,500 bytes.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import fcntl
import itertools
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[2]
CABLE = Path(__file__).with_name("cable.py")
NAMESPACES = Path("/run/netns")
NAME = re.compile(r"dsage-(\d+)-\d+-[ab]")
DEVICE = "eth0"
PATIENCE = 5.0  # seconds after which processes that were killed must be gone

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
CLONE_NEWNET = 0x40000000

Direction = Literal["a->b", "b->a"]

_numbers = itertools.count(1)


def ip(*words: str, feed: str | None = None) -> str:
    """Run iproute2's `ip`; return what it printed."""
    done = subprocess.run(["ip", *words], input=feed, capture_output=True, text=True, check=False)  # noqa: S607
    if done.returncode:
        raise OSError(f"`ip {' '.join(words)}` ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def sweep() -> None:
    """Remove the hosts of test runs that were killed: their number is that of no living process."""
    for path in NAMESPACES.glob("dsage-*"):
        match = NAME.fullmatch(path.name)
        if match and not Path("/proc", match[1]).exists():
            with contextlib.suppress(OSError):  # another run sweeps too
                for pid in ip("netns", "pids", path.name).split():
                    os.kill(int(pid), signal.SIGKILL)
                ip("netns", "del", path.name)


@dataclasses.dataclass(frozen=True)
class State:
    """How the cable is."""

    plugged: bool = True
    dropped: tuple[Direction, ...] = ()
    delay: float = 0.0
    loss: float = 0.0
    seed: int = 0
    rate: float = 0.0


class Count(NamedTuple):
    """What became of the frames of one way so far."""

    passed: int
    lost: int
    flying: int


class Host:
    """A network namespace: processes in it see its loopback and its end of the cable, and no other network."""

    def __init__(self, wire: Wire, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self._wire = wire
        self._started: list[subprocess.Popen[Any]] = []

    def popen(self, args: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a process on this host; `options` are those of subprocess.Popen.

        `ip netns exec` becomes the command, so the pid is the command's own. The wire ends and collects it.
        """
        process = subprocess.Popen(["ip", "netns", "exec", self.name, *args], **options)  # noqa: S607
        self._started.append(process)
        return process

    def run_python(self, code: str, *args: str, timeout: float = 30.0) -> str:
        """Run Python code on this host to its end, `args` in its sys.argv[1:]; return what it printed.

        A traceback ends up in the OSError.
        """
        process = self.popen(
            [sys.executable, "-c", code, *args],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            _, err = process.communicate()
            raise TimeoutError(f"{self.name}: the code still ran after {timeout:g} s.\n{err}") from None
        if process.returncode:
            raise OSError(f"{self.name}: the code ended with {process.returncode}:\n{err}")
        return str(out)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Move the calling thread to this host: sockets it makes and processes it starts meanwhile are there.

        So a session made inside has its child on this host, while the test holds its futures (its sockets are files,
        which all hosts share). Threads that the thread starts meanwhile stay there; other threads are not moved.
        """
        with open("/proc/thread-self/ns/net") as back, (NAMESPACES / self.name).open() as there:  # noqa: PTH123
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(back.fileno())

    def pids(self) -> list[int]:
        """Return the processes on this host, those their processes started included; not the caller itself."""
        return [pid for pid in map(int, ip("netns", "pids", self.name).split()) if pid != os.getpid()]

    def kill_all(self) -> None:
        """Let the host die: the cable is out at once, then every process gets SIGKILL.

        Its kernel lives on, so it forgets the dead connections soon: plugged in again, the host answers their peers
        as one that was started anew ("connection reset"), instead of ending them in good order.
        """
        self._wire.pull()
        with self.inside():
            Path("/proc/sys/net/ipv4/tcp_orphan_retries").write_text("1")
        self._end()

    def _end(self) -> None:
        """Kill all that runs here, and wait for it."""
        deadline = time.monotonic() + PATIENCE
        for process in self._started:  # also one that has not entered the namespace yet
            process.kill()
            process.wait()
        while pids := self.pids():  # again: a process may have started another meanwhile
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name}: {pids} were killed {PATIENCE:g} s ago and are still there.")
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)

    def _close(self) -> None:
        try:
            self._end()
        finally:
            ip("netns", "del", self.name)
            for process in self._started:
                for pipe in (process.stdin, process.stdout, process.stderr):
                    if pipe is not None:
                        with contextlib.suppress(BrokenPipeError):  # what was not written is nobody's any more
                            pipe.close()


class Wire:
    """Two hosts and the cable between them. Leaving it ends every process on them and removes all it made."""

    def __init__(self) -> None:
        self.state = State()
        number = next(_numbers)
        net = f"10.77.{number % 256}"
        self.a = Host(self, f"dsage-{os.getpid()}-{number}-a", f"{net}.1")
        self.b = Host(self, f"dsage-{os.getpid()}-{number}-b", f"{net}.2")
        self._lock = threading.Lock()
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        sweep()
        with contextlib.ExitStack() as stack:
            with contextlib.ExitStack() as ours:  # what the cable has copies of
                taps = [self._set_up(host, stack, ours) for host in (self.a, self.b)]
                self._control, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                ours.enter_context(far)
                self._control.settimeout(PATIENCE)
                fds = (*taps, far.fileno())
                cable = subprocess.Popen([sys.executable, "-I", "-S", str(CABLE), *map(str, fds)], pass_fds=fds)
            stack.callback(cable.wait)
            stack.callback(self._control.close)  # ends it
            stack.callback(cable.kill)  # at once, also where it is stuck
            self.restore()
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def pull(self) -> None:
        """Pull the cable: nothing passes, and what was on its way is lost. The devices notice nothing."""
        self._set(plugged=False)

    def plug(self) -> None:
        """Plug the cable in again; one-way loss and shape are as they were."""
        self._set(plugged=True)

    def drop(self, direction: Direction | None) -> None:
        """Lose everything one way; None lets both ways pass again."""
        self._set(dropped=() if direction is None else (direction,))

    def shape(self, delay_seconds: float = 0.0, loss: float = 0.0, seed: int = 0, rate: float = 0.0) -> None:
        """Delay each frame, each way, and lose this share of them at random; the order stays.

        `rate`: bytes a second that pass each way at most, 0 for any; what is more waits, as at a slow interface.
        """
        self._set(delay=delay_seconds, loss=loss, seed=seed, rate=rate)

    def restore(self) -> None:
        """Make the cable whole."""
        self._set(**dataclasses.asdict(State()))

    def counts(self) -> dict[Direction, Count]:
        """Return for each way how many frames passed, were lost, and are in flight now."""
        return self._set()

    def _set(self, **change: Any) -> dict[Direction, Count]:
        """Tell the cable how it is; when this returns, it is so."""
        with self._lock:
            self.state = dataclasses.replace(self.state, **change)
            self._control.send(json.dumps(dataclasses.asdict(self.state)).encode())
            answer = self._control.recv(65536)
        if not answer:
            raise OSError("The cable's process is gone; its traceback is in this test's stderr.")
        return {way: Count(*count) for way, count in json.loads(answer).items()}

    @staticmethod
    def _set_up(host: Host, stack: contextlib.ExitStack, ours: contextlib.ExitStack) -> int:
        """Make the namespace and its devices; return the descriptor of the network device."""
        ip("netns", "add", host.name)
        stack.callback(host._close)
        with host.inside():
            tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
            ours.callback(os.close, tap)
            fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TAP | IFF_NO_PI))
            Path(f"/proc/sys/net/ipv6/conf/{DEVICE}/disable_ipv6").write_text("1")  # no chatter of its own
        orders = ("link set lo up", f"addr add {host.address}/24 dev {DEVICE}", f"link set {DEVICE} up")
        ip("-n", host.name, "-batch", "-", feed="\n".join(orders) + "\n")
        return tap


def _enter(namespace: int) -> None:
    """Move the calling thread to a network namespace (os.setns is there from Python 3.12 on)."""
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
