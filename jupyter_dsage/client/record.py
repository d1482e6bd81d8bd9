"""What has ended in a batch, and how: the client's record of outcomes, decoded when someone looks.

One entry a run of jobs, sorted by job. The payload of a chunk is unpickled on the first look at one of its jobs,
a value that is not a scalar on the first look at that job.
"""

from __future__ import annotations

import builtins
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakValueDictionary, ref

from jupyter_dsage import errors, settings
from jupyter_dsage.core.ranges import Ranges, Run
from jupyter_dsage.errors import JobExitedError, JournalError, RemoteError, RemoteTraceback
from jupyter_dsage.wire import data as plain_data
from jupyter_dsage.wire import data_calls, payload, segments
from jupyter_dsage.wire.twice import FailedTwiceError, twice

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.client.job import Job
    from jupyter_dsage.client.shelf import Shelf
    from jupyter_dsage.wire.buffers import Buffers
    from jupyter_dsage.wire.raised import Raised

Ending = tuple[Any, BaseException | None]
"""A job's value, and its exception (None: the value counts)."""


class Holder(Protocol):
    """Knows how some jobs ended."""

    state: str
    """``"told"`` by a worker, ``"lost"``, ``"failed"`` (it overstepped a limit) or ``"cancelled"``."""
    row: int
    """The row of the journal that says so, 0 if there is none: later ends have higher ones."""

    @property
    def large(self) -> bool:
        """Whether its values lie in a memory segment that has not been looked at."""

    @property
    def unread(self) -> int:
        """Bytes of its payload, about, that have not been looked at."""

    def ending(self, job: int) -> Ending:
        """Return how one of its jobs ended."""

    def output(self, job: int) -> str:
        """Return the end of what the job printed."""

    def scalars(self, first: int, stop: int) -> list[Any] | None:
        """Return the values of a run of its jobs if none needs a closer look, else None."""


