"""Runs a lease: its jobs one after another, outcomes gathered and told at a job's end at least every 10 ms.

The main thread runs jobs. A second thread, the ticker, tells finished jobs when the next one takes long, and
ends the process when its supervisor is gone. Both send under one lock.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

from jupyter_dsage import settings
from jupyter_dsage.errors import DsageError, JobMemoryError, JobTimeout, ProtocolError
from jupyter_dsage.wire import brief, data_calls, payload
from jupyter_dsage.wire import data as plain_data
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire.buffers import Beside
from jupyter_dsage.wire.codec import too_large
from jupyter_dsage.wire.data_calls import DataJobs
from jupyter_dsage.wire.payload import SCALARS, Jobs, Outcomes
from jupyter_dsage.worker.failure import describe
from jupyter_dsage.worker.limits import memory_limit, time_limit
from jupyter_dsage.worker.modules import Modules
from jupyter_dsage.worker.page import JOB, RECALLS, STARTED, WHY_CANCEL, WHY_MEMORY, WHY_TIMEOUT, Page
from jupyter_dsage.worker.stride import NOTHING, Stride

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from jupyter_dsage.wire.payload import Frame
    from jupyter_dsage.worker.offered import Services
    from jupyter_dsage.worker.output import Output


_SIZED = frozenset({bytes, str})
"""Scalars that may be large."""
_LOOK = settings.LOOK_SECONDS
_UNKNOWN = ProtocolError("The function of this lease was not sent to the worker.")


class JobCancelled(BaseException):
    """Raised inside a job that is to be ended, by the handler of SIGINT; `except Exception` lets it pass.

    `why`: a word of the page: it is cancelled, or has overstepped a limit.
    """

    def __init__(self, why: int = WHY_CANCEL) -> None:
        super().__init__("The job was cancelled.")
        self.why = why


class Runner:
    """The worker's functions and segments, and the outcomes not yet told."""

    def __init__(
        self, page: Page, output: Output, send: Callable[..., None], supervisor: int, offered: Services
    ) -> None:
        self._offered = offered
        self._page = page
        self._output = output
        self._send = send
        self._supervisor = supervisor
        self._functions: dict[str, Callable[..., Any] | Exception] = {}
        self._services: set[str] = set()
        """Those of them that are services: their jobs and outcomes are plain data."""
        self._plain = False
        """Whether the lease that runs calls a service."""
        self._modules = Modules()
        self._segments: dict[int, Jobs | DataJobs] = {}
        self._lock = threading.RLock()
        self._busy = False
        """Whether a lease runs."""
        self._ticking = threading.Event()
        """Cleared while the ticker sleeps for long, since nothing has run for a while: to wake it costs 50 us."""
        self._lease = 0
        self._function = ""
        self._writers: set[str] = set()
        """Functions that were seen to write beside Python: after each job of theirs the output is looked at."""
        self._looks: dict[str, int] = {}
        """Function -> how many jobs were looked at however short they were."""
        self._always = False
        """Whether the output is looked at after each job of the lease that runs; see `worker.output`."""
        self._looked_at = -1
        """The job of this lease after which the output was looked at last."""
        self._first = 0
        self._pending = Outcomes()
        self._failed: list[int] = []
        self._errors: list[str] = []
        """The first few of them in words."""
        self._bytes = 0
        self._told = 0
        """When outcomes were told last, or the lease began (monotonic, ns)."""
        self.inside = False
        """Whether a job's own code runs now: only then may the handler of SIGINT raise."""
        self._stride = Stride(page.words, output.halt)
        self._seen_to: set[str] = set()
        """Functions whose jobs are seen to one by one: they print, or return what is no number."""
        self._mean: dict[str, float] = {}
        """Function -> about how long its last jobs took (seconds)."""
        self._order: JobCancelled | None = None
        """What was raised in the running job to end it: a job that catches it and returns has not got away."""
        threading.Thread(target=self._tick, name="dsage-ticker", daemon=True).start()

    # --- what the child sends ------------------------------------------------------------------------------

    def learn(self, message: m.Function, data: Frame) -> None:
        """Load a function; what goes wrong is raised by each of its jobs."""
        try:
            self._functions[message.function] = self._offered.function(data)
        except Exception as error:  # noqa: BLE001  (a user's module may raise anything when imported)
            error.add_note("The function could not be loaded at the worker.")
            self._functions[message.function] = error
        self._modules.imported()

    def learn_service(self, message: m.Service) -> None:
        """Find a service; what goes wrong is raised by each of its jobs."""
        self._services.add(message.function)
        try:
            self._functions[message.function] = self._offered.service(message.service)
        except Exception as error:  # noqa: BLE001  (the service's module may raise anything when imported)
            error.add_note(f"The service {message.service!r} could not be loaded at the worker.")
            self._functions[message.function] = error
        self._modules.imported()

    def hold(self, message: m.RunJobs, data: Frame | None) -> None:
        """Keep a segment that came with a lease, and forget those that the child says to."""
        for segment in message.drop:
            self._segments.pop(segment, None)
        if data is not None:
            self._segments[message.segment] = DataJobs(data) if self._calls_service(message) else Jobs(data)

    def look_at_modules(self) -> None:
        """Tell the child of modules that were edited since they were imported here, also while nothing runs."""
        with self._lock:  # the ticker may look at the same time
            self._modules.imported()
            edited = self._modules.edited()
            if edited:
                self._send(m.Stale(edited))

    def _calls_service(self, message: m.RunJobs) -> bool:
        """Tell whether a lease's jobs are plain data; where services are all, whatever comes is taken for that."""
        return self._offered.plain or message.function in self._services

    def run(self, message: m.RunJobs) -> bool:
        """Run a lease and tell its outcomes; return whether this worker is fit for more.

        After a job that took too much memory it is not: what that left behind would be charged to the next one.
        """
        self._lease, self._first, self._function = message.lease, message.first, message.function
        self._plain = self._calls_service(message)
        looked = self._looks.get(message.function, 0)
        self._always = message.function in self._writers or looked < settings.LOOK_JOBS
        self._looks[message.function] = looked + message.stop - message.first
        self._told, self._looked_at = time.monotonic_ns(), -1
        self._page.begin(message.lease, message.first, int(message.timeout * 1e9), message.memory)
        self.look_at_modules()
        self._busy = True
        if not self._ticking.is_set():
            self._ticking.set()
        at, fit = message.first, True
        while at < message.stop and fit:
            try:
                at = self._run_from(at, message)
                break
            except JobCancelled as order:
                fit = order.why != WHY_MEMORY
                at = self._interrupted(order, message)
        self._busy = False
        self._modules.imported()
        self._page.end()
        self._flush(ended=fit or at >= message.stop)
        return fit

    def interrupt(self, why: int) -> None:
        """Raise in the running job; called by the handler of SIGINT."""
        self.inside = False
        self._order = JobCancelled(why)
        self._output.halt.append(None)
        raise self._order

    def _run_from(self, at: int, message: m.RunJobs) -> int:
        """Run jobs from `at` to the lease's end or to where it was recalled; return where that was."""
        page, words, clock = self._page, self._page.words, time.monotonic_ns
        function = self._functions.get(message.function, _UNKNOWN)
        jobs = self._segments[message.segment]
        recalls, limit = words[RECALLS], page.limit(message.lease)
        limited = message.timeout or message.memory
        patience = (settings.FLUSH_LIMITED_SECONDS if limited else settings.FLUSH_SECONDS) * 1e9
        number = at
        while number < message.stop:
            stride = self._may_stride(message, function, jobs)
            words[STARTED] = now = clock()  # first, so that no job is ever shown with an earlier one's start
            stop = number + (self._stride.length(message.stop - number) if stride else 1)
            words[JOB] = number
            if words[RECALLS] != recalls:
                recalls, limit = words[RECALLS], page.limit(message.lease)
            if number >= limit:
                words[JOB] = number - 1
                return number
            if now - self._told > patience or self._bytes > settings.FLUSH_BYTES:
                self._flush()
            if stride:
                number = self._run_stride(number, min(stop, limit), function, jobs, message)  # type: ignore[arg-type]
            else:
                self._run_one(number, function, jobs, message)
                number += 1
        return message.stop

    def _run_one(
        self, number: int, function: Callable[..., Any] | Exception, jobs: Jobs | DataJobs, message: m.RunJobs
    ) -> None:
        """Run one job and note what comes of it."""
        try:
            self.inside = True
            if isinstance(function, Exception):
                raise function  # noqa: TRY301  (its jobs end like any job that raises)
            args, kwargs = jobs[number - message.offset]
            self._note_value(number, function(*args, **kwargs))
        except JobCancelled:
            raise
        except BaseException as error:  # noqa: BLE001  (also SystemExit: the job ends, the worker goes on)
            self._note_failure(number, error, jobs, message.offset)
        if not self._output.intact():
            self._output.restore()
            self._seen_to.add(message.function)
        if message.once:
            self._flush()  # before the page shows another job

    def _may_stride(self, message: m.RunJobs, function: object, jobs: Jobs | DataJobs) -> bool:
        """Tell whether the next jobs may be run together: short ones, known to do nothing that must be seen to."""
        return not (
            self._always
            or message.function in self._seen_to
            or self._mean.get(message.function, 1.0) > settings.LOOK_SECONDS
            or message.timeout
            or message.memory
            or message.once
            or isinstance(function, Exception)
            or not isinstance(jobs, Jobs)
            or not jobs.plain
        )

    def _run_stride(self, first: int, stop: int, function: Callable[..., Any], jobs: Jobs, message: m.RunJobs) -> int:
        """Run very short jobs together; return the next one's number. See `worker.stride`."""
        stride = self._stride
        calls = jobs.calls(first - message.offset, stop - message.offset)
        self._output.halt.clear()
        try:
            stride.mean = self._mean[message.function]
            self.inside = True
            value = stride.run(function, calls, first, bare=jobs.bare)
            self.inside = False  # no interrupt is to come in the middle of what follows
            self._collect()
            if value is not NOTHING:
                self._seen_to.add(message.function)
                self.inside = True  # a value's own code runs when it is pickled
                self._note_value(self._page.words[JOB], value)
        except JobCancelled:
            raise
        except BaseException as error:  # noqa: BLE001  (see `_run_one`)
            self.inside = False
            self._collect()
            self._note_failure(self._page.words[JOB], error, jobs, message.offset)
        self._mean[message.function] = stride.mean
        if not self._output.intact():
            self._output.restore()
            self._seen_to.add(message.function)
        return self._page.words[JOB] + 1

    def _collect(self) -> None:
        """Take over what the stride that runs has returned so far."""
        with self._lock:
            self._stride.take(self._pending.values, self._pending.seconds)

    # --- outcomes ------------------------------------------------------------------------------------------

    def _pickled(self, value: Any, number: int) -> tuple[bytes, Beside, int]:
        """Return a value as it travels, and its bytes in all; raises UnpicklableError, PayloadTooLargeError."""
        label, beside = f"the value of job {number}", Beside()
        data = plain_data.dumps(value, label) if self._plain else payload.dumps(value, label, beside)
        if (size := len(data) + beside.size) > settings.MAX_FRAME_BYTES:
            raise too_large(label, size)
        return data, beside, size

    def _note_value(self, number: int, value: Any) -> None:
        """Note what a job returned; raises what prevents that from travelling."""
        pickled = None if type(value) in SCALARS else self._pickled(value, number)
        self.inside = False
        if self._order is not None:
            raise self._order
        with self._lock:
            pending = self._pending
            seconds = (time.monotonic_ns() - self._page.words[STARTED]) / 1e9
            pending.seconds.append(seconds)
            mean = self._mean.get(self._function, seconds)
            self._mean[self._function] = mean + (seconds - mean) * settings.STRIDE_TRUST
            if pickled is None:
                pending.values.append(value)
                if type(value) in _SIZED:
                    self._bytes += len(value)
            else:
                data, beside, size = pickled
                pending.put(number - self._first, data, beside)
                self._bytes += size
            if self._always or seconds >= _LOOK or self._output.printed:
                self._take_output(number)
            if pickled is not None and beside.views:
                self._flush()  # the next job may change what the value is part of

    def _take_output(self, number: int) -> None:
        """Note what a job printed, if it did; see `worker.output`. Under the lock."""
        output, self._looked_at = self._output, number
        if not output.printed:
            if not output.grown():
                return
            self._writers.add(self._function)
            self._always = True
        index = number - self._first
        name = f"{self._lease}-{number}-{os.getpid()}"
        self._pending.outputs[index], file = output.take(name)
        if file:
            self._pending.files[index] = file

    def _take_rest(self) -> None:
        """Note what jobs that were not looked at wrote beside Python, as the last one's. Under the lock."""
        count = len(self._pending.values)
        last = self._first + count - 1
        if count and not self.inside and last != self._looked_at:
            self._take_output(last)

    def _note_failure(self, number: int, error: BaseException, jobs: Jobs | DataJobs, offset: int) -> None:
        self.inside = False
        if self._order is not None:
            raise self._order
        raised = describe(error)
        raised.arguments = _arguments(jobs, number - offset)
        with self._lock:
            self._pending.seconds.append((time.monotonic_ns() - self._page.words[STARTED]) / 1e9)
            if len(self._errors) < settings.ERRORS_IN_A_REPORT:
                self._errors.append(brief.error(raised.type_name, raised.said))
            index = number - self._first
            self._pending.raised[index] = raised
            self._pending.values.append(None)
            self._failed.append(number)
            self._bytes += len(raised.traceback)
            self._take_output(number)

    def _interrupted(self, order: JobCancelled, message: m.RunJobs) -> int:
        """Note the job that was interrupted; return the next one's number."""
        self._order = None
        number = self._page.words[JOB]
        self._collect()
        if number < self._first + len(self._pending.values):
            return number + 1  # it had ended in that instant
        self._note_failure(
            number, _overstepped(order, number, message), self._segments[message.segment], message.offset
        )
        return number + 1

    def _flush(self, *, ended: bool = False) -> None:
        """Tell what is pending; with `ended`, also that the lease is over."""
        with self._lock:
            self._collect()
            self._take_rest()
            outcomes, failed, count = self._pending, tuple(self._failed), len(self._pending.values)
            now = time.monotonic_ns()
            first, seconds = self._first, (now - self._told) / 1e9
            errors = tuple(self._errors)
            self._pending, self._failed, self._errors, self._bytes = Outcomes(), [], [], 0
            self._first, self._told = first + count, now
            if count:
                report = m.Report(self._lease, first, first + count, failed, errors, seconds, ended)
                self._send(report, data_calls.dump_outcomes(outcomes) if self._plain else outcomes.dump())
            elif ended:
                self._send(m.Report(self._lease, first, first, (), (), 0.0, ended=True))

    def _tick(self) -> None:
        """Tell finished jobs while a long one runs; leave when the supervisor is gone."""
        idle = 0
        while True:
            if idle > settings.TICKS_IDLE:
                self._ticking.clear()
                if not self._busy:  # looked at after that: who begins a lease looks the other way round
                    self._ticking.wait()
                idle = 0
            time.sleep(settings.TICK_SECONDS)
            if os.getppid() != self._supervisor:
                os._exit(1)
            if not self._busy:
                idle += 1
                continue
            idle = 0
            with self._lock:
                self._output.pass_on()
                self.look_at_modules()
                self._collect()
                if not self.inside:
                    continue  # between jobs, where the main thread tells by itself: with the lease's end in one report
                if self._pending.values and time.monotonic_ns() - self._told > settings.FLUSH_SECONDS * 1e9:
                    self._flush()


def _overstepped(order: JobCancelled, number: int, message: m.RunJobs) -> BaseException:
    """Return what an interrupted job ends with."""
    if order.why == WHY_CANCEL:
        return order
    if order.why == WHY_TIMEOUT:
        error: DsageError = JobTimeout(f"Job {number} overstepped {time_limit(int(message.timeout * 1e9))}.")
    else:
        error = JobMemoryError(f"Job {number} overstepped {memory_limit(message.memory)}.")
    return error.with_traceback(_own_lines(order.__traceback__))


def _own_lines(frames: TracebackType | None) -> TracebackType | None:
    """Cut the lines of this package off the end of a traceback: the handler's are not the job's."""
    last = at = frames
    while at is not None:
        if at.tb_frame.f_globals.get("__package__") != __package__:
            last = at
        at = at.tb_next
    if last is not None:
        last.tb_next = None
    return frames


def _arguments(jobs: Jobs | DataJobs, index: int) -> str:
    """Return a job's arguments as a short text; empty where they cannot be read."""
    try:
        return brief.call(*jobs[index])
    except BaseException:  # noqa: BLE001  (a user's class may raise anything when it is read)
        return ""
