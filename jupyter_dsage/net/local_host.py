"""One supervisor on this host and the workers it forks, as the process that started it sees them.

The child has one for its local engine, a worker server one for each child that it serves. Orders about workers go to
the supervisor over a socket pair, leases to the workers themselves over a local socket. It decides nothing.
"""

from __future__ import annotations

import collections
import contextlib
import math
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.errors import PeerGoneError, ProtocolError
from jupyter_dsage.net import launch
from jupyter_dsage.net.last_pages import page_path, take_last_job
from jupyter_dsage.net.stream import StreamLink
from jupyter_dsage.net.sweep import collect, sweep
from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection

    from jupyter_dsage.net.transport import Network, Peer, Poller, Source
    from jupyter_dsage.wire.codec import Frame

Told = tuple[int, m.Message, "list[Frame]"]
"""Which worker (0: the supervisor) told what."""


_supervisors: set[int] = set()
"""Pids of the supervisors that this process has started and will wait for."""


class LocalHost:
    """Watches its own sources in the poller it is given; socket and output lie in a folder of its own."""

    def __init__(self, setup: m.SupervisorSetup, network: Network, poller: Poller, log: logging.Logger) -> None:
        self._ahead = launch.taken(setup.folder)
        """A supervisor that was started before anybody asked for a worker."""
        self._folder = self._ahead[0] if self._ahead else launch.supervisor_folder(setup.folder)
        self._listener = network.listen(f"ipc://{self._folder}/w.sock")
        self._setup = setup.at(self._listener.address, folder=self._folder)
        self._poller = poller
        self._log = log
        self._peers: dict[int, Peer] = {}
        self._workers: dict[Peer, int] = {}
        self.pids: dict[int, int] = {}
        """Worker -> pid, of those that have joined."""
        self._obituaries: collections.deque[tuple[float, m.WorkerGone]] = collections.deque()
        """A dead worker's last messages are read first: what it told before it died counts."""
        self._spawned: set[int] = set()
        self._collect_until = 0.0
        """Until when the dead are reaped that a supervisor has left (monotonic seconds); 0 if there are none."""
        poller.watch(self._listener)
        self.gone = True
        """Whether there is no supervisor; the next order to start a worker starts one."""
        self._environment: m.Environment | None = None
        """What workers get, if that is not what this process has."""

    def _open(self) -> None:
        _, self._process, ours = self._ahead or launch.supervisor(self._folder)
        self._ahead = None
        _supervisors.add(self._process.pid)
        self._link = StreamLink(ours)
        self._asked = time.monotonic()
        self._silent = 0.0
        self._why = ""
        self._poller.watch(self._link)
        self.gone = False
        self.order(self._setup)
        if self._environment is not None:
            self.order(self._environment)

    # --- out -----------------------------------------------------------------------------------------------

    def set_environment(self, variables: tuple[tuple[str, str], ...]) -> None:
        """Give workers that are forked from now on these environment variables."""
        self._environment = m.Environment(variables)
        if not self.gone:
            self.order(self._environment)

    def spawn(self, worker: int) -> None:
        """Have a worker forked; the supervisor is started for it if there is none."""
        self._spawned.add(worker)
        try:
            if self.gone:
                self._open()
        except OSError as error:  # no descriptor, no memory: the worker is told as gone, and tried again later
            ending = f"a supervisor that could not be started ({error})"
            story = m.Story(worker, os.uname().nodename, 0, ending, 0.0, 0, "")
            self._obituaries.append((time.monotonic(), m.WorkerGone(worker, None, None, story)))
            return
        self.order(m.SpawnWorker(worker))

    def order(self, message: m.Message) -> None:
        """Tell the supervisor; raises PeerGoneError if it is dead."""
        if self.gone:
            raise PeerGoneError("The supervisor is gone.")
        self._link.send(codec.encode(message))

    def send(self, worker: int, message: m.Message, *frames: Frame) -> None:
        """Send a worker a message; raises PeerGoneError if it is not connected."""
        if worker not in self._peers:
            raise PeerGoneError(f"Worker {worker} is not connected.")
        self._listener.send(self._peers[worker], codec.encode(message, *frames))

    # --- in ------------------------------------------------------------------------------------------------

    def next_due(self) -> float | None:
        """Return when `read` has something to tell though nothing arrives (monotonic seconds), or None."""
        due = self._obituaries[0][0] if self._obituaries else math.inf
        if self._collect_until:
            due = min(due, time.monotonic() + settings.GUARD_SECONDS)
        if not self.gone:
            due = min(due, self._asked + settings.STATUS_SECONDS)
        return None if due == math.inf else due

    def read(self, ready: Collection[Source]) -> list[Told]:
        """Return what workers and supervisor told; a dead supervisor's workers are told as gone, since they die too."""
        told: list[Told] = []
        if self._listener in ready:
            self._read_workers(told)
        if not self.gone and self._link in ready:
            self._read_supervisor(told)
        now = time.monotonic()
        if self._collect_until:
            collect(_supervisors)
            self._collect_until = self._collect_until if now < self._collect_until else 0.0
        if not self.gone and now - self._asked >= settings.STATUS_SECONDS:
            self._look_after(now)
        while self._obituaries and self._obituaries[0][0] <= now:
            told.append(self._bury(self._obituaries.popleft()[1]))
        return told

    def _look_after(self, now: float) -> None:
        """Ask the supervisor whether it is there; kill one that has been silent for too long: it is stopped.

        The time is counted in capped steps, so that a child that was stopped itself, or a machine that slept, loses
        nobody.
        """
        step, self._asked = min(now - self._asked, 2 * settings.STATUS_SECONDS), now
        self._silent += step
        if self._silent > settings.STOPPED_SECONDS:
            self._why = f", since it had not answered for {settings.STOPPED_SECONDS:g} s"
            self._log.error("the supervisor has not answered for %.0f s: it is killed", self._silent)
            self._process.kill()
        else:
            self.order(m.Ping(0))

    def _read_workers(self, told: list[Told]) -> None:
        while (got := self._listener.receive()) is not None:
            peer, frames = got
            try:
                message, payload = codec.from_worker(frames)
            except ProtocolError as error:
                self._end_untrue(peer, error)
                continue
            if isinstance(message, m.WorkerHello):
                self._joined(peer, message)
            if peer in self._workers:
                told.append((self._workers[peer], message, payload))
            else:
                self._log.warning("a report came from a worker that has not joined, and was dropped")

    def _end_untrue(self, peer: Peer, error: ProtocolError) -> None:
        """Have the worker killed that sent what is no message of a worker: whatever it tells cannot be relied on."""
        worker = self._workers.pop(peer, None)
        self._log.warning("worker %s is ended, or was none: %s", worker, error)
        if worker is not None and not self.gone:
            self.order(m.KillWorker(worker))

    def _joined(self, peer: Peer, hello: m.WorkerHello) -> None:
        self._workers[peer] = hello.worker
        self._peers[hello.worker] = peer
        self.pids[hello.worker] = hello.pid

    def _read_supervisor(self, told: list[Told]) -> None:
        try:
            while (frames := self._link.receive()) is not None:
                message, _ = codec.from_supervisor(frames)
                self._silent = 0.0
                if isinstance(message, m.Pong):
                    continue
                if isinstance(message, m.WorkerGone):
                    self._obituaries.append((time.monotonic() + settings.OBITUARY_SECONDS, message))
                else:
                    told.append((0, message, []))
        except (PeerGoneError, ProtocolError) as error:
            self._supervisor_gone(error, told)

    def _supervisor_gone(self, error: Exception, told: list[Told]) -> None:
        self._drop_link()
        code = self._process.wait(settings.DIE_SECONDS)
        ending = (f"signal {-code}" if code < 0 else f"exit code {code}") + self._why
        self._log.error("the supervisor ended with %s (%s)", ending, error)
        _supervisors.discard(self._process.pid)
        swept = sweep(self._folder)
        for worker in sorted(self._spawned):
            ran = take_last_job(page_path(self._folder, worker))
            how, seconds = f"the end of its supervisor ({ending})", ran.seconds if ran else 0.0
            story = m.Story(worker, os.uname().nodename, self.pids.get(worker, 0), how, seconds, 0, "")
            lease, job = (ran.lease, ran.job) if ran else (None, None)
            told.append(self._bury(m.WorkerGone(worker, lease, job, story, known=False)))
        self._obituaries.clear()
        if swept:
            self._log.info("%d processes that its jobs had left were ended", swept)
        self._collect_until = time.monotonic() + settings.DIE_SECONDS  # its workers are dying this moment

    def _bury(self, message: m.WorkerGone) -> Told:
        self._spawned.discard(message.worker)
        self.pids.pop(message.worker, None)
        peer = self._peers.pop(message.worker, None)
        if peer is not None:
            self._workers.pop(peer, None)
        return message.worker, message, []

    # --- the end -------------------------------------------------------------------------------------------

    def _drop_link(self) -> None:
        self.gone = True
        self._poller.unwatch(self._link)
        self._link.close()

    def leave(self) -> None:
        """Tell the supervisor, by closing the link, to kill its workers and exit; nothing more is read."""
        if not self.gone:
            with contextlib.suppress(PeerGoneError):  # else it would take this process for killed
                self.order(m.Leave())
            self._drop_link()
        if self._ahead is not None:
            _, self._process, ours = self._ahead
            ours.close()
        self._poller.unwatch(self._listener)
        self._listener.close()

    def wait_gone(self, seconds: float) -> None:
        """Wait for the supervisor's exit after `leave`; kill it, by its own handle, if it has not gone in time."""
        process: subprocess.Popen[bytes] | None = getattr(self, "_process", None)
        if process is not None:
            _supervisors.discard(process.pid)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.returncode:  # it was killed, from here or elsewhere, and may have left something
                sweep(self._folder)
        shutil.rmtree(self._folder, ignore_errors=True)
