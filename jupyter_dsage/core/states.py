"""The states of a job and the moves between them, as a table.

Everything that happens to a job in the scheduler is one of these moves; a move that is not in the table
raises `IllegalMoveError` and leaves the state as it was.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where a job stands; the words are those of the view."""

    QUEUED = "queued"
    RUNNING = "running"
    """Inside a lease: at a worker, running or about to."""
    FINISHED = "finished"
    FAILED = "failed"
    LOST = "lost"
    CANCELLED = "cancelled"

    __hash__ = object.__hash__  # Enum's own is written in Python, and tables are looked up at every event


ENDED = frozenset({State.FINISHED, State.FAILED, State.LOST, State.CANCELLED})

MOVES: dict[tuple[State, State], str] = {
    (State.QUEUED, State.RUNNING): "leased to a worker",
    (State.QUEUED, State.CANCELLED): "cancelled before it ran",
    (State.QUEUED, State.LOST): "no worker is left that could run it",
    (State.QUEUED, State.FINISHED): "a lost worker's outcome came late, before the second attempt",
    (State.QUEUED, State.FAILED): "the same, and the outcome is an exception",
    (State.RUNNING, State.FINISHED): "the worker told a value",
    (State.RUNNING, State.FAILED): "the worker told an exception, and no retry is left",
    (State.RUNNING, State.QUEUED): "handed back, lost with its worker, or an exception to be retried",
    (State.RUNNING, State.CANCELLED): "cancelled while it ran",
    (State.RUNNING, State.LOST): "it took its workers with it too often",
    (State.FINISHED, State.LOST): "its outcome could not be stored",
    (State.FAILED, State.LOST): "the same",
    (State.FAILED, State.QUEUED): "the user asked for a retry",
    (State.LOST, State.QUEUED): "the user asked for a retry",
}
"""(from, to) -> why it happens. A job that was told as finished or cancelled never moves again."""
