"""The ``slurm:`` engine: nodes that Slurm gives, as one engine.

One batch job starts a bridge on each node (`worker.bridge`), which calls the child back at the address that the user
named; each call is a `HostEngine` of its own in here. Workers are spread over the nodes; a node that is lost takes its
own with it. When the job ends the engine has failed, and what wants it next submits another.
"""

from __future__ import annotations

import collections
import hashlib
import logging
import queue
import secrets
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from jupyter_dsage import private_files, settings
from jupyter_dsage.child.engines.host import HostEngine
from jupyter_dsage.core import events as e
from jupyter_dsage.core.pool import Abilities
from jupyter_dsage.errors import DsageError, PeerGoneError
from jupyter_dsage.net import slurm
from jupyter_dsage.net.call import CallIn
from jupyter_dsage.net.stream_dialer import StreamDialer
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Collection

    from jupyter_dsage.child.engines.engine import News
    from jupyter_dsage.child.payloads import Payloads
    from jupyter_dsage.core import commands as c
    from jupyter_dsage.core.events import Event
    from jupyter_dsage.net.transport import Poller, Source
    from jupyter_dsage.wire import remote
    from jupyter_dsage.wire.setup import EngineSetup

log = logging.getLogger(__name__)


class _CallCarrier:
    """A call that came, as a carrier; see `stream_dialer.Carrier`."""

    first = marker = b""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def fate(self, *, ended: bool) -> tuple[str, bool]:
        return ("the node's call ended" if ended else ""), False

    def close(self) -> None:
        self.sock.close()

    def wait_gone(self, seconds: float) -> None:
        """Nothing of it is a process."""


class _Node(HostEngine):
    """One node: waits for its next call when one has ended."""

    def __init__(self, setup: EngineSetup, poller: Poller) -> None:
        self.calls: collections.deque[socket.socket] = collections.deque()
        self._poller = poller
        super().__init__(setup, self._reached)

    def _reached(self, hello: Callable[[], remote.Dial]) -> StreamDialer:
        seconds = (settings.DIAL_SECONDS, settings.UNREACHABLE_SECONDS)
        self.dialer = StreamDialer(hello, self._call, self._poller, *seconds)
        return self.dialer

    def _call(self) -> _CallCarrier | None:
        while len(self.calls) > 1:
            self.calls.popleft().close()
        return _CallCarrier(self.calls.popleft()) if self.calls else None

    def called(self, sock: socket.socket) -> None:
        """Take a call; the one before is over, since a node has one at a time."""
        self.calls.append(sock)
        self.dialer.drop("the node called again")
        self.dialer.dial_now()

    def leave(self) -> None:
        super().leave()
        while self.calls:
            self.calls.pop().close()