class Chunk:
    """The outcomes of jobs from `first` on, as one payload; `plain`: of a service, so nothing in it is unpickled."""

    __slots__ = (
        "__weakref__",
        "_endings",
        "_first",
        "_keepers",
        "_lent",
        "_outcomes",
        "_plain",
        "_read",
        "_shelf",
        "attempts",
        "data",
        "row",
        "state",
        "worker",
    )

    def __init__(
        self,
        first: int,
        data: payload.Frame | None,
        worker: int = 0,
        attempts: dict[int, int] | None = None,
        *,
        plain: bool = False,
        row: int = 0,
        shelf: Shelf | None = None,
    ) -> None:
        self._plain = plain
        self.worker = worker
        self.attempts = attempts or {}
        self.state = "told"
        self._first = first
        self.data = data
        """The payload, until somebody looks, or until the shelf has put it away."""
        self.row = row
        """Its row in the journal, 0 if it has none; below 0: its place in the shelf's file."""
        self._shelf = shelf
        self._outcomes: payload.Outcomes | None = None
        self._endings: dict[int, Ending] = {}
        self._lent: WeakValueDictionary[int, Any] | None = None
        """Large values that the journal has too: they are here for as long as somebody holds them."""
        self._read: set[int] = set()
        """Jobs, counted from the first, whose ending was made."""
        self._keepers: dict[int, ref[Job]] = {}
        """Those of them whose ending is kept by their `Job` alone."""

    def _loaded(self) -> payload.Outcomes:
        data = self.data  # before `_outcomes`: another thread that reads it sets that, and then lets go of this
        outcomes = self._outcomes
        if outcomes is None:
            if data is None and self._shelf is not None:
                data = self._shelf.payload(self)
            if data is None:
                raise RuntimeError("a chunk without data")
            outcomes = self._outcomes = self._read_all(
                data
            )  # before the payload goes: an interrupt may come in between
            if self._shelf is not None:
                self._shelf.looked_at(self)
            self.data = None
        return outcomes

    def _read_all(self, data: payload.Frame) -> payload.Outcomes:
        return data_calls.load_outcomes(data) if self._plain else payload.Outcomes.load(data)

    @property
    def large(self) -> bool:
        """See `Holder`."""
        return segments.of(self.data) is not None

    @property
    def unread(self) -> int:
        """See `Holder`."""
        if (data := self.data) is not None:
            return memoryview(data).nbytes
        return 0 if self._outcomes is not None else settings.UNSENT_PAYLOAD_BYTES  # left in the journal: more than that

    def seconds(self, job: int) -> float:
        """Return how long a job took."""
        return self._loaded().seconds[job - self._first]

    def raised(self, job: int) -> Raised | None:
        """Return the texts of a job's exception, or None if it returned a value."""
        return self._loaded().raised.get(job - self._first)

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
        buffers = outcomes.buffers  # before it is asked what is known: a thread that has read all lets go of them then
        known = self._known(index, job)
        if known is not None:
            return known
        ending = (None, exception(raised)) if raised else self._value(outcomes, buffers, index, job)
        if not (outcomes.is_large(index) and self._lend(index, ending[0])):
            ending = self._endings.setdefault(index, ending)
        self._read.add(index)
        if outcomes.each and len(self._read) == len(outcomes.each) + len(outcomes.raised):
            outcomes.drop_buffers()  # each value has its own from now on
        return ending

    def _known(self, index: int, job: int) -> Ending | None:
        """Return an ending that was made before and is held by somebody."""
        known = self._endings.get(index)
        if known is not None:
            return known
        if index in self._keepers:
            keeper = self._keepers[index]()
            if keeper is not None and keeper.handed is not None:
                return keeper.handed
            return None, JournalError(
                f"Job {job} returned a large value, which was read and which nobody holds any more: keep the job, or "
                "its value, or have a journal (this session was started without)."
            )
        lent = self._lent.get(index) if self._lent else None
        return None if lent is None else (lent, None)

    def hand_over(self, job: Job) -> bool:
        """Leave a large value that was read to its `Job` alone, if no journal has it; return whether that is so."""
        index = job.index - self._first
        ending = self._endings.get(index)
        if self.row > 0 or ending is None or not self._loaded().is_large(index):
            return False
        job.handed = job.handed or ending  # of two threads that read it the first one's counts
        self._keepers[index] = ref(job)
        self._endings.pop(index, None)  # last: an interrupt may come in between
        return True

    def _lend(self, index: int, value: Any) -> bool:
        """Keep a value only for as long as somebody holds it, if it can be read again; return whether that is so."""
        if self._lent is None:
            if self._shelf is None or not self._shelf.lends(self):  # asked once: it takes note of that
                return False
            self._lent = WeakValueDictionary()
        try:
            self._lent[index] = value
        except TypeError:  # one of those that nothing can refer to weakly
            return False
        return True

    def _value(self, outcomes: payload.Outcomes, buffers: Buffers | None, index: int, job: int) -> Ending:
        if buffers is None and self._shelf is not None:
            buffers = outcomes.use_buffers(self._shelf.again(self))
        read = plain_data.loads if self._plain else None
        try:
            return twice(lambda: read(outcomes.each[index]) if read else outcomes.read(index, buffers)), None  # type: ignore[arg-type]
        except FailedTwiceError as unreadable:
            error = unreadable.__cause__
            shown = _shown(error)
            text = f"The value of job {job} cannot be read here: {shown}"
            return None, RemoteError(text, type(error).__name__, shown)

    def output(self, job: int) -> str:
        """See `Holder`."""
        return self._loaded().outputs.get(job - self._first, "")

    def output_file(self, job: int) -> str | None:
        """Return the file with the whole of what a job printed, if that is more."""
        return self._loaded().files.get(job - self._first)


def _shown(error: BaseException | None) -> str:
    try:
        return repr(error)
    except Exception:  # noqa: BLE001  (it is the user's class)
        return f"<{type(error).__name__} whose repr fails>"


