"""`Job`: a ``concurrent.futures.Future`` made when someone looks, whose state is what its batch knows.

A stdlib Future costs 5.7 us and 1.6 KB, mostly its condition and lists. A `Job` has none of them until they are
touched: its batch knows whether it has ended and how. ``concurrent.futures.wait`` and ``as_completed`` read
``_condition``, ``_state`` and ``_waiters``; these exist here without a lock, since one that an interrupt leaves held
would keep the I/O thread waiting for ever.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from concurrent.futures import CancelledError, Future
from concurrent.futures._base import CANCELLED_AND_NOTIFIED, FINISHED, PENDING
from typing import TYPE_CHECKING, Any

from jupyter_dsage.errors import SessionLost

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.client.ledger import Ledger
    from jupyter_dsage.client.record import Ending, Holder

_ENDING = frozenset({"_result", "_exception"})
_ENDS = frozenset({FINISHED, CANCELLED_AND_NOTIFIED})
log = logging.getLogger("jupyter_dsage")


class Job(Future[Any]):
    """One call with its arguments, and its outcome when there is one. `index`: its place in the batch."""

    index: int

    kept: Holder | None = None
    """How it ended, once a retry has put a new `Job` in its place."""

    handed: Ending | None = None
    """How it ended, where it alone keeps that: a large value of a single job, which no journal has."""

    def __init__(self, ledger: Ledger, index: int | None = None) -> None:
        """Make it without what Future's own ``__init__`` makes; without `index` it is numbered by the I/O thread."""
        self._ledger = ledger
        if index is not None:
            self.index = index

    def __getattr__(self, name: str) -> Any:
        made = self.__dict__
        if name in _MADE:
            return made.setdefault(name, _MADE[name](self))  # in one step: other threads may make theirs just now
        if name == "index":  # it was submitted just now
            self._ledger.owner.number_calls()
            if name not in made:
                raise SessionLost("This job was submitted just before this process was forked off: it is not here.")
        elif name in _ENDING:
            self._result, self._exception = self._ledger.ending(self)
        else:
            raise AttributeError(f"a Job has no attribute {name!r}")
        return made[name]

    # --- what the standard library reads -------------------------------------------------------------------

    @property
    def _state(self) -> str:  # type: ignore[override]
        return self._condition.seen() or self.state_now()  # type: ignore[attr-defined]

    def state_now(self) -> str:
        """Return the state in the standard library's words."""
        ended = self._ledger.has_ended(self)
        if ended is None:
            return PENDING
        return CANCELLED_AND_NOTIFIED if ended == "cancelled" else FINISHED

    def watch(self) -> bool:
        """Have `tell_ended` called at the job's end; return False if it has ended."""
        self._ledger.watched.add(self.index)
        return self.state_now() == PENDING  # if not, it stays there: another thread may have put it there too

    def tell_ended(self) -> None:
        """Tell waiters and callbacks that the job has ended, each once; mostly on the I/O thread."""
        for waiter in list(self._waiters):
            self._waiters.tell(waiter)  # type: ignore[attr-defined]
        while self._done_callbacks:
            with contextlib.suppress(IndexError):  # another thread was faster
                self._call(self._done_callbacks.pop(0))

    def _call(self, callback: Callable[[Any], object]) -> None:
        try:
            callback(self)
        except BaseException:  # whatever it raises, SystemExit too, is its own: as in concurrent.futures, it is logged
            log.exception("exception calling callback for %r", self)

    # --- what people call ----------------------------------------------------------------------------------

    def add_done_callback(self, fn: Callable[[Any], object]) -> None:
        """Have `fn` called with this job when it has ended, on the I/O thread; at once if it has.

        What it raises is logged.
        """
        callbacks = self._done_callbacks
        if self.state_now() == PENDING:
            callbacks.append(fn)
            if self.watch():
                return
            try:
                callbacks.remove(fn)
            except ValueError:  # the I/O thread has called it just now
                return
        try:
            fn(self)
        except Exception:  # as in concurrent.futures: what a callback raises is logged; an interrupt passes
            log.exception("exception calling callback for %r", self)

    def cancel(self) -> bool:
        """Cancel the job, also while it runs; False if it had ended before.

        A running job is interrupted, and its worker killed if it does not heed that within a second.
        """
        return self._ledger.owner.cancel_job(self)

    def cancelled(self) -> bool:
        """Tell whether the job was cancelled."""
        return self._ledger.has_ended(self) == "cancelled"

    def done(self) -> bool:
        """Tell whether the job has ended, in whatever way."""
        return self._ledger.has_ended(self) is not None

    def running(self) -> bool:
        """Return False: whether it runs now is known in the background process; it can be cancelled anyway."""
        return False

    def result(self, timeout: float | None = None) -> Any:
        """Return the job's value, after at most `timeout` seconds (None: no limit).

        It is the same object for as long as somebody holds it; a large array that nobody held is read anew from the
        journal, as the job returned it. Without a journal that of a `submit` is kept by this `Job` alone.

        Raises the job's own exception (its traceback at the worker attached), TimeoutError, CancelledError,
        WorkerLost, SessionLost, or JournalError where the journal was to be read and is gone, or there is none.
        """
        first, count, values = self._ledger.recent
        if 0 <= self.index - first < count and self.kept is None:  # in a loop over many: 0.2 us, 3 us otherwise
            return values[self.index - first]
        value, error = self._wait(timeout)
        if error is not None:
            raise BaseException.with_traceback(error, None)  # without the lines of who asked before
        return value

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the job's exception, or None if it returned a value; raises as `result` but for that."""
        _, error = self._wait(timeout)
        if isinstance(error, CancelledError):
            raise BaseException.with_traceback(error, None)
        return error

    def _wait(self, timeout: float | None) -> tuple[Any, BaseException | None]:
        self._ledger.wait_for_job(self, timeout)
        return self._ledger.ending(self)

    @property
    def output(self) -> str:
        """The end of what the job printed (up to 8 KB), standard output and error, also from C and from processes.

        While it runs: what it has printed so far. The whole, if that is more, is in `output_file`.
        """
        return self._ledger.output_of(self)

    @property
    def output_file(self) -> str | None:
        """Path, on the host where the job ran, of the file with all that it printed (the first 10 MB, and the end).

        None while it has not ended, and where `output` is all.
        """
        return self._ledger.output_file_of(self)

    def __repr__(self) -> str:
        state = self._ledger.has_ended(self) or "waiting"
        return f"<Job {self.index} of batch {self._ledger.name!r}: {state}>"

    def __reduce__(self) -> Any:
        raise TypeError("a Job stays in this process: pass its value, job.result()")


