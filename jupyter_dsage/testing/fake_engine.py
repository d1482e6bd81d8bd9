"""An engine in memory: its workers are threads of this process, and run jobs really.

For tests of what stands above `child.engines`, and of what users build on engines: it passes the same tests as the
real ones (tests/process/test_engines.py). It can be told to lose a worker, to fall silent and come back, to fail; and
what it cannot do it declares. Jobs run in this process: they share its modules, and one that sits in C code cannot be
ended before it returns. A job takes its worker with it by raising `WorkerDeath`.
"""

from __future__ import annotations

import os
import queue
import time
from typing import TYPE_CHECKING

from jupyter_dsage.child.engines.engine import OutputSeen, Reported
from jupyter_dsage.child.engines.local import run_jobs
from jupyter_dsage.core import events as e
from jupyter_dsage.core.pool import Abilities
from jupyter_dsage.errors import PeerGoneError
from jupyter_dsage.testing.fake_worker import Done, FakeWorker, WorkerDeath, restore_stdout
from jupyter_dsage.wire import messages as m
from jupyter_dsage.worker.offered import Services

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from jupyter_dsage.child.engines.engine import News
    from jupyter_dsage.child.payloads import Payloads
    from jupyter_dsage.core import commands as c
    from jupyter_dsage.core.events import Event
    from jupyter_dsage.net.transport import Poller, Source
    from jupyter_dsage.wire.codec import Frame
    from jupyter_dsage.wire.setup import EngineSetup

KILLED = "signal 9 (SIGKILL)"


