"""The jobs of one batch: which state each is in, as one `Ranges` a state.

Used by `core.batch`. Knows no workers and no leases; it only keeps the transition table of `core.states`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dsage.core.ranges import Ranges
from jupyter_dsage.core.states import MOVES, State
from jupyter_dsage.errors import IllegalMoveError

if TYPE_CHECKING:
    from collections.abc import Callable


class JobTable:
    """Job number -> `State`, for jobs ``0 … total - 1``; memory goes with the runs, not with the jobs."""

    __slots__ = ("_by_state", "_queued", "total")

    def __init__(self, queued: Callable[[], object] = lambda: None) -> None:
        """`queued` is called whenever jobs become queued."""
        self.total = 0
        self._queued = queued
        self._by_state = {state: Ranges() for state in State}

    def __getitem__(self, state: State) -> Ranges:
        """Return the jobs in this state (to be read, not written)."""
        return self._by_state[state]

    def count(self, state: State) -> int:
        """Return how many jobs are in this state."""
        return len(self._by_state[state])

    def append(self, count: int) -> int:
        """Add ``count`` jobs at the end, queued; return the number of the first."""
        first = self.total
        self.total += count
        self._by_state[State.QUEUED].add(first, self.total)
        self._queued()
        return first

    def move(self, first: int, stop: int, source: State, target: State) -> None:
        """Move the jobs ``[first, stop)`` from one state to another.

        Raises IllegalMoveError, with nothing changed, when the table has no such move or when one of
        the jobs is not in `source`.
        """
        if (source, target) not in MOVES:
            raise IllegalMoveError(f"jobs {first}-{stop - 1}: no move leads from {source.value} to {target.value}.")
        if not self._by_state[source].covers(first, stop):
            raise IllegalMoveError(
                f"jobs {first}-{stop - 1} were to move from {source.value} to {target.value}, "
                f"but not all of them are {source.value}."
            )
        self._by_state[source].remove(first, stop)
        self._by_state[target].add(first, stop)
        if target is State.QUEUED:
            self._queued()

    def state_of(self, job: int) -> State:
        """Return the state of one job; raises KeyError for a number that was never added."""
        for state, jobs in self._by_state.items():
            if job in jobs:
                return state
        raise KeyError(job)
