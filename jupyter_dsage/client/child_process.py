"""A child as its session's client has it: one that this process started, or one that was there."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from jupyter_dsage import clock, private_files, settings
from jupyter_dsage.descriptors import opened
from jupyter_dsage.errors import StartError
from jupyter_dsage.lazy import psutil
from jupyter_dsage.process_identity import lives, send_signal
from jupyter_dsage.store.sessions import remove_runtime_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.net.transport import FileLike, Network
    from jupyter_dsage.store.sessions import Connection


class Started(Protocol):
    """A child that listens, as `Session` has it: a process, or in tests a thread (`testing.fake_session`)."""

    session: str
    """The session's id."""
    store: str
    """The folder of its journal; empty if it has none."""

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

    def look_after(self) -> None:
        """Kill it if it has been stopped for too long; called about once a second."""

    def release(self) -> str:
        """Let go of the child, wait for its end, remove what it may have left; return how it ended, in words."""

    def detach(self) -> None:
        """Let go of the child, which stays."""


class _Reached:
    """How a child in a process of its own is reached, whoever started it. `folder`: its runtime folder."""

    folder: Path

    @property
    def address(self) -> str:
        """See `Started`."""
        return f"ipc://{self.folder}/client.sock"

    @staticmethod
    def network() -> Network:
        """See `Started`."""
        from jupyter_dsage.net.unix_transport import UnixNetwork  # 10 ms, while the child loads too

        return UnixNetwork()


class Patience:
    """Counts how long something has been so, in steps of at most a second: a suspended machine counts for nothing."""

    def __init__(self, seconds: float, so: Callable[[], bool]) -> None:
        self._seconds = seconds
        self._so = so
        self._spent = 0.0
        self._looked = clock.monotonic()

    def over(self) -> bool:
        """Look; tell whether it has been so for long enough."""
        now = clock.monotonic()
        step, self._looked = min(now - self._looked, 1.0), now
        self._spent = self._spent + step if self._so() else 0.0
        return self._spent >= self._seconds


@dataclass
class ChildProcess(_Reached):
    """A child that this process started; see `Started`.

    Its stdin is its life line (keep it open), its stdout ends when it does.
    """

    session: str
    folder: Path
    process: subprocess.Popen[bytes]
    log: Path
    """The child's log."""
    store: str = ""
    stays: bool = False
    patience: Patience | None = None

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

    def log_tail(self, lines: int) -> str:
        """See `Started`."""
        return _tail(self.log, lines)

    def look_after(self) -> None:
        """See `Started`."""
        if self.patience is None:
            self.patience = Patience(settings.CHILD_STOPPED_SECONDS, lambda: _stopped(self.pid))
        if self.patience.over():
            self.process.kill()

    def release(self) -> str:
        """See `Started`. One that does not exit in time is killed."""
        self._close_pipes()
        try:
            self.process.wait(settings.DIE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        code = self.process.returncode
        return f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"

    def detach(self) -> None:
        """See `Started`."""
        self._close_pipes()
        # It is nobody's to collect while it lives; a thread does so if it ends before this process.
        threading.Thread(target=self.process.wait, name="dsage-reap", daemon=True).start()

    def _close_pipes(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # it is closed all the same; nobody reads the rest
                    pipe.close()


@dataclass
class OtherChild(_Reached):
    """A child that another process started; see `Started`."""

    session: str
    folder: Path
    connection: Connection
    store: str
    life: FileLike = field(init=False)
    patience: Patience = field(init=False)

    def __post_init__(self) -> None:
        self.life = Life(self.connection)
        self.patience = Patience(settings.CHILD_STOPPED_SECONDS, lambda: _stopped(self.pid))

    @property
    def pid(self) -> int:
        """See `Started`."""
        return self.connection.pid

    def log_tail(self, lines: int) -> str:
        """See `Started`."""
        return _tail(Path(self.store) / "child.log", lines)

    def look_after(self) -> None:
        """See `Started`."""
        if self.patience.over():
            send_signal(self.connection.pid, self.connection.started)

    def release(self) -> str:
        """See `Started`."""
        deadline = clock.monotonic() + settings.DIE_SECONDS
        while lives(self.connection.pid, self.connection.started) and clock.monotonic() < deadline:
            clock.sleep(0.01)
        send_signal(self.connection.pid, self.connection.started)
        self.detach()
        remove_runtime_folder(self.folder)
        return "no word of why"

    def detach(self) -> None:
        """See `Started`."""
        if isinstance(self.life, Life):
            self.life.close()


class Life:
    """A descriptor that becomes readable when a process ends that is not a child of this one.

    A pidfd where the system has it; elsewhere a pipe that a thread closes, which looks ten times a second.
    """

    def __init__(self, process: Connection) -> None:
        self._closed = False
        self._pidfd = None
        with contextlib.suppress(OSError, AttributeError):  # gone; or a system without, or one that does not allow it
            self._pidfd = opened(os.pidfd_open, process.pid)
        if self._pidfd is not None and lives(process.pid, process.started):  # asked after it was opened
            self._descriptor = self._pidfd.fileno()
            return
        self._pidfd = None
        self._descriptor, end = os.pipe()
        if lives(process.pid, process.started):
            threading.Thread(target=self._look, args=(process, end), name="dsage-life", daemon=True).start()
        else:
            os.close(end)  # gone already: readable at once

    def _look(self, process: Connection, end: int) -> None:
        while not self._closed and lives(process.pid, process.started):
            clock.sleep(0.1)
        os.close(end)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def close(self) -> None:
        """Close it."""
        if not self._closed:
            self._closed = True
            if self._pidfd is not None:
                self._pidfd.close()
            else:
                os.close(self._descriptor)


def _stopped(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.NoSuchProcess:
        return False


def _tail(path: Path, lines: int) -> str:
    return "\n".join(private_files.tail(path).splitlines()[-lines:])
