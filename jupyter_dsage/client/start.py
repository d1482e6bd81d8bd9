"""Starts a child: its folder, its process, its setup; waits until it says that it listens."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

import msgspec

from jupyter_dsage import ids, settings
from jupyter_dsage.errors import StartError, UsageError
from jupyter_dsage.net import launch
from jupyter_dsage.net.runtime import runtime_folder
from jupyter_dsage.net.zmq_transport import ZmqNetwork
from jupyter_dsage.wire.setup import ChildSetup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dsage.net.engine_url import EngineURL
    from jupyter_dsage.net.transport import FileLike, Network


class Started(Protocol):
    """A child that listens, as `Session` has it: a process, or in tests a thread (`testing.fake_session`)."""

    @property
    def session(self) -> str:
        """The session's id."""

    @property
    def pid(self) -> int:
        """Pid of the child."""

    @property
    def address(self) -> str:
        """Where clients connect."""

    @property
    def life(self) -> FileLike:
        """A descriptor that becomes readable when the child is gone."""

    def network(self) -> Network:
        """Return the network by which it is reached."""

    def log_tail(self, lines: int) -> str:
        """Return the log's last lines; empty once it is gone."""

    def release(self) -> int:
        """Let go of the child, wait for its end, remove what it may have left; return its exit code."""


@dataclass(slots=True)
class ChildProcess:
    """A child that listens, in a process of its own; see `Started`.

    Its stdin is its life line (keep it open), its stdout ends when it does.
    """

    session: str
    folder: Path
    process: subprocess.Popen[bytes]
    log: Path
    """The child's log."""

    def log_tail(self, lines: int) -> str:
        """See `Started`."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    @property
    def pid(self) -> int:
        """See `Started`."""
        return self.process.pid

    @property
    def life(self) -> IO[bytes]:
        """See `Started`."""
        if self.process.stdout is None:
            raise StartError("The child has no pipe.")
        return self.process.stdout

    @staticmethod
    def network() -> ZmqNetwork:
        """See `Started`."""
        return ZmqNetwork()

    @property
    def address(self) -> str:
        """See `Started`."""
        return f"ipc://{self.folder}/client.sock"

    def release(self) -> int:
        """See `Started`. One that does not exit in time is killed."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self.process.wait(settings.DIE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        return self.process.returncode


def start_child(engines: Sequence[EngineURL], log: IO[str] | IO[bytes] | None) -> ChildProcess:
    """Start a child with these engines; its log goes to an open file, else to its folder.

    Raises StartError, with the end of the log, when it does not come up; UsageError for a log that is no file.
    """
    import psutil

    session = ids.new_session_id()
    folder = Path(tempfile.mkdtemp(prefix="dsage-", dir=runtime_folder()))
    path = folder / "child.log"
    setup = ChildSetup(
        session,
        str(folder),
        os.getpid(),
        psutil.Process().create_time(),
        tuple(engine.setup() for engine in engines),
        _cwd(),
        tuple(entry or _cwd() for entry in sys.path),
    )
    with path.open("ab") as own_log:
        try:
            process = subprocess.Popen(
                launch.command("jupyter_dsage.child"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=_descriptor(log) if log is not None else own_log,
                start_new_session=True,
            )
        except BaseException:  # whatever it is, the folder goes; raised again
            shutil.rmtree(folder, ignore_errors=True)
            raise
    named = getattr(log, "name", None)
    started = ChildProcess(session, folder, process, Path(named) if isinstance(named, str) else path)
    try:
        _hand_over(process, setup)
    except BaseException as error:
        process.kill()
        tail = _tail(path)
        started.release()
        if isinstance(error, OSError):
            raise StartError(f"The background process of the session did not start: {error}.\n{tail}") from None
        raise
    return started


def _hand_over(process: subprocess.Popen[bytes], setup: ChildSetup) -> None:
    """Send the setup and wait for the word ``ready``; raises OSError if it does not come."""
    if process.stdin is None or process.stdout is None:
        raise OSError("it has no pipes")
    process.stdin.write(msgspec.json.encode(setup) + b"\n")
    process.stdin.flush()
    deadline = time.monotonic() + settings.START_SECONDS
    word = b""
    while not word.endswith(b"\n"):
        if not select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise OSError(f"it said nothing for {settings.START_SECONDS:.0f} s")
        data = os.read(process.stdout.fileno(), 100)
        if not data:
            raise OSError(f"it ended with exit code {process.wait()}")
        word += data


def _cwd() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return "/"  # the directory was removed under us


def _descriptor(log: IO[str] | IO[bytes]) -> int:
    try:
        return log.fileno()
    except (AttributeError, OSError, ValueError):
        raise UsageError(f"The log must be an open file, such as open('client.log', 'w'), not {log!r}.") from None


def _tail(path: Path) -> str:
    try:
        return path.read_text(errors="replace")[-2000:]
    except OSError:
        return ""
