"""A clock that moves only when it is told to, for tests of anything that takes `now` as an argument."""

from __future__ import annotations


class FakeClock:
    """Simulated seconds since the start; they never run backwards.

    >>> clock = FakeClock()
    >>> clock.advance(1.5)
    >>> clock.now()
    1.5
    """

    __slots__ = ("_now",)

    def __init__(self, now: float = 0.0) -> None:
        self._now = now

    def now(self) -> float:
        """Return the present moment."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let some seconds pass."""
        self.advance_to(self._now + seconds)

    def advance_to(self, moment: float) -> None:
        """Let time pass up to a moment, exactly (no rounding, unlike `advance`)."""
        if moment < self._now:
            raise ValueError(f"time cannot run backwards: it is {self._now}, not yet {moment}.")
        self._now = moment