class FakeEngine:
    """See `child.engines.engine.Engine`. `can`: what it can do; `services`: name and ``module:function`` of each.

    `lose`, `fall_silent`, `come_back` and `fail` may be called from any thread; the child learns of it in its turn.
    """

    def __init__(
        self,
        setup: EngineSetup,
        poller: Poller,
        *,
        can: Abilities | None = None,
        services: Iterable[tuple[str, str]] = (),
    ) -> None:
        self.name = setup.name
        self.host = f"{setup.name}.fake"
        self.note = setup.note
        self._slots = setup.slots
        can = can or Abilities()
        self._offered = Services(services, plain=not can.functions)
        self._can = Abilities(can.functions, frozenset(self._offered.names), can.interrupt, can.scale)
        self._poller = poller
        self._workers: dict[int, FakeWorker] = {}
        self._ending: list[FakeWorker] = []
        self.functions: list[str] = []
        """The functions that were sent to this host: each once."""
        self._news: list[Event | News] = []
        self._silent = False
        self._held: list[Callable[[], None]] = []
        """Orders that could not reach it while it was silent."""
        self._done: queue.SimpleQueue[Done] = queue.SimpleQueue()
        self._asked: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        """What its test wants, to be done on the child's thread."""
        self._bell, self._rope = os.pipe()
        """Readable when there is news: a write to it is safe in a thread that may be interrupted anywhere."""
        os.set_blocking(self._bell, False)
        poller.watch(self)

    def fileno(self) -> int:
        """Return the descriptor that the child's poller waits for."""
        return self._bell

    def _ring(self) -> None:
        os.write(self._rope, b"!")

    # --- for tests -----------------------------------------------------------------------------------------

    def lose(self, worker: int) -> None:
        """Have a worker die, with the job that it runs."""
        self._ask(lambda: self._die(worker, KILLED))

    def fall_silent(self) -> None:
        """Answer no more, as a host whose cable is pulled; workers run on, and what they tell is held."""
        self._ask(self._go)

    def come_back(self) -> None:
        """Answer again, and tell what was held."""
        self._ask(self._return)

    def fail(self, why: str) -> None:
        """Lose all workers, and start none until somebody wants it again."""
        self._ask(lambda: self._fail(why))

    def _ask(self, what: Callable[[], None]) -> None:
        self._asked.put(what)
        self._ring()

    def _go(self) -> None:
        self._silent = True

    def _return(self) -> None:
        self._silent = False
        self._news.insert(0, e.EngineBack(self.name))
        held, self._held = self._held, []
        for order in held:
            order()

    def _fail(self, why: str) -> None:
        for worker in list(self._workers):
            self._die(worker, why)
        self._news.append(e.EngineFailed(self.name, self._story(0, why)))

    # --- out -----------------------------------------------------------------------------------------------

    def open(self) -> list[Event]:
        """See `Engine`."""
        return [e.EngineOpened(self.name, self._slots, self._can)]

    def reopen(self) -> None:
        """See `Engine`. Nothing is wrong with it any more."""
        self._news += self.open()
        self._ring()

    def scale(self, slots: int) -> list[Event]:
        """See `Engine`."""
        if not self._can.scale:
            return []
        self._slots = slots
        return [e.EngineScaled(self.name, slots)]

    def set_environment(self, variables: tuple[tuple[str, str], ...]) -> None:
        """See `engine.Engine`. Workers there have the environment of this process."""

    def start(self, worker: int) -> None:
        """See `Engine`."""
        self._order(lambda: self._start(worker))

    def _start(self, worker: int) -> None:
        self._workers[worker] = FakeWorker(worker, self._offered, self._report, self._done, self._ring)
        self._tell(e.WorkerJoined(worker))

    def stop(self, worker: int) -> None:
        """See `Engine`."""
        self._order(lambda: self._die(worker, "exit code 0"))

    def kill(self, worker: int) -> None:
        """See `Engine`."""
        self._order(lambda: self._die(worker, KILLED))

    def grant(self, lease: c.SendLease, payloads: Payloads) -> None:
        """See `Engine`."""
        if lease.worker not in self._workers:
            raise PeerGoneError(f"Worker {lease.worker} is gone.")
        worker = self._workers[lease.worker]
        run = run_jobs(lease)
        function = payloads.function(lease.function) if lease.with_function else None
        segment = payloads.segment(lease.segment) if lease.with_segment else None
        if lease.function not in self.functions:
            self.functions.append(lease.function)

        def grant() -> None:
            if function is not None:
                worker.learn(*function)
            worker.hold(run, segment)
            worker.begin(run)

        self._order(grant)

    def forget(self, segment: int) -> None:
        """See `Engine`. Workers are told with a lease what to drop."""

    def recall(self, order: c.RecallLease) -> None:
        """See `Engine`."""
        self._order(lambda: self._recall(m.Recall(order.worker, order.lease, order.first, order.stop)))

    def _recall(self, order: m.Recall) -> None:
        worker = self._workers.get(order.worker)
        start = worker.recall(order) if worker is not None else None
        if start is not None:
            self._tell(e.LeaseRecalled(order.worker, order.lease, start))

    def end_job(self, order: c.EndJob) -> None:
        """See `Engine`. One that cannot interrupt lets the job go on to its end."""
        if self._can.interrupt:
            self._order(lambda: self._end_job(m.EndJob(order.worker, order.lease, order.first, order.stop)))

    def _end_job(self, order: m.EndJob) -> None:
        if order.worker in self._workers:
            self._workers[order.worker].end_job(order)

    def _order(self, order: Callable[[], None]) -> None:
        """Carry an order out; while the host is silent it waits."""
        if self._silent:
            self._held.append(order)
        else:
            order()

    def look(self, ask: int, worker: int, lease: int, job: int) -> None:
        """See `Engine`."""

        def look() -> None:
            found = self._workers.get(worker)
            runs = found is not None and (found.lease, found.job) == (lease, job)
            self._tell(OutputSeen(ask, found.printed() if found is not None and runs else ""))

        self._order(look)

    def pid(self, worker: int) -> int:
        """See `Engine`: the number of the worker's first thread."""
        return self._workers[worker].pid if worker in self._workers else 0

    # --- in ------------------------------------------------------------------------------------------------

    def read(self, ready: Collection[Source], now: float) -> list[Event | News]:
        """See `Engine`."""
        if self in ready:
            os.read(self._bell, 4096)
        for worker in list(self._workers.values()):
            worker.overstepped(now)
        was_silent = self._silent
        while not self._asked.empty():
            self._asked.get()()
        while not self._done.empty():
            thread, outcome, raised, seconds = self._done.get()
            worker = thread.worker
            if thread.given_up or self._workers.get(worker.number) is not worker:
                continue
            if isinstance(outcome, WorkerDeath):
                self._die(worker.number, str(outcome) or KILLED, seconds)
            else:
                worker.ended(outcome, raised, seconds)
        if self._silent:
            return [] if was_silent else [e.EngineAway(self.name)]
        news, self._news = self._news, []
        return news

    def _tell(self, event: Event | News) -> None:
        self._news.append(event)
        self._ring()

    def _report(self, worker: int, report: m.Report, frames: list[Frame]) -> None:
        self._tell(Reported(worker, report, frames))

    def _die(self, number: int, ending: str, seconds: float = 0.0) -> None:
        worker = self._workers.pop(number, None)
        if worker is None:
            return
        lease, job = (None, None) if worker.job is None else (worker.lease, worker.job)
        worker.leave()
        self._ending.append(worker)
        self._tell(e.WorkerLost(number, lease, job, self._story(number, ending, worker, seconds)))

    def _story(self, number: int, ending: str, worker: FakeWorker | None = None, seconds: float = 0.0) -> m.Story:
        return m.Story(number, self.host, worker.pid if worker else 0, ending, seconds, 0, "")

    def next_due(self) -> float | None:
        """See `Engine`."""
        return min((due for worker in self._workers.values() if (due := worker.due()) is not None), default=None)

    # --- the end -------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """See `Engine`."""
        for worker in self._workers.values():
            worker.leave()
            self._ending.append(worker)
        self._workers.clear()
        self._poller.unwatch(self)

    def wait_gone(self, seconds: float) -> None:
        """See `Engine`. A thread cannot be ended by force: one that does not end in time is let be."""
        deadline = time.monotonic() + seconds
        for worker in self._ending:
            for thread in worker.past:
                thread.join(max(0.0, deadline - time.monotonic()))
        restore_stdout()
        # A thread that is left rings in vain: the pipe stays open for it.
        if not any(thread.is_alive() for worker in self._ending for thread in worker.past):
            for end in (self._bell, self._rope):
                os.close(end)
