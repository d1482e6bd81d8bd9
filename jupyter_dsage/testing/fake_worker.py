"""A worker in memory: a thread of this process that runs jobs really. Used by `FakeEngine`.

All state is the engine's thread's; the worker's own thread gets one call at a time and puts what came of it into a
queue. So a job can be given up at any moment, and what its thread does afterwards concerns nobody.
"""

from __future__ import annotations

import ctypes
import io
import queue
import sys
import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from jupyter_dsage.errors import JobTimeout
from jupyter_dsage.wire import brief, data_calls, payload
from jupyter_dsage.wire import data as plain_data
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire.data_calls import DataJobs
from jupyter_dsage.wire.payload import SCALARS, Jobs, Outcomes
from jupyter_dsage.worker.failure import describe
from jupyter_dsage.worker.interrupt import JobCancelled
from jupyter_dsage.worker.limits import time_limit
from jupyter_dsage.worker.loading import LoadFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jupyter_dsage.wire.codec import Frame
    from jupyter_dsage.wire.raised import Raised
    from jupyter_dsage.worker.offered import Services


class WorkerDeath(BaseException):
    """Raised by a job, it takes the worker with it, as a signal takes a process. Its text is how it ended."""


@dataclass(slots=True)
class Memory:
    """What a worker has been sent; its thread reads it, and so does the next one, if that is given up."""

    arrived: dict[str, tuple[m.Function | m.Service, Frame]] = field(default_factory=dict)
    """Functions as they came: they are loaded when a job needs them, as part of its life."""
    functions: dict[str, Callable[..., Any] | LoadFailure] = field(default_factory=dict)
    plain: set[str] = field(default_factory=set)
    """Those of the functions that are services: their jobs and outcomes are plain data."""
    segments: dict[int, Frame] = field(default_factory=dict)


@dataclass(slots=True)
class Lease:
    """A lease at a fake worker. `at`: the next job to start; `stop`: no job from here on is started."""

    run: m.RunJobs
    at: int
    stop: int


Done = tuple["_Thread", "Frame | WorkerDeath", "Raised | None", float]
"""Whose, the payload of one job's outcome (or how it took its worker with it), what it raised, how long it took."""


