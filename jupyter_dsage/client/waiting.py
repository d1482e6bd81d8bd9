"""How a user's thread waits for the I/O thread, so that an interrupt tears nothing (P15).

An exception that a signal raises can come between any two steps of the user's thread, also between the two of
``with condition:``, which then stays locked. So the user's thread holds no lock of ours: it appends itself to a list in
one step, and blocks on a queue of its own. The I/O thread changes what is waited for, and puts into these queues.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import weakref
from typing import TYPE_CHECKING, Generic, TypeVar

from jupyter_dsage import clock
from jupyter_dsage.wire.quantities import seconds

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

LOOK_SECONDS = 0.5
"""A thread that waits looks up this often, so that what an interrupt left undone delays it no longer."""


def deadline_of(timeout: float | None, began: float | None = None) -> float | None:
    """Return the moment (monotonic seconds) that is `timeout` after `began` (None: now); raises UsageError."""
    rest = seconds(timeout)
    return None if rest is None else (clock.monotonic() if began is None else began) + rest


class _Waiter:
    """One thread that waits for a fact."""

    def __init__(self, fact: Callable[[], object]) -> None:
        self.fact = fact
        self.queue: queue.SimpleQueue[None] = queue.SimpleQueue()


class Waiters:
    """Threads that wait for facts: each is woken when its own holds, not at each change (a wake costs both 60 us)."""

    def __init__(self) -> None:
        self._waiting: list[weakref.ref[_Waiter]] = []
        """Weak, so that one whose wait was ended by an exception goes with its frame."""

    def wait(self, fact: Callable[[], object], deadline: float | None) -> bool:
        """Wait until `fact` holds, or until a moment (monotonic seconds); return whether it holds."""
        if fact():
            return True
        waiter = _Waiter(fact)
        me = weakref.ref(waiter)
        self._waiting.append(me)
        while not (held := bool(fact())):
            rest = LOOK_SECONDS if deadline is None else min(LOOK_SECONDS, deadline - clock.monotonic())
            if rest <= 0:
                break
            with contextlib.suppress(queue.Empty):
                waiter.queue.get(timeout=rest)
        self._forget(me)
        return held

    def wake(self) -> None:
        """Wake those whose fact holds; called by the thread that changed something."""
        for each in list(self._waiting):
            waiter = each()
            if waiter is None:
                self._forget(each)
            elif waiter.fact():
                waiter.queue.put(None)

    def _forget(self, waiter: weakref.ref[_Waiter]) -> None:
        with contextlib.suppress(ValueError):  # the other thread was faster
            self._waiting.remove(waiter)


class Reply(Generic[T]):
    """What the I/O thread answers once: a value, or an exception."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._value: T | None = None
        self._error: BaseException | None = None
        self.done = False
        """Whether the answer is here."""

    def set(self, value: T) -> None:
        """Answer with a value."""
        self._value = value
        self._tell()

    def fail(self, error: BaseException) -> None:
        """Answer with an exception."""
        self._error = error
        self._tell()

    def _tell(self) -> None:
        self.done = True
        self._queue.put(None)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the answer, or `timeout` seconds; return whether it is here."""
        deadline = deadline_of(timeout)
        while not self.done:
            rest = LOOK_SECONDS if deadline is None else min(LOOK_SECONDS, deadline - clock.monotonic())
            if rest <= 0:
                return False
            with contextlib.suppress(queue.Empty):
                self._queue.get(timeout=rest)
                self._queue.put(None)  # for others that wait
        return True

    def result(self, timeout: float | None = None) -> T:
        """Wait for the answer and return it; raises TimeoutError, or the exception that is the answer."""
        if not self.wait(timeout):
            raise TimeoutError(f"There was no answer within {timeout} s.")
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]


class Step(Reply[T]):
    """Something that another thread does, whole, whatever becomes of the thread that waits for it."""

    def __init__(self, do: Callable[[], T]) -> None:
        super().__init__()
        self._do = do

    def run(self) -> None:
        """Do it, and answer."""
        try:
            value = self._do()
        except BaseException as error:  # noqa: BLE001  (raised again in the thread that asked)
            self.fail(error)
        else:
            self.set(value)


class Beginning(Reply[T]):
    """Something that a thread of its own makes. `keep`: called with it when it is made; `undo`: if it was given up."""

    def __init__(self, make: Callable[[], T], keep: Callable[[T], object], undo: Callable[[T], object]) -> None:
        super().__init__()
        self._make = make
        self._keep = keep
        self._undo = undo
        self._given_up = False

    def run(self) -> None:
        """Make it, and answer."""
        try:
            made = self._make()
            if not self._given_up:
                self._keep(made)
        except BaseException as error:  # noqa: BLE001  (raised again in the thread that asked)
            self.fail(error)
            return
        self.set(made)
        if self._given_up:
            self._undo(made)

    def give_up(self) -> None:
        """Have it undone, now or when it is made: nobody takes it. It may be undone twice."""
        self._given_up = True
        if self.done and self._error is None:
            made: T = self._value  # type: ignore[assignment]
            threading.Thread(target=self._undo, args=(made,), name="dsage-undo", daemon=True).start()


def whole(make: Callable[[], T], keep: Callable[[T], object], undo: Callable[[T], object]) -> T:
    """Return what `make` returns, in a thread of its own; an interrupt meanwhile has it undone, and is raised."""
    beginning = Beginning(make, keep, undo)
    try:
        threading.Thread(target=beginning.run, name="dsage-start", daemon=True).start()
        return beginning.result()
    except BaseException:  # its own error, or an interrupt; raised again
        beginning.give_up()
        raise
