"""Runs a lease: loads what it needs, and runs its jobs one after another; their outcomes go to `worker.reporter`.

The main thread runs jobs. A second thread, the ticker, tells finished jobs when the next one takes long, and
ends the process when its supervisor is gone. Both send under one lock.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from os import getppid  # bound now: a job may patch `os`
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from jupyter_dsage import clock, settings
from jupyter_dsage.errors import DsageError, JobMemoryError, JobTimeout
from jupyter_dsage.wire import brief, payload
from jupyter_dsage.wire import data as plain_data
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire.buffers import Beside
from jupyter_dsage.wire.codec import too_large
from jupyter_dsage.wire.payload import SCALARS, Jobs
from jupyter_dsage.worker import copies
from jupyter_dsage.worker.failure import describe
from jupyter_dsage.worker.forks import Forks
from jupyter_dsage.worker.interrupt import JobCancelled
from jupyter_dsage.worker.limits import load_time_limit, memory_limit, time_limit
from jupyter_dsage.worker.loading import LoadFailure, Payloads
from jupyter_dsage.worker.logs import AsInTheNotebook
from jupyter_dsage.worker.modules import Modules
from jupyter_dsage.worker.page import (
    JOB,
    LOADS,
    LOADS_ARGUMENTS,
    LOADS_FUNCTION,
    LOADS_NOTHING,
    RECALLS,
    STARTED,
    WHY_CANCEL,
    WHY_MEMORY,
    WHY_TIMEOUT,
    Page,
)
from jupyter_dsage.worker.reporter import Reporter
from jupyter_dsage.worker.stride import NOTHING, Stride

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from jupyter_dsage.wire.data_calls import DataJobs
    from jupyter_dsage.worker.output import Output
    from jupyter_dsage.worker.process_state import ProcessState

    Function = Callable[..., Any] | LoadFailure | None
    Arguments = Jobs | DataJobs | LoadFailure | None


class Runner:
    """Runs the leases of one worker."""

    def __init__(
        self, page: Page, output: Output, send: Callable[..., None], supervisor: int, payloads: Payloads
    ) -> None:
        self._page = page
        self._output = output
        self._send = send
        self._supervisor = supervisor
        self.payloads = payloads
        self._plain = False
        """Whether the lease that runs calls a service."""
        self._modules = Modules()
        self._busy = False
        """Whether a lease runs."""
        self._ticking = threading.Event()
        """Cleared while the ticker sleeps for long, since nothing has run for a while: to wake it costs 50 us."""
        self._stride = Stride(page.words, output.halt)
        self.forks = Forks(output.halt)
        self._reporter = Reporter(page, output, send, self._stride, self.forks)
        self._seen_to: set[str] = set()
        """Functions whose jobs are seen to one by one: they print, or return what is no number."""
        self.state: ProcessState | None = None
        """What this process shares with jobs of other batches; set before the first lease."""
        self._around = AsInTheNotebook()
        self._batch: int | None = None
        """The batch of the last lease."""
        self._changers: set[str] = set()
        """Functions that were seen to change that state: it is looked at after each job of theirs."""
        self._unseen = self._unseen_all = 0
        """Work since it was looked at, quickly and in full (ns)."""
        self._first_looks: dict[str, int] = {}
        """Function -> leases after which it was looked at however short they were."""
        self._order: JobCancelled | None = None
        """What was raised in the running job to end it: a job that catches it and returns has not got away."""
        threading.Thread(target=self._tick, name="dsage-ticker", daemon=True).start()

    @property
    def inside(self) -> bool:
        """Whether a job's own code runs now: only then may the handler of SIGINT raise."""
        return self._reporter.inside

    def look_at_modules(self) -> None:
        """Tell the child of modules that were edited since they were imported here, also while nothing runs."""
        with self._reporter.lock:  # the ticker may look at the same time
            self._modules.imported()
            edited = self._modules.edited()
            if edited:
                self._send(m.Stale(edited))

    def run(self, message: m.RunJobs) -> bool:
        """Run a lease and tell its outcomes; return whether this worker is fit for more.

        After a job that took too much memory it is not: what that left behind would be charged to the next one. Nor is
        it for a lease of another batch where a job has left what cannot be put back; then it runs none of it.
        """
        if message.batch != self._batch and not self._fit_for_others():
            return False
        self._batch, began = message.batch, clock.monotonic_ns()
        if self.state is not None:
            self.state.move(*self.payloads.place(message.function))
        self._plain = self.payloads.plain(message)
        self._reporter.begin(message, plain=self._plain)
        self._page.begin(message.lease, message.first, int(message.timeout * 1e9), message.memory, message.batch)
        self.look_at_modules()
        self._surround(message.function)
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
        self._reporter.flush(ended=fit or at >= message.stop)
        if self._is_to_be_seen(clock.monotonic_ns() - began, message.function):
            self._look_at_state(message.function)
        return fit

    def _fit_for_others(self) -> bool:
        """Put back what jobs of the last batch have changed; tell whether that could be done."""
        return self.state is None or self._batch is None or self.state.look()

    def _surround(self, function: str) -> None:
        """Have a function find around it what it had in the notebook."""
        if (wanted := self.payloads.surroundings.get(function)) is not self._around.now:
            self._around.take_on(wanted, self.state)

    def _look_at_state(self, function: str) -> None:
        """Put back what the jobs that ran have changed of what they share with others."""
        if self.state is None:
            return
        if self._unseen_all > settings.STATE_ALL_SECONDS * 1e9:
            self._unseen_all = 0
            self.state.look()
        elif self.state.look_quickly():
            self._changers.add(function)
            self._seen_to.add(function)
        self._unseen = 0

    def _is_to_be_seen(self, worked: int, function: str) -> bool:
        """Count a lease's work (ns); tell whether it was so much, or the function is so little known, as to look."""
        self._unseen += worked
        self._unseen_all += worked
        looks = self._first_looks.get(function, 0)
        if looks < settings.STATE_LEASES:
            self._first_looks[function] = looks + 1
            return True
        return self._unseen > settings.STATE_SECONDS * 1e9 or function in self._changers

    def interrupt(self, why: int) -> None:
        """Raise in the running job; called by the handler of SIGINT."""
        self._reporter.inside = False
        self._order = JobCancelled(why)
        self._output.halt.append(None)
        raise self._order

    def _run_from(self, at: int, message: m.RunJobs) -> int:
        """Run jobs from `at` to the lease's end or to where it was recalled; return where that was."""
        page, words, now_ns, reporter = self._page, self._page.words, clock.monotonic_ns, self._reporter
        function, jobs = self.payloads.loaded(message)
        recalls, limit = words[RECALLS], page.limit(message.lease)
        limited = message.timeout or message.memory
        patience = (settings.FLUSH_LIMITED_SECONDS if limited else settings.FLUSH_SECONDS) * 1e9
        number, looked, state_patience = at, clock.monotonic_ns(), settings.STATE_SECONDS * 1e9
        while number < message.stop:
            stride = self._may_stride(message, function, jobs)
            words[STARTED] = now = now_ns()  # first, so that no job is ever shown with an earlier one's start
            stop = number + (self._stride.length(message.stop - number) if stride else 1)
            words[JOB] = number
            if words[RECALLS] != recalls:
                recalls, limit = words[RECALLS], page.limit(message.lease)
            if number >= limit:
                words[JOB] = number - 1
                return number
            if reporter.due(now, patience):
                reporter.flush()
            if number > at and (now - looked > state_patience or message.function in self._changers):
                self._look_at_state(message.function)
                looked = now
            if stride:
                number = self._run_stride(number, min(stop, limit), function, jobs, message)  # type: ignore[arg-type]
                continue
            if function is None or jobs is None:
                function, jobs = self._load(message)
            self._run_one(number, function, jobs, message)
            number += 1
        return message.stop

    def _load(self, message: m.RunJobs) -> tuple[Function, Arguments]:
        """Load what a lease needs, for the job that the page shows; what cannot be loaded comes as a failure."""
        words, began = self._page.words, clock.monotonic_ns()
        self._reporter.inside = True
        words[LOADS] = LOADS_FUNCTION
        function = self.payloads.load_function(message.function)
        self._surround(message.function)
        words[LOADS] = LOADS_ARGUMENTS
        jobs = self.payloads.load_jobs(message)
        self.forks.leave_copy()
        self._reporter.inside = False
        if self._order is not None:  # what was being loaded has caught it
            raise self._order
        words[STARTED] = now = clock.monotonic_ns()  # before it shows that the job runs: its own time begins here
        words[LOADS] = LOADS_NOTHING
        self._modules.imported()
        self._look_at_state(message.function)
        self._reporter.not_work(now - began)
        return function, jobs

    def _run_one(self, number: int, function: Function, jobs: Arguments, message: m.RunJobs) -> None:
        """Run one job and note what comes of it."""
        try:
            self._reporter.inside = True
            if isinstance(function, LoadFailure):
                raise function.error()  # noqa: TRY301  (its jobs end like any job that raises)
            args, kwargs = self._arguments(jobs, number - message.offset)
            self._note_value(number, function(*args, **kwargs))  # type: ignore[misc]
        except JobCancelled:
            raise
        except BaseException as error:  # noqa: BLE001  (also SystemExit: the job ends, the worker goes on)
            self._note_failure(number, error, message)
        if not self._output.intact():
            self._output.restore()
            self._seen_to.add(message.function)
        if message.once:
            self._reporter.flush()  # before the page shows another job

    def _arguments(self, jobs: Arguments, index: int) -> payload.Call:
        """Return a job's arguments, the page saying meanwhile that they are read; raises what their classes raise."""
        if isinstance(jobs, Jobs) and jobs.plain:
            return jobs[index]
        if jobs is None or isinstance(jobs, LoadFailure):
            raise jobs.error() if jobs else RuntimeError
        self._page.words[LOADS] = LOADS_ARGUMENTS
        call = jobs[index]
        self.forks.leave_marked()
        self._page.words[LOADS] = LOADS_NOTHING
        return call

    def _may_stride(self, message: m.RunJobs, function: Function, jobs: Arguments) -> bool:
        """Tell whether the next jobs may be run together: short ones, known to do nothing that must be seen to."""
        return not (
            self._reporter.always
            or message.function in self._seen_to
            or self._reporter.mean.get(message.function, 1.0) > settings.LOOK_SECONDS
            or message.timeout
            or message.memory
            or message.once
            or function is None
            or isinstance(function, LoadFailure)
            or not isinstance(jobs, Jobs)
            or not jobs.plain
        )

    def _run_stride(self, first: int, stop: int, function: Callable[..., Any], jobs: Jobs, message: m.RunJobs) -> int:
        """Run very short jobs together; return the next one's number. See `worker.stride`."""
        stride, reporter = self._stride, self._reporter
        calls = jobs.calls(first - message.offset, stop - message.offset)
        self._output.halt.clear()
        try:
            stride.mean = reporter.mean[message.function]
            reporter.inside = True
            value = stride.run(function, calls, first, bare=jobs.bare)
            self.forks.leave_marked()
            reporter.inside = False  # no interrupt is to come in the middle of what follows
            reporter.collect()
            if value is not NOTHING:
                self._seen_to.add(message.function)
                reporter.inside = True  # a value's own code runs when it is pickled
                self._note_value(self._page.words[JOB], value)
        except JobCancelled:
            raise
        except BaseException as error:  # noqa: BLE001  (see `_run_one`)
            self.forks.leave_marked(error)
            reporter.inside = False
            reporter.collect()
            self._note_failure(self._page.words[JOB], error, message)
        reporter.mean[message.function] = stride.mean
        if not self._output.intact():
            self._output.restore()
            self._seen_to.add(message.function)
        return self._page.words[JOB] + 1

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
        self.forks.leave_marked()
        pickled = None
        if type(value) not in SCALARS:
            if type(value) is CoroutineType:
                value = _awaited(value)
            pickled = self._pickled(value, number)
            self.forks.leave_marked()
        self._reporter.inside = False
        if self._order is not None:
            raise self._order
        self._reporter.note_value(number, value, pickled)

    def _note_failure(self, number: int, error: BaseException, message: m.RunJobs) -> None:
        self.forks.leave_copy(error)
        self._reporter.inside = False
        if self._order is not None:
            raise self._order
        raised = describe(error)
        if self._page.words[LOADS] == LOADS_NOTHING:  # what could not be read is not read again
            raised.arguments = _shown_arguments(*self.payloads.loaded(message), number - message.offset)
        self._page.words[LOADS] = LOADS_NOTHING
        self._reporter.note_failure(number, raised)

    def _interrupted(self, order: JobCancelled, message: m.RunJobs) -> int:
        """Note the job that was interrupted; return the next one's number."""
        self._order = None
        number = self._page.words[JOB]
        self._reporter.collect()
        if self._reporter.noted(number):
            return number + 1  # it had ended in that instant
        loads = self._page.words[LOADS] == LOADS_FUNCTION
        error = _overstepped(order, number, message, loads=loads)
        if loads and order.why == WHY_TIMEOUT:
            self.payloads.give_up_function(message.function, error)
        self._note_failure(number, error, message)
        return number + 1

    def _tick(self) -> None:
        """Tell finished jobs while a long one runs; leave when the supervisor is gone."""
        try:
            while True:
                self._tick_until_idle()
                self._ticking.clear()
                if not self._busy:  # looked at after that: who begins a lease looks the other way round
                    self._ticking.wait()
        except BaseException:  # noqa: BLE001  (without it, finished jobs would wait for ever behind one that hangs)
            traceback.print_exc(file=sys.__stderr__)
            os._exit(1)

    def _tick_until_idle(self) -> None:
        """Look now and then, until nothing has run for a while."""
        idle = 0
        while idle <= settings.TICKS_IDLE:
            clock.sleep(settings.TICK_SECONDS)
            if getppid() != self._supervisor:
                os._exit(1)
            idle = 0 if self._busy else idle + 1
            if self._busy:
                with self._reporter.lock:
                    self._output.pass_on()
                    self.look_at_modules()
                    self._reporter.tell_while_running()


def _awaited(value: CoroutineType[Any, Any, Any]) -> Any:
    """Return what an ``async def`` job returns, run on an event loop of its own."""
    import asyncio

    return asyncio.run(value)


def _overstepped(order: JobCancelled, number: int, message: m.RunJobs, *, loads: bool) -> BaseException:
    """Return what a job ends with that was interrupted, while its function was loaded or while it ran."""
    if order.why == WHY_CANCEL:
        return order
    if order.why == WHY_TIMEOUT:
        limit = (load_time_limit if loads else time_limit)(int(message.timeout * 1e9))
        error: DsageError = JobTimeout(f"Job {number} overstepped {limit}.")
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


def _shown_arguments(function: Function, jobs: Arguments, index: int) -> str:
    """Return a job's arguments as a short text, by their parameters' names; empty where they cannot be read."""
    if jobs is None or isinstance(jobs, LoadFailure):
        return ""
    try:
        return brief.call(*jobs[index], names=copies.parameters(function))
    except BaseException:  # noqa: BLE001  (a user's class may raise anything when it is read)
        return ""
