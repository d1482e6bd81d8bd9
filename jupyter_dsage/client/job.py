"""`Job`: a ``concurrent.futures.Future`` made when someone looks, whose state is made when someone waits.

A stdlib Future costs 5.7 us and 1.6 KB, mostly its condition and lists. A `Job` has none of them until they are
touched: its batch knows whether it has ended and how. ``concurrent.futures.wait``, ``as_completed`` and
``asyncio.wrap_future`` read ``_condition``, ``_state`` and ``_waiters``; on the first such read they come into
being, and from then on the job is a Future like any other.
"""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Future
from concurrent.futures._base import CANCELLED_AND_NOTIFIED, FINISHED, PENDING
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_dsage.client.ledger import Ledger
    from jupyter_dsage.client.record import Ending, Holder

_STATE = frozenset({"_condition", "_state", "_waiters", "_done_callbacks"})
_ENDING = frozenset({"_result", "_exception"})


class Job(Future[Any]):
    """One call with its arguments, and its outcome when there is one. `index`: its place in the batch."""

    kept: Holder | None = None
    """How it ended, once a retry has put a new `Job` in its place."""

    handed: Ending | None = None
    """How it ended, where it alone keeps that: a large value of a single job, which no journal has."""

    def __init__(self, ledger: Ledger, index: int) -> None:  # Future's own __init__ would make what it is to save
        self._ledger = ledger
        self.index = index

    def __getattr__(self, name: str) -> Any:
        if name in _STATE:
            self._ledger.materialise(self)
        elif name in _ENDING:
            self._result, self._exception = self._ledger.ending(self)
        else:
            raise AttributeError(f"a Job has no attribute {name!r}")
        return self.__dict__[name]

    # --- for the ledger, under its lock -----------------------------------------------------------------

    @property
    def materialised(self) -> bool:
        """Whether the Future's own state exists."""
        return "_condition" in self.__dict__

    def make_state(self, *, ended: bool, cancelled: bool) -> None:
        """Bring the Future's state into being."""
        self._state = (CANCELLED_AND_NOTIFIED if cancelled else FINISHED) if ended else PENDING
        self._waiters: list[Any] = []
        self._done_callbacks: list[Any] = []
        self._condition = threading.Condition()

    def settle(self, *, cancelled: bool, raised: bool) -> None:
        """Tell waiters and callbacks that the job has ended; called without the batch's lock."""
        with self._condition:
            self._state = CANCELLED_AND_NOTIFIED if cancelled else FINISHED
            for waiter in self._waiters:
                if cancelled:
                    waiter.add_cancelled(self)
                elif raised:
                    waiter.add_exception(self)
                else:
                    waiter.add_result(self)
            self._condition.notify_all()
        self._invoke_callbacks()

    # --- what people call ----------------------------------------------------------------------------------

    def cancel(self) -> bool:
        """Cancel the job, also while it runs; False if it had ended before.

        A running job is interrupted, and its worker killed if it does not heed that within a second.
        """
        return self._ledger.cancel_job(self)

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
            raise error
        return value

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the job's exception, or None if it returned a value; raises as `result` but for that."""
        _, error = self._wait(timeout)
        if isinstance(error, CancelledError):
            raise error
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
        raise TypeError("A Job belongs to this process and cannot be pickled: pass its result instead.")
