"""The ``local:`` engine: a supervisor on this host, started by the child, talking over a socket pair.

Workers it forks call the child directly; here go only orders about workers, and news of the dead.
"""

from __future__ import annotations

import socket
import subprocess
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.net import launch
from jupyter_dsage.net.stream import StreamLink
from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from jupyter_dsage.core import commands as c


class LocalEngine:
    """One supervisor process and the link to it. `link` is to be watched by the child's poller."""

    def __init__(self, name: str, setup: m.SupervisorSetup) -> None:
        self.name = name
        self.gone = False
        """Whether the supervisor is dead; `open` starts another."""
        self._setup = setup
        self.open()

    def open(self) -> None:
        """Start a supervisor and link to it."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                launch.command("jupyter_dsage.worker", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=2,
                start_new_session=True,
            )
        self.link = StreamLink(ours)
        self.gone = False
        self._tell(self._setup)

    def start(self, order: c.StartWorker) -> None:
        """Have the supervisor fork a worker."""
        self._tell(m.SpawnWorker(order.worker))

    def kill(self, worker: int) -> None:
        """Have the supervisor kill a worker."""
        self._tell(m.KillWorker(worker))

    def recall(self, order: c.RecallLease) -> None:
        """Have the supervisor recall what has not started of a lease."""
        self._tell(m.Recall(order.worker, order.lease, order.first, order.stop))

    def end_job(self, order: c.EndJob) -> None:
        """Have the supervisor end a running job."""
        self._tell(m.EndJob(order.worker, order.lease, order.first, order.stop))

    def receive(self) -> m.Message | None:
        """Return the supervisor's next message, or None; raises PeerGoneError when it is dead."""
        frames = self.link.receive()
        return None if frames is None else codec.from_supervisor(frames)[0]

    def ending(self) -> str:
        """Return in words how the supervisor ended, after it is gone."""
        code = self._process.wait(settings.DIE_SECONDS)
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def leave(self) -> None:
        """Tell the supervisor, by closing the link, to kill its workers and exit."""
        self.gone = True
        self.link.close()

    def wait_gone(self, seconds: float) -> None:
        """Wait for the supervisor's exit; kill it, by its own handle, if it has not gone in time."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _tell(self, message: m.Message) -> None:
        self.link.send(codec.encode(message))
