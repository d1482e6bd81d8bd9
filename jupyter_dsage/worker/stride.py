"""Jobs of microseconds, run in strides: 0.2 us a job are ours then, 1.3 us where each is seen to by itself.

A stride is so many jobs as take `STRIDE_SECONDS`. The page shows which of them runs, and recalls are heard before each,
as ever; but the clock is read, and outcomes are noted, once a stride. It ends early with a job that raises, prints, is
interrupted, or returns what is no number: that one is seen to by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_dsage import clock, settings
from jupyter_dsage.worker.page import JOB, RECALLS, STARTED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jupyter_dsage.wire.seconds import Seconds

_NUMBERS = frozenset({int, float, complex, bool, type(None)})
"""Scalars that need no look at their size."""
NOTHING = object()
"""What a stride returns that ran to its end, or was recalled."""


class Stride:
    """The stride that runs. `halt`: not empty if it is to end after the job that runs."""

    def __init__(self, words: memoryview, halt: list[None]) -> None:
        self._words = words
        self._halt = halt
        self._length = settings.STRIDE_LEAST
        self.first = 0
        """The job whose value is the first of `_values`."""
        self._values: list[Any] = []
        self._since = 0
        self.mean = 0.0
        """About how long the last jobs took (seconds)."""

    def run(self, function: Callable[..., Any], calls: Sequence[Any], first: int, *, bare: bool) -> Any:
        """Run jobs from `first` on; return NOTHING, or the value of the job that the page shows, which ends it.

        Raises what that job raises. What the others returned is taken by `take`, also while this runs.
        """
        words, halt = self._words, self._halt
        self.first, self._since = first, clock.monotonic_ns()
        values: list[Any] = []
        self._values = values
        add = values.append
        words[STARTED], recalls = self._since, words[RECALLS]
        if bare:
            for words[JOB], item in enumerate(calls, first):
                if words[RECALLS] != recalls:
                    words[JOB] -= 1  # noqa: PLW2901
                    return NOTHING
                value = function(item)
                if halt or type(value) not in _NUMBERS:
                    return value
                add(value)
        else:
            for words[JOB], args in enumerate(calls, first):
                if words[RECALLS] != recalls:
                    words[JOB] -= 1  # noqa: PLW2901
                    return NOTHING
                value = function(*args)
                if halt or type(value) not in _NUMBERS:
                    return value
                add(value)
        return NOTHING

    def length(self, rest: int) -> int:
        """Return how many jobs the next stride has, of so many."""
        return min(rest, self._length)

    def take(self, values: list[Any], seconds: Seconds) -> int:
        """Move what is there to `values`, the time they took to `seconds`; return how many. Under the runner's lock."""
        done = len(self._values)
        if done == 0:
            return 0
        now = clock.monotonic_ns()
        each = (now - self._since) / 1e9 / done
        values += self._values[:done]
        seconds.append(each, done)
        del self._values[:done]
        self.first += done
        self._since = now
        self.mean += (each - self.mean) * settings.STRIDE_TRUST  # not all at once: the system may have paused us
        fits = int(settings.STRIDE_SECONDS / max(self.mean, 1e-9))
        self._length = max(
            settings.STRIDE_LEAST, min(fits, settings.STRIDE_GROWTH * self._length, settings.SEGMENT_JOBS)
        )
        return done
