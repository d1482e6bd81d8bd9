"""What has ended in a batch, and how: the client's record of outcomes, decoded when someone looks.

One entry a run of jobs, sorted by job. The payload of a chunk is unpickled on the first look at one of its jobs,
a value that is not a scalar on the first look at that job.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_dsage.core.ranges import Ranges, Run
from jupyter_dsage.errors import JobExitedError, RemoteError, RemoteTraceback
from jupyter_dsage.wire import payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Ending = tuple[Any, BaseException | None]
"""A job's value, and its exception (None: the value counts)."""


class Holder(Protocol):
    """Knows how some jobs ended."""

    state: str
    """``"told"`` by a worker, ``"lost"`` or ``"cancelled"``."""

    def ending(self, job: int) -> Ending:
        """Return how one of its jobs ended."""

    def output(self, job: int) -> str:
        """Return the end of what the job printed."""

    def scalars(self, first: int, stop: int) -> list[Any] | None:
        """Return the values of a run of its jobs if none needs a closer look, else None."""


class Chunk:
    """The outcomes of jobs from `first` on, as one payload."""

    __slots__ = ("_data", "_endings", "_first", "_outcomes", "state")

    def __init__(self, first: int, data: payload.Frame) -> None:
        self.state = "told"
        self._first = first
        self._data: payload.Frame | None = data
        self._outcomes: payload.Outcomes | None = None
        self._endings: dict[int, Ending] = {}

    def _loaded(self) -> payload.Outcomes:
        if self._outcomes is None:
            if self._data is None:
                raise RuntimeError("a chunk without data")
            self._outcomes = payload.Outcomes.load(self._data)
            self._data = None
        return self._outcomes

    def scalars(self, first: int, stop: int) -> list[Any] | None:
        """See `Holder`."""
        outcomes = self._loaded()
        if outcomes.raised or outcomes.each:
            return None
        return outcomes.values[first - self._first : stop - self._first]

    def ending(self, job: int) -> Ending:
        """See `Holder`."""
        outcomes, index = self._loaded(), job - self._first
        raised = outcomes.raised.get(index)
        if raised is None and index not in outcomes.each:
            return outcomes.values[index], None
        if index not in self._endings:
            self._endings[index] = (None, exception(raised)) if raised else _read(outcomes.each[index], job)
        return self._endings[index]

    def output(self, job: int) -> str:
        """See `Holder`."""
        return self._loaded().outputs.get(job - self._first, "")


def _read(data: bytes, job: int) -> Ending:
    try:
        return payload.loads(data), None
    except Exception as error:  # noqa: BLE001  (a user's class may raise anything when it is read)
        text = f"The value of job {job} cannot be read here: {type(error).__name__}: {error}"
        return None, RemoteError(text, type(error).__name__, repr(error))


def exception(raised: payload.Raised) -> BaseException:
    """Return the exception of a job as the kernel raises it, its traceback at the worker as its cause."""
    error: BaseException | None = None
    if raised.kind == "exit":
        error = JobExitedError(f"The job raised {raised.text}.", raised.type_name, raised.text, raised.traceback)
    elif raised.data is not None:
        try:
            error = payload.loads(raised.data)
        except Exception:  # noqa: BLE001  (its class is not the same here: its texts tell the story)
            error = None
    if error is None:
        text = f"{raised.type_name}: {raised.text}"
        error = RemoteError(text, raised.type_name, raised.text, raised.traceback)
    error.__cause__ = RemoteTraceback(raised.traceback)
    return error


class Ended:
    """Jobs that all ended in the same way, without a payload: lost, cancelled, gone with the session."""

    __slots__ = ("_make", "state")

    def __init__(self, make: Callable[[int], BaseException], state: str) -> None:
        self._make = make
        self.state = state

    def ending(self, job: int) -> Ending:
        """See `Holder`."""
        return None, self._make(job)

    def output(self, job: int) -> str:  # noqa: ARG002
        """See `Holder`."""
        return ""

    def scalars(self, first: int, stop: int) -> list[Any] | None:  # noqa: ARG002
        """See `Holder`."""
        return None


class Record:
    """Job -> how it ended, for the jobs that have; `ended` is the set of them."""

    __slots__ = ("_again", "_firsts", "_holders", "ended")

    def __init__(self) -> None:
        self.ended = Ranges()
        self._firsts: list[int] = []
        self._holders: list[tuple[int, Holder]] = []
        self._again: dict[int, Holder | None] = {}
        """Jobs that were retried: they may end twice, so they are kept by themselves."""

    def add(self, first: int, stop: int, holder: Holder) -> list[Run]:
        """Note that jobs ended; those that had ended before are left alone. Return the runs that are new."""
        new = [(first, stop)]
        if self.ended.overlap(first, stop):
            fresh = Ranges([(first, stop)])
            for a, b in self.ended.overlap(first, stop):
                fresh.remove(a, b)
            new = list(fresh)
        for a, b in new:
            self.ended.add(a, b)
            for c, d in self._without_again(a, b, holder):
                at = bisect_right(self._firsts, c)
                self._firsts.insert(at, c)
                self._holders.insert(at, (d, holder))
        return new

    def _without_again(self, first: int, stop: int, holder: Holder) -> Iterable[Run]:
        """Note how retried jobs ended; return the runs of the others."""
        again = [job for job in self._again if first <= job < stop] if self._again else []
        if not again:
            return [(first, stop)]
        rest = Ranges([(first, stop)])
        for job in again:
            self._again[job] = holder
            rest.remove(job, job + 1)
        return rest

    def forget(self, job: int) -> None:
        """Make a job open again: it is retried."""
        self.ended.remove(job, job + 1)
        self._again[job] = None

    def walk(self, stop: int) -> list[tuple[int, int, Holder]]:
        """Return the runs of ended jobs below `stop`, in order, each with who knows how it ended."""
        out: list[tuple[int, int, Holder]] = []
        for first, (last, holder) in zip(self._firsts, self._holders, strict=True):
            if first < stop:
                out.append((first, min(last, stop), holder))
        if self._again:
            out = [run for run in _cut(out, self._again) if run[0] < stop]
        return out

    def find(self, job: int) -> Holder | None:
        """Return who knows how a job ended, or None if it has not."""
        if job in self._again:
            return self._again[job]
        at = bisect_right(self._firsts, job) - 1
        if at >= 0 and job < self._holders[at][0]:
            return self._holders[at][1]
        return None


def _cut(runs: list[tuple[int, int, Holder]], again: dict[int, Holder | None]) -> Iterable[tuple[int, int, Holder]]:
    """Replace retried jobs, each by itself, in a sorted list of runs."""
    out = [(job, job + 1, holder) for job, holder in again.items() if holder is not None]
    for first, stop, holder in runs:
        rest = Ranges([(first, stop)])
        for job in again:
            rest.remove(job, job + 1)
        out += [(a, b, holder) for a, b in rest]
    return sorted(out, key=lambda run: run[0])