def exception(raised: Raised) -> BaseException:
    """Return the exception of a job as the kernel raises it, its traceback at the worker as its cause."""
    error: BaseException | None = None
    if raised.kind == "exit":
        error = JobExitedError(f"The job raised {raised.text}.", raised.type_name, raised.text, raised.traceback)
    elif raised.data is not None:
        data = raised.data
        try:
            error = twice(lambda: payload.loads(data))
        except FailedTwiceError:  # its class is not the same here: its texts tell the story
            error = None
    else:
        error = _builtin(raised)
    if not isinstance(error, BaseException):
        text = f"{raised.type_name}: {raised.text}"
        error = RemoteError(text, raised.type_name, raised.text, raised.traceback)
    # A user's exception may refuse to be changed, as a frozen dataclass does.
    BaseException.__setattr__(error, "__cause__", RemoteTraceback(raised.traceback))
    return error


def _builtin(raised: Raised) -> BaseException | None:
    """Return an exception that came as texts anew if it is one of Python's or ours that is made from its sentence."""
    ours = raised.type_name.removeprefix("jupyter_dsage.errors.")
    kind = getattr(builtins, raised.type_name, None) or getattr(errors, ours, None)
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        return None
    try:
        made = kind(raised.said)
    except TypeError:  # one that wants more than a sentence
        return None
    return made if str(made) == raised.said else None


class Ended:
    """Jobs that all ended in the same way, without a payload: lost, cancelled, gone with the session."""

    __slots__ = ("_made", "_make", "row", "state")

    large = False
    unread = 0
    """See `Holder`."""

    def __init__(self, make: Callable[[int], BaseException], state: str, row: int = 0) -> None:
        self._make = make
        self._made: dict[int, BaseException] = {}
        self.state = state
        self.row = row

    def ending(self, job: int) -> Ending:
        """See `Holder`."""
        made = self._made.get(job)
        return None, made if made is not None else self._made.setdefault(job, self._make(job))

    def output(self, job: int) -> str:  # noqa: ARG002
        """See `Holder`."""
        return ""

    def scalars(self, first: int, stop: int) -> list[Any] | None:  # noqa: ARG002
        """See `Holder`."""
        return None


class Record:
    """Job -> how it ended, for the jobs that have; `ended` is the set of them."""

    __slots__ = ("_ends", "_firsts", "ended")

    def __init__(self) -> None:
        self.ended = Ranges()
        self._firsts: list[int] = []
        self._ends: list[tuple[int, Holder]] = []
        """For each run of jobs that ended together: where it stops, and who knows how."""

    def add(self, first: int, stop: int, holder: Holder) -> list[Run]:
        """Note that jobs ended; those that had ended before are left alone. Return the runs that are new."""
        fresh = Ranges([(first, stop)])
        for a, b in self.ended.overlap(first, stop):
            fresh.remove(a, b)
        new = list(fresh)
        for a, b in new:
            self.ended.add(a, b)
            at = bisect_right(self._firsts, a)
            self._firsts.insert(at, a)
            self._ends.insert(at, (b, holder))
        return new

    def forget(self, job: int) -> None:
        """Make a job open again: it is retried."""
        if job not in self.ended:
            return
        self.ended.remove(job, job + 1)
        at = bisect_right(self._firsts, job) - 1
        stop, holder = self._ends[at]
        rest = [(a, b) for a, b in ((self._firsts[at], job), (job + 1, stop)) if a < b]
        self._firsts[at : at + 1] = [a for a, _ in rest]
        self._ends[at : at + 1] = [(b, holder) for _, b in rest]

    def walk(self, stop: int, first: int = 0) -> list[tuple[int, int, Holder]]:
        """Return the runs of ended jobs from `first` on, below `stop`, in order, each with who knows how it ended."""
        begin, last = max(0, bisect_right(self._firsts, first) - 1), bisect_left(self._firsts, stop)
        runs = zip(self._firsts[begin:last], self._ends[begin:last], strict=True)
        return [(max(a, first), min(end, stop), holder) for a, (end, holder) in runs if end > first]

    def run_of(self, job: int) -> Run:
        """Return the run of jobs with which an ended job ended."""
        at = bisect_right(self._firsts, job) - 1
        return self._firsts[at], self._ends[at][0]

    def find(self, job: int) -> Holder | None:
        """Return who knows how a job ended, or None if it has not."""
        at = bisect_right(self._firsts, job) - 1
        if at >= 0 and job < self._ends[at][0]:
            return self._ends[at][1]
        return None
