"""Outcomes of a lease's jobs: each noted once, gathered, and sent to the child.

Used by the worker's main thread, which runs the jobs, and by its ticker, under one lock. A report that cannot be made
or sent (no memory for a copy of a large value) is sent job by job; the job that prevents it ends with that error.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from jupyter_dsage import clock, settings
from jupyter_dsage.wire import brief, data_calls
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire.payload import Outcomes
from jupyter_dsage.worker.failure import describe
from jupyter_dsage.worker.page import JOB, STARTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.wire.buffers import Beside
    from jupyter_dsage.wire.payload import Frame
    from jupyter_dsage.wire.raised import Raised
    from jupyter_dsage.worker.forks import Forks
    from jupyter_dsage.worker.output import Output
    from jupyter_dsage.worker.page import Page
    from jupyter_dsage.worker.stride import Stride

_SIZED = frozenset({bytes, str})
"""Scalars that may be large."""
_LOOK = settings.LOOK_SECONDS


class Reporter:
    """The outcomes of one worker that were not sent yet. `stride`: holds those of the jobs that run together now."""

    def __init__(self, page: Page, output: Output, send: Callable[..., None], stride: Stride, forks: Forks) -> None:
        self._page = page
        self._output = output
        self._send = send
        self._stride = stride
        self._forks = forks
        self.lock = threading.RLock()
        self.inside = False
        """Whether a job's own code runs now: what it prints meanwhile is not taken for another's."""
        self._lease = 0
        self._function = ""
        self._plain = False
        """Whether the jobs call a service: then their outcomes are plain data."""
        self._first = 0
        """The first job that is not sent yet."""
        self._pending = Outcomes()
        self._failed: list[int] = []
        self._errors: list[str] = []
        """The first few of them in words."""
        self._bytes = 0
        self._told = 0
        """When outcomes were sent last, or the lease began (monotonic, ns)."""
        self._writers: set[str] = set()
        """Functions that were seen to write beside Python: after each job of theirs the output is looked at."""
        self._looks: dict[str, int] = {}
        """Function -> how many jobs were looked at however short they were."""
        self.always = False
        """Whether the output is looked at after each job of the lease that runs; see `worker.output`."""
        self._looked_at = -1
        """The job of this lease after which the output was looked at last."""
        self.mean: dict[str, float] = {}
        """Function -> about how long its last jobs took (seconds)."""

    def begin(self, message: m.RunJobs, *, plain: bool) -> None:
        """Begin a lease."""
        self._lease, self._first, self._function = message.lease, message.first, message.function
        self._plain = plain
        looked = self._looks.get(message.function, 0)
        self.always = message.function in self._writers or looked < settings.LOOK_JOBS
        self._looks[message.function] = looked + message.stop - message.first
        self._told, self._looked_at = clock.monotonic_ns(), -1

    def not_work(self, nanoseconds: int) -> None:
        """Leave so much time out of what the lease's jobs took: the child learns from that how long leases may be."""
        self._told += nanoseconds

    def due(self, now: int, patience: float) -> bool:
        """Tell whether outcomes are to be sent before the next job: after so long (ns), or because they are large."""
        return now - self._told > patience or self._bytes > settings.FLUSH_BYTES

    # --- noting --------------------------------------------------------------------------------------------

    def noted(self, number: int) -> bool:
        """Tell whether a job of this lease has an outcome already; ValueError if one before it has none."""
        behind = number - self._first - len(self._pending.values)
        if behind > 0:
            raise ValueError(f"job {number} has ended before the {behind} before it")
        return behind < 0

    def note_value(self, number: int, value: Any, pickled: tuple[bytes, Beside, int] | None) -> None:
        """Note what a job returned: itself where that is a scalar, else its pickle and how large that is."""
        with self.lock:
            if self.noted(number):
                return
            pending = self._pending
            seconds = (clock.monotonic_ns() - self._page.words[STARTED]) / 1e9
            pending.seconds.append(seconds)
            mean = self.mean.get(self._function, seconds)
            self.mean[self._function] = mean + (seconds - mean) * settings.STRIDE_TRUST
            if pickled is None:
                pending.values.append(value)
                if type(value) in _SIZED:
                    self._bytes += len(value)
            else:
                data, beside, size = pickled
                pending.put(number - self._first, data, beside)
                self._bytes += size
            if self.always or seconds >= _LOOK or self._output.printed:
                self._forks.leave_copy()
                self._take_output(number)
            if pickled is not None and beside.views:
                self.flush()  # the next job may change what the value is part of

    def note_failure(self, number: int, raised: Raised) -> None:
        """Note what a job raised; of a job that has an outcome already, nothing."""
        self._forks.leave_copy()  # what described the exception, or showed the arguments, is code of the user's too
        with self.lock:
            if self.noted(number):
                return
            self._pending.seconds.append((clock.monotonic_ns() - self._page.words[STARTED]) / 1e9)
            self._pending.raised[number - self._first] = raised
            self._pending.values.append(None)
            self._count(number, raised)
            self._take_output(number)

    def _count(self, number: int, raised: Raised) -> None:
        self._failed.append(number)
        self._bytes += len(raised.traceback)
        if len(self._errors) < settings.ERRORS_IN_A_REPORT:
            self._errors.append(brief.error(raised.type_name, raised.said))

    def collect(self) -> None:
        """Take over what the stride that runs has returned so far."""
        with self.lock:
            self._stride.take(self._pending.values, self._pending.seconds)

    # --- output --------------------------------------------------------------------------------------------

    def _take_output(self, number: int) -> None:
        """Note what a job printed, if it did; see `worker.output`. Under the lock."""
        try:
            self._take_printed(number)
        except OSError:  # the job has closed the file, or put another in its place: most likely the socket too
            if not self.inside:
                self._page.words[JOB] = number  # the page may show the next job already, which has not begun
            self._output.leave()

    def _take_printed(self, number: int) -> None:
        output, self._looked_at = self._output, number
        if not output.printed:
            if not output.grown():
                return
            self._writers.add(self._function)
            self.always = True
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

    # --- sending -------------------------------------------------------------------------------------------

    def flush(self, *, ended: bool = False) -> None:
        """Send what is pending; with `ended`, also that the lease is over."""
        self._forks.leave_copy()
        with self.lock:
            self.collect()
            self._take_rest()
            outcomes, failed, errors = self._pending, self._failed, self._errors
            now, first, count = clock.monotonic_ns(), self._first, len(outcomes.values)
            seconds = max(0, now - self._told) / 1e9
            self._pending, self._failed, self._errors, self._bytes = Outcomes(), [], [], 0
            self._first, self._told = first + count, now
            if count:
                report = m.Report(self._lease, first, first + count, tuple(failed), tuple(errors), seconds, ended)
                try:
                    self._send(report, self._dumped(outcomes))
                except Exception:  # noqa: BLE001  (no memory, no room, no descriptor: what can be sent by itself, is)
                    self._send_each(report, outcomes)
            elif ended:
                self._send(m.Report(self._lease, first, first, (), (), 0.0, ended=True))

    def tell_while_running(self) -> None:
        """Send what has waited for long, while another job runs; called by the ticker, under the lock."""
        self.collect()
        if not self.inside:
            return  # between jobs, where the main thread sends by itself: with the lease's end in one report
        if self._pending.values and self.due(clock.monotonic_ns(), settings.FLUSH_SECONDS * 1e9):
            self.flush()

    def _dumped(self, outcomes: Outcomes) -> Frame:
        return data_calls.dump_outcomes(outcomes) if self._plain else outcomes.dump()

    def _send_each(self, report: m.Report, outcomes: Outcomes) -> None:
        """Send a report that could not be sent, job by job; what prevents one is that job's outcome.

        Raises what prevents even that: then this worker is of no use.
        """
        count = report.stop - report.first
        for index in range(count):
            number, ended = report.first + index, report.ended and index == count - 1
            failed = (number,) if number in report.failed else ()
            one = m.Report(report.lease, number, number + 1, failed, (), report.seconds / count, ended)
            try:
                self._send(one, self._dumped(outcomes.alone(index)))
            except Exception as error:  # noqa: BLE001  (see `flush`)
                raised = describe(_unsent(error, number))
                said = (brief.error(raised.type_name, raised.said),)
                one = m.Report(report.lease, number, number + 1, (number,), said, report.seconds / count, ended)
                failure = Outcomes()
                failure.values.append(None)
                failure.raised[0] = raised
                failure.seconds.append(outcomes.seconds[index])
                self._send(one, self._dumped(failure))


def _unsent(error: Exception, number: int) -> Exception:
    """Return what a job ends with whose outcome could not be sent."""
    if isinstance(error, MemoryError):
        return MemoryError(
            f"What job {number} returned could not be sent: its worker had no memory left for the copy that travels. "
            "Return less, or write it to a file and return the file's name."
        )
    return OSError(f"What job {number} returned could not be sent: {type(error).__name__}: {error}")