class FakeWorker:
    """One worker. `tell`: takes its reports; `done`, `alarm`: where its thread puts what came of a job, and what wakes.

    `begin` and `ended` and the rest are called on the engine's thread only.
    """

    def __init__(
        self,
        number: int,
        offered: Services,
        tell: Callable[[int, m.Report, list[Frame]], None],
        done: queue.SimpleQueue[Done],
        alarm: Callable[[], None],
    ) -> None:
        self.number = number
        self._offered = offered
        self._tell = tell
        self._done = done
        self._alarm = alarm
        self._memory = Memory()
        self._leases: deque[Lease] = deque()
        self.thread = self._new_thread()
        self.pid = self.thread.native_id or 0
        self.past: list[threading.Thread] = []
        """Threads of jobs that were given up, and may still be ending."""
        self.job: int | None = None
        """The job that runs."""
        self._begun = 0.0
        """When the running job began (monotonic seconds)."""

    def _new_thread(self) -> _Thread:
        thread = _Thread(self, self._done, self._alarm)
        thread.start()
        return thread

    @property
    def lease(self) -> int | None:
        """The lease that runs, or would: what a real worker's page says."""
        return self._leases[0].run.lease if self._leases else None

    def printed(self) -> str:
        """Return what the running job has printed so far."""
        text = _texts.get(self.thread.ident or 0)
        return "" if text is None else text.getvalue()

    # --- payloads ------------------------------------------------------------------------------------------

    def learn(self, message: m.Function | m.Service, frames: list[Frame]) -> None:
        """Take a function; what goes wrong when it is loaded is raised by each of its jobs."""
        if isinstance(message, m.Service):
            self._memory.plain.add(message.function)
        self._memory.arrived[message.function] = message, frames[0] if frames else b""

    def _load(self, name: str) -> Callable[..., Any] | LoadFailure:
        """Load a function; called in the thread of the job that needs it."""
        memory = self._memory
        if name in memory.functions:
            return memory.functions[name]
        message, data = memory.arrived[name]
        try:
            if isinstance(message, m.Service):
                found = self._offered.service(message.service)
            else:
                found, _ = self._offered.function(data)
        except (JobCancelled, WorkerDeath):
            raise
        except BaseException as error:  # noqa: BLE001  (a user's module may raise anything when imported)
            memory.functions[name] = LoadFailure(error, "The function could not be loaded at the worker.")
        else:
            memory.functions[name] = found
        return memory.functions[name]

    def hold(self, run: m.RunJobs, segment: Frame | None) -> None:
        """Keep a lease's segment, and forget those that it says to."""
        for number in run.drop:
            self._memory.segments.pop(number, None)
        if segment is not None:
            self._memory.segments[run.segment] = segment

    # --- leases --------------------------------------------------------------------------------------------

    def begin(self, run: m.RunJobs) -> None:
        """Take a lease."""
        self._leases.append(Lease(run, run.first, run.stop))
        self._go_on()

    def recall(self, order: m.Recall) -> int | None:
        """Start no job of a lease from `order.first` on; return from where, None if the lease is over."""
        lease = next((lease for lease in self._leases if lease.run.lease == order.lease), None)
        if lease is None:
            return None
        lease.stop = min(lease.stop, max(lease.at, order.first))
        start = lease.stop
        self._go_on()
        return start

    def end_job(self, order: m.EndJob) -> None:
        """Give the running job up if it is one of these; the slot works on."""
        if self.job is None or self.lease != order.lease or not order.first <= self.job < order.stop:
            return
        self._give_up(JobCancelled())

    def _give_up(self, error: BaseException) -> None:
        """End the running job with an error; another thread takes over."""
        self.past.append(self.thread)
        self.thread.give_up(JobCancelled)
        self.thread = self._new_thread()
        raised = describe(error)
        self._report(_outcome(raised, self._leases[0].run.function in self._memory.plain), raised, 0.0)

    def due(self) -> float | None:
        """Return when the running job oversteps its time limit (monotonic seconds), or None."""
        timeout = self._leases[0].run.timeout if self._leases and self.job is not None else 0.0
        return self._begun + timeout if timeout else None

    def overstepped(self, now: float) -> None:
        """End the running job if it is over its time limit."""
        due, job = self.due(), self.job
        if due is not None and due <= now:
            limit = time_limit(int(self._leases[0].run.timeout * 1e9))
            self._give_up(JobTimeout(f"Job {job} overstepped {limit}."))

    def ended(self, outcome: Frame, raised: Raised | None, seconds: float) -> None:
        """Take what came of the running job."""
        self._report(outcome, raised, seconds)

    def _report(self, outcome: Frame, raised: Raised | None, seconds: float) -> None:
        lease, job = self._leases[0], self.job
        if job is None:
            raise RuntimeError("an outcome came of no job")
        self.job = None
        over = lease.at >= lease.stop
        failed, errors = ((job,), (brief.error(raised.type_name, raised.said),)) if raised else ((), ())
        if over:
            self._leases.popleft()
        self._tell(self.number, m.Report(lease.run.lease, job, job + 1, failed, errors, seconds, over), [outcome])
        self._go_on()

    def _go_on(self) -> None:
        """Start the next job, if there is one and none runs; leases that were recalled whole end here."""
        while self._leases and self.job is None:
            lease = self._leases[0]
            if lease.at < lease.stop:
                self.job, lease.at = lease.at, lease.at + 1
                self._begun = time.monotonic()
                run = lease.run
                plain = run.function in self._memory.plain
                function, segment = partial(self._load, run.function), self._memory.segments[run.segment]
                self.thread.calls.put(_Call(function, segment, self.job - run.offset, self.job, plain))
                return
            self._leases.popleft()
            over = m.Report(lease.run.lease, lease.stop, lease.stop, (), (), 0.0, ended=True)
            self._tell(self.number, over, [])

    # --- the end -------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """Run nothing any more; a job that runs is given up."""
        self.past.append(self.thread)
        self.thread.give_up(JobCancelled if self.job is not None else None)