class SlurmEngine:
    """See `engine.Engine`."""

    def __init__(self, setup: EngineSetup, poller: Poller) -> None:
        self.name = setup.name
        self.host = ""
        self.note = setup.note
        self._setup = setup
        self._poller = poller
        self._nodes: dict[str, _Node] = {}
        self._place: dict[int, _Node] = {}
        """Worker -> its node."""
        self._calls: queue.SimpleQueue[tuple[str, socket.socket]] = queue.SimpleQueue()
        self._door: CallIn | None = None
        self._file: Path | None = None
        self._cancels: list[slurm.Command] = []
        self._job = ""
        """Slurm's number of our job; empty while there is none."""
        self._command: slurm.Command | None = None
        """The one that runs now: a submission, or a look at the job."""
        self._submitting = False
        self._next_look = 0.0
        self._mark = hashlib.sha256(f"{setup.lineage or secrets.token_hex(16)} {setup.name}".encode()).hexdigest()[:16]
        """Names our files: the same for all children of this session."""
        self._open = False
        self._failed = False
        self._wanted = False
        """Whether a job is to be submitted."""

    # --- out -----------------------------------------------------------------------------------------------

    def open(self) -> list[Event]:
        """See `engine.Engine`."""
        self._wanted = True
        return [e.EngineAdded(self.name)]

    def reopen(self) -> None:
        """See `engine.Engine`. Another job is submitted if the one before has ended."""
        self._failed = False
        self._wanted = not self._job and self._command is None

    def scale(self, slots: int) -> list[Event]:  # noqa: ARG002
        """See `engine.Engine`. A batch job keeps its size."""
        return []

    def set_environment(self, variables: tuple[tuple[str, str], ...]) -> None:
        """See `engine.Engine`. Workers there have the environment of their own host."""

    def start(self, worker: int) -> None:
        """See `engine.Engine`. On the node that has the most room."""
        free = {name: node.slots - len(node.workers) for name, node in self._nodes.items()}
        if not free:
            raise PeerGoneError("There is no node.")
        node = self._nodes[max(free, key=lambda name: free[name])]
        self._place[worker] = node
        node.start(worker)

    def _at(self, worker: int) -> _Node:
        if worker not in self._place:
            raise PeerGoneError(f"Worker {worker} is gone.")
        return self._place[worker]

    def stop(self, worker: int) -> None:
        """See `engine.Engine`."""
        self._at(worker).stop(worker)

    def kill(self, worker: int) -> None:
        """See `engine.Engine`."""
        self._at(worker).kill(worker)

    def grant(self, lease: c.SendLease, payloads: Payloads) -> None:
        """See `engine.Engine`."""
        self._at(lease.worker).grant(lease, payloads)

    def forget(self, segment: int) -> None:
        """See `engine.Engine`."""
        for node in self._nodes.values():
            node.forget(segment)

    def recall(self, order: c.RecallLease) -> None:
        """See `engine.Engine`."""
        self._at(order.worker).recall(order)

    def end_job(self, order: c.EndJob) -> None:
        """See `engine.Engine`."""
        self._at(order.worker).end_job(order)

    def look(self, ask: int, worker: int, lease: int, job: int) -> None:
        """See `engine.Engine`."""
        self._at(worker).look(ask, worker, lease, job)

    def pid(self, worker: int) -> int:
        """See `engine.Engine`."""
        return self._place[worker].pid(worker) if worker in self._place else 0

    # --- in ------------------------------------------------------------------------------------------------

    def next_due(self) -> float | None:
        """See `engine.Engine`."""
        now = time.monotonic()
        due = now + settings.SLURM_COMMAND_SECONDS if self._command is not None else self._next_look
        if self._wanted:
            due = now
        elif not self._job and self._command is None:
            due = float("inf")
        return min([due, *(node for each in self._nodes.values() if (node := each.next_due()) is not None)])

    def read(self, ready: Collection[Source], now: float) -> list[Event | News]:
        """See `engine.Engine`."""
        news: list[Event | News] = []
        if self._wanted:
            self._wanted = False
            news += self._submit()
        if self._command is not None and self._command.done:
            news += self._answered(now)
        elif self._job and self._command is None and now >= self._next_look:
            self._command, self._submitting = slurm.look(self._job), False
        while not self._calls.empty():
            self._take(*self._calls.get())
        for name, node in list(self._nodes.items()):
            for each in node.read(ready, now):
                news += self._translated(name, node, each)
        return news

    def _take(self, name: str, sock: socket.socket) -> None:
        if not self._job and self._command is None:
            sock.close()  # of a job that was given up
            return
        if name not in self._nodes:
            log.info("engine %s: node %s calls", self.name, name)
            secret = hashlib.sha256(f"{self._setup.lineage} {name} {secrets.token_hex(16)}".encode()).hexdigest()
            slots = int(self._setup.option("each"))
            self._nodes[name] = _Node(msgspec.structs.replace(self._setup, slots=slots, lineage=secret), self._poller)
        self._nodes[name].called(sock)

    def _translated(self, name: str, node: _Node, news: Event | News) -> list[Event | News]:
        """Return what news of a node mean for the engine that all nodes are together."""
        match news:
            case e.EngineAdded() | e.EngineScaled() | e.EngineOpened():
                return self._total(node, news)
            case e.EngineAway() if len(self._nodes) > 1:
                return [
                    also
                    for each in node.give_up(f"node {name} does not answer")
                    for also in self._translated(name, node, each)
                ]
            case e.EngineFailed():
                node.leave()
                del self._nodes[name]
                return self._total(node, news)
            case e.WorkerLost():
                self._place.pop(news.worker, None)
        return [news]

    def _total(self, node: _Node, news: Any) -> list[Event | News]:
        """Tell how many slots there are, now that a node has come, changed or gone."""
        slots = sum(each.slots for each in self._nodes.values())
        self.host = ", ".join(sorted({each.host for each in self._nodes.values()}))
        if not self._nodes:
            self._cancel()  # a job without nodes would only be in the way of the next one
            return [] if self._failed else self._fail(f"its last node is gone: {news.story.ending}")
        if self._open:
            return [e.EngineScaled(self.name, slots)]
        if not node.slots:
            return []
        self._open, self._failed = True, False
        self.note = self._setup.note
        can = Abilities(services=news.can.services, scale=False)
        return [e.EngineOpened(self.name, slots, can, news.latency)]

    def _fail(self, why: str) -> list[Event | News]:
        self._open, self._failed = False, True
        self._forget_file()
        return [e.EngineFailed(self.name, m.Story(0, self.host, 0, why, 0.0, 0, ""))]

    # --- the batch job -------------------------------------------------------------------------------------

    def _submit(self) -> list[Event | News]:
        """Write the call file, and submit the job that reads it."""
        try:
            if self._door is None:
                self._door = CallIn(self._setup.host, self._setup.port, self._calls, self._poller.wake)
            folder = Path(self._setup.option("folder") or private_files.data_folder() / "slurm").expanduser()
            private_files.make_folder(folder)
            self._file = folder / f"{self._mark}.call"
            self._forget_former(self._file.with_suffix(".job"))
            self._file.unlink(missing_ok=True)
            self._door.call_file(secrets.token_hex(6)).write(self._file)
        except (DsageError, OSError) as error:
            return self._fail(f"no job could be submitted: {error}")
        python = self._setup.option("python") or sys.executable
        bridge = shlex.join([python, "-P", "-m", "jupyter_dsage.worker.bridge", "--call", str(self._file)])
        script = f"#!/bin/sh\nexec srun --ntasks-per-node=1 {bridge}\n"
        nodes, each = self._setup.option("nodes"), self._setup.option("each")
        options = [f"--nodes={nodes}", f"--cpus-per-task={each}", "--ntasks-per-node=1"]
        options.append(f"--output={self._file.with_suffix('.out')}")
        given = [(name, self._setup.option(name)) for name in slurm.OPTIONS]
        options += [f"--{name}={value}" for name, value in given if value]
        self._command, self._submitting = slurm.submit(script, options), True
        self.note = "a job is being submitted"
        return []

    def _answered(self, now: float) -> list[Event | News]:
        """Take in what Slurm's command says."""
        command, self._command = self._command, None
        if command is None:
            return []
        good, said = command.answer()
        command.close()
        self._next_look = now + settings.SLURM_LOOK_SECONDS
        if self._submitting:
            self._job = (slurm.number(said) if good else None) or ""
            if self._job and self._file is not None:
                private_files.replace(self._file.with_suffix(".job"), self._job.encode())
            return [] if self._job else self._fail(f"Slurm takes no job: {said}")
        if not self._job:
            return []  # it was cancelled meanwhile
        state = slurm.state(known=good, said=said)
        if state.lives:
            if not self._open:
                self.note = f"job {self._job} {state.words()}"
            return []
        why = f"Slurm's job {self._job} ended ({state.words()}){self._last_words()}"
        self._job = ""
        self._failed = True
        lost = [
            news
            for name, node in list(self._nodes.items())
            for each in node.give_up(why)
            for news in self._translated(name, node, each)
        ]
        return [*lost, *self._fail(why)]

    def _last_words(self) -> str:
        """Return what the job said last, where that can be seen here."""
        said = private_files.tail(self._file.with_suffix(".out")) if self._file else ""
        lines = [line for line in said.splitlines() if line.strip()]
        return f": {lines[-1][:300]}" if lines else ""

    def _cancel(self) -> None:
        """Cancel our job, if there is one."""
        for done in [command for command in self._cancels if command.done]:
            done.close()
            self._cancels.remove(done)
        if self._job:
            self._cancels.append(slurm.cancel(self._job))
            self._job = ""

    def _forget_former(self, path: Path) -> None:
        """Cancel the job of a child of this session that was killed: its nodes call nobody any more."""
        try:
            former = private_files.read(path).decode(errors="replace").strip()
        except FileNotFoundError:
            return
        if former.isdecimal():
            self._job = former
            self._cancel()
        path.unlink(missing_ok=True)

    def _forget_file(self) -> None:
        if self._file is not None:
            for suffix in (".call", ".job", ".out"):
                self._file.with_suffix(suffix).unlink(missing_ok=True)
            self._file = None

    # --- the end -------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """See `engine.Engine`."""
        for node in self._nodes.values():
            node.leave()
        self._cancel()
        if self._door is not None:
            self._door.close()
        self._forget_file()

    def wait_gone(self, seconds: float) -> None:
        """See `engine.Engine`. A job that is just being submitted is cancelled once its number is known."""
        deadline = time.monotonic() + seconds
        if self._command is not None:
            self._command.wait(seconds)
            good, said = self._command.answer() if self._command.done else (False, "")
            self._command.close()
            if self._submitting and good:
                self._job = slurm.number(said) or ""
                self._cancel()
        for cancel in self._cancels:
            cancel.close(max(0.0, deadline - time.monotonic()))
        while not self._calls.empty():
            self._calls.get()[1].close()