class _Snapshots:
    """A job's ``_condition``: while a thread holds it, that thread sees the job's state as it was then.

    That is what a lock is for here: ``concurrent.futures.wait`` counts the jobs that have not ended, and then adds its
    waiter to all of them. A thread that is interrupted before it lets go sees that state until it takes another one.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._seen: dict[int, str] = {}
        """Thread -> the state that it sees."""

    def seen(self) -> str | None:
        """Return the state that the calling thread sees, None where it holds nothing."""
        return self._seen.get(threading.get_ident())

    def acquire(self, *_: object) -> bool:
        """Take a snapshot."""
        self._seen[threading.get_ident()] = self._job.state_now()
        return True

    def release(self) -> None:
        """Let go of it."""
        self._seen.pop(threading.get_ident(), None)

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def notify_all(self) -> None:
        """Do nothing: who waits for a job waits at its ledger."""


class _Told(list[Any]):
    """A job's ``_waiters``: each is told of its end once, also one that comes when the job has just ended."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def append(self, waiter: Any) -> None:
        """Add a waiter of a thread that saw the job as pending; others have counted it as ended."""
        if self._job._state in _ENDS:  # noqa: SLF001  (as that thread sees it)
            return
        super().append(waiter)
        if not self._job.watch():
            self.tell(waiter)

    def remove(self, waiter: Any) -> None:
        """Remove a waiter, if it is there still."""
        with contextlib.suppress(ValueError):
            super().remove(waiter)

    def tell(self, waiter: Any) -> None:
        """Tell a waiter, unless another thread has."""
        try:
            super().remove(waiter)
        except ValueError:
            return
        ended = self._job._ledger.has_ended(self._job)  # noqa: SLF001
        if ended == "cancelled":
            waiter.add_cancelled(self._job)
        elif ended == "finished":
            waiter.add_result(self._job)
        else:
            waiter.add_exception(self._job)


_MADE: dict[str, Callable[[Job], object]] = {
    "_condition": _Snapshots,
    "_waiters": _Told,
    "_done_callbacks": lambda _: [],
}
"""Attributes that are made when they are touched."""
