"""Carries bytes between its own standard input and output and this user's room server, which it starts if need be.

``ssh HOST python -m jupyter_dsage.worker.bridge NAME`` is how a child reaches a host where nobody runs a server: ssh
says who the user is, and the server's socket lies in a folder that is open to that user only. The bridge reads nothing
of what it carries, and ends with either side. With ``--call FILE`` it is the bridge that calls the child, from a node
where a batch system has started it; it ends with the room server.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

from jupyter_dsage import private_files, settings
from jupyter_dsage.errors import StartError
from jupyter_dsage.net import launch
from jupyter_dsage.net.runtime import runtime_folder
from jupyter_dsage.net.ssh_carrier import MARKER
from jupyter_dsage.process_identity import lives, send_signal, start_of

_NAME = re.compile(r"[0-9a-f]{12}")
_SOCKET = "rooms.sock"
_LOG = "rooms.log"
_GONE = "The room server has gone."


def folder_of(name: str, *, make: bool = True) -> Path:
    """Return the folder of a room server; raises StartError if it is somebody else's, or is not there.

    `make`: make it if there is none.
    """
    folder = Path(runtime_folder()) / f"dsage-{name}"  # short: see net/runtime.py
    if make:
        with contextlib.suppress(FileExistsError):  # also for a link, or somebody else's: looked at below
            folder.mkdir(mode=0o700)
    if not os.path.lexists(folder):
        raise StartError(_GONE)
    if not private_files.is_folder(folder, closed=private_files.SECRET):
        raise StartError(f"The folder {folder} is not this user's alone: remove it, and try again.")
    return folder


def reach(name: str, *, start: bool = True) -> socket.socket:
    """Return a connection to the room server of this name, started if there is none; raises StartError."""
    folder = folder_of(name, make=start)
    deadline = time.monotonic() + settings.ROOMS_START_SECONDS
    server: subprocess.Popen[bytes] | None = None
    while True:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(str(folder / _SOCKET))
        except (FileNotFoundError, ConnectionRefusedError):
            sock.close()
        else:
            return sock
        if not start:
            raise StartError(_GONE)
        if server is None:
            server = _start(folder_of(name))
        if server.poll() is not None or time.monotonic() > deadline:
            said = private_files.tail(folder / _LOG, settings.STDERR_KEPT)
            raise StartError(f"The room server did not start: {said.strip() or 'it said nothing'}")
        time.sleep(0.01)


def _start(folder: Path) -> subprocess.Popen[bytes]:
    """Start a room server that outlives this process. Two at once do no harm: one holds the folder, one leaves."""
    with (folder / _LOG).open("ab") as log:
        return subprocess.Popen(
            launch.command("jupyter_dsage.worker.rooms", str(folder)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=Path.home(),
        )


def carry(sock: socket.socket, source: int, sink: int) -> None:
    """Carry bytes both ways until either side ends."""
    ways = {source: b"", sock.fileno(): b""}
    """Descriptor to read from -> what is read and not written yet."""
    to = {source: sock.fileno(), sock.fileno(): sink}
    with selectors.DefaultSelector() as selector:
        for end in {source, sink, sock.fileno()}:
            os.set_blocking(end, False)
        while True:
            _wish(selector, ways, to)
            for key, events in selector.select():
                for read, write in to.items():
                    if key.fd == write and events & selectors.EVENT_WRITE:
                        with contextlib.suppress(BlockingIOError):
                            ways[read] = ways[read][os.write(write, ways[read]) :]
                    if key.fd == read and events & selectors.EVENT_READ and not ways[read]:
                        with contextlib.suppress(BlockingIOError):
                            ways[read] = os.read(read, settings.BULK_SLICE_BYTES)
                            if not ways[read]:
                                return


def _wish(selector: selectors.BaseSelector, ways: dict[int, bytes], to: dict[int, int]) -> None:
    """Wait to read where nothing is left to write, and to write where something is."""
    wanted: dict[int, int] = {}
    for read, write in to.items():
        if ways[read]:
            wanted[write] = wanted.get(write, 0) | selectors.EVENT_WRITE
        else:
            wanted[read] = wanted.get(read, 0) | selectors.EVENT_READ
    known = dict(selector.get_map())
    for end in known.keys() - wanted.keys():
        selector.unregister(end)
    for end, events in wanted.items():
        if end not in known:
            selector.register(end, events)
        elif known[end].events != events:
            selector.modify(end, events)


def answer(path: Path) -> None:
    """Call the child that a call file names, again whenever the line drops, until the room server has gone."""
    from jupyter_dsage.net import call  # TLS, which ssh does without

    known = call.read_file(path)
    name = f"{socket.gethostname()}-{os.environ.get('SLURM_PROCID', '0')}"
    place = hashlib.sha256(f"{known.place} {name}".encode()).hexdigest()[:12]
    sock = reach(place)
    server = _server_of(sock)
    started = start_of(server) or ""
    signal.signal(signal.SIGTERM, lambda *_: send_signal(server, started, signal.SIGTERM))
    wait = settings.DIAL_BACKOFF_SECONDS
    while lives(server, started):
        try:
            with call.call(known, name) as line:
                wait = settings.DIAL_BACKOFF_SECONDS
                call.pump(line, sock)
        except OSError as error:  # PeerGoneError among them
            print(error, file=sys.stderr, flush=True)  # noqa: T201  (what a batch system keeps of a job)
            time.sleep(wait)
            wait = min(2 * wait, settings.REDIAL_SECONDS)
        else:
            time.sleep(wait)  # a child that hangs up at once is not called as fast as can be
            sock.close()
            if not lives(server, started):
                return
            try:
                sock = reach(place, start=False)
            except StartError:
                return


def _server_of(sock: socket.socket) -> int:
    """Return the process at the other end of a local socket."""
    size = struct.calcsize("3i")
    pid: int = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[0]
    return pid


def main() -> None:
    """Be a bridge for standard input and output, or (``--call FILE``) for a call to a child.

    The argument is the server's name, 12 hexadecimal digits, or the path of a call file.
    """
    words = sys.argv[1:]
    try:
        if len(words) == 2 and words[0] == "--call":  # noqa: PLR2004  (an option and its value)
            answer(Path(words[1]))
            return
        if len(words) != 1 or not _NAME.fullmatch(words[0]):
            raise SystemExit("A room server is named by 12 hexadecimal digits.")
        sock = reach(words[0])
    except (StartError, OSError) as error:
        raise SystemExit(str(error)) from None
    with sock, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        os.write(sys.stdout.fileno(), MARKER)
        carry(sock, sys.stdin.fileno(), sys.stdout.fileno())


if __name__ == "__main__":
    main()