@dataclass(frozen=True, slots=True)
class _Call:
    """One job. `index`: its place in the segment."""

    load: Callable[[], Callable[..., Any] | LoadFailure]
    segment: Frame
    index: int
    number: int
    plain: bool

    def value(self) -> Any:
        """Call the function."""
        function = self.load()
        if isinstance(function, LoadFailure):
            raise function.error()
        jobs = DataJobs(self.segment) if self.plain else Jobs(self.segment)
        args, kwargs = jobs[self.index]
        return function(*args, **kwargs)

    def dumps(self, value: Any) -> bytes:
        """Return a value as it travels."""
        return (plain_data.dumps if self.plain else payload.dumps)(value, f"the value of job {self.number}")


class _Thread(threading.Thread):
    """Runs one call after another until it is given up. It shares no lock, since it may be interrupted anywhere."""

    def __init__(self, worker: FakeWorker, done: queue.SimpleQueue[Done], alarm: Callable[[], None]) -> None:
        super().__init__(name=f"fake-worker-{worker.number}", daemon=True)
        self.worker = worker
        self.calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._done = done
        self._alarm = alarm
        self.given_up = False

    def run(self) -> None:
        try:
            while (call := self.calls.get()) is not None:
                outcome, raised, seconds = _run(call)
                if self.given_up:
                    return
                self._done.put((self, outcome, raised, seconds))
                self._alarm()
        except JobCancelled:
            return  # it came when the job was over already

    def give_up(self, error: type[BaseException] | None) -> None:
        """Have it end, by an exception in the job that runs; one that sits in C code ends when it returns."""
        self.given_up = True
        self.calls.put(None)
        if error is not None and self.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident), ctypes.py_object(error))


def _run(call: _Call) -> tuple[Frame | WorkerDeath, Raised | None, float]:
    """Run one job."""
    begun = time.monotonic()
    with _printing() as printed:
        try:
            value = call.value()
            data = None if type(value) in SCALARS else call.dumps(value)
        except WorkerDeath as death:
            return death, None, time.monotonic() - begun
        except BaseException as error:  # noqa: BLE001  (also SystemExit: the job ends, the worker goes on)
            raised = describe(_shortened(error))
            return _outcome(raised, call.plain, printed.getvalue()), raised, time.monotonic() - begun
    outcomes = Outcomes()
    outcomes.values.append(value if data is None else None)
    if data is not None:
        outcomes.each[0] = data
    return _dumped(outcomes, call.plain, printed.getvalue(), time.monotonic() - begun), None, time.monotonic() - begun


def _shortened(error: BaseException) -> BaseException:
    """Return an exception without the lines of this file: the user's own are the story."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_globals.get("__name__") == __name__:
        frames = frames.tb_next
    return error.with_traceback(frames)


def _outcome(raised: Raised, plain: bool, printed: str = "") -> Frame:  # noqa: FBT001  (a fact of the lease)
    """Return the payload of a job that raised."""
    outcomes = Outcomes()
    outcomes.values.append(None)
    outcomes.raised[0] = raised
    return _dumped(outcomes, plain, printed, 0.0)


def _dumped(outcomes: Outcomes, plain: bool, printed: str, seconds: float) -> Frame:  # noqa: FBT001
    outcomes.seconds.append(seconds)
    if printed:
        outcomes.outputs[0] = printed
    return data_calls.dump_outcomes(outcomes) if plain else outcomes.dump()


# --- what jobs print -----------------------------------------------------------------------------------------


_texts: dict[int, io.StringIO] = {}
"""What each thread that runs a job has printed."""


class _ByThread(io.TextIOBase):
    """Stands for ``sys.stdout``: what a job prints goes to its own text, the rest where it went before."""

    def __init__(self, before: Any) -> None:
        self.before = before

    def write(self, text: str) -> int:
        return int(_texts.get(threading.get_ident(), self.before).write(text))

    def flush(self) -> None:
        _texts.get(threading.get_ident(), self.before).flush()


@contextmanager
def _printing() -> Iterator[io.StringIO]:
    """Take what this thread prints, until the end of the block."""
    if not isinstance(sys.stdout, _ByThread):  # also where somebody has put another in its place meanwhile
        sys.stdout = _ByThread(sys.stdout)
    text = _texts[threading.get_ident()] = io.StringIO()
    try:
        yield text
    finally:
        _texts.pop(threading.get_ident(), None)


def restore_stdout() -> None:
    """Put ``sys.stdout`` back as it was."""
    while isinstance(sys.stdout, _ByThread):
        sys.stdout = sys.stdout.before
