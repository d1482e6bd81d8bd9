"""A set of whole numbers kept as sorted, disjoint half-open intervals.

The scheduler's only container for jobs: a million consecutive jobs cost one interval. Used by the job
table, by leases and by the client's record of what has ended. It knows nothing of jobs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Run = tuple[int, int]
"""A half-open interval ``(first, stop)`` of job numbers, ``first < stop``."""


class Ranges:
    """A mutable set of integers, stored as intervals.

    >>> r = Ranges([(0, 10)])
    >>> r.remove(3, 5)
    >>> list(r), len(r), 4 in r
    ([(0, 3), (5, 10)], 8, False)
    """

    __slots__ = ("_count", "_starts", "_stops")

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._count = 0
        for first, stop in runs:
            self.add(first, stop)

    @classmethod
    def of(cls, numbers: Iterable[int]) -> Ranges:
        """Return the set that holds just these numbers."""
        out = cls()
        for n in numbers:
            out.add(n, n + 1)
        return out

    def add(self, first: int, stop: int) -> None:
        """Add every number of ``[first, stop)``; numbers already in stay in."""
        if first >= stop:
            return
        starts, stops = self._starts, self._stops
        lo = bisect_left(stops, first)
        hi = bisect_right(starts, stop, lo)
        if lo + 1 == hi:  # by far the most frequent: it joins on to one interval
            before = stops[lo] - starts[lo]
            starts[lo], stops[lo] = min(first, starts[lo]), max(stop, stops[lo])
            self._count += stops[lo] - starts[lo] - before
            return
        if lo < hi:
            first = min(first, starts[lo])
            stop = max(stop, stops[hi - 1])
            self._count -= sum(stops[i] - starts[i] for i in range(lo, hi))
        starts[lo:hi] = [first]
        stops[lo:hi] = [stop]
        self._count += stop - first

    def remove(self, first: int, stop: int) -> None:
        """Take every number of ``[first, stop)`` out; numbers not in are no error."""
        if first >= stop:
            return
        starts, stops = self._starts, self._stops
        lo = bisect_right(stops, first)
        hi = bisect_left(starts, stop, lo)
        if lo >= hi:
            return
        if lo + 1 == hi and first <= starts[lo] < stop < stops[lo]:  # by far the most frequent: from its beginning
            self._count -= stop - starts[lo]
            starts[lo] = stop
            return
        kept = [(starts[lo], min(first, stops[lo])), (max(stop, starts[hi - 1]), stops[hi - 1])]
        kept = [(a, b) for a, b in kept if a < b]
        before = sum(stops[i] - starts[i] for i in range(lo, hi))
        starts[lo:hi] = [a for a, _ in kept]
        stops[lo:hi] = [b for _, b in kept]
        self._count += sum(b - a for a, b in kept) - before

    def overlap(self, first: int, stop: int) -> list[Run]:
        """Return the intervals of this set that lie within ``[first, stop)``, clipped to it."""
        starts, stops = self._starts, self._stops
        lo = bisect_right(stops, first)
        out: list[Run] = []
        while lo < len(starts) and starts[lo] < stop:
            out.append((max(first, starts[lo]), min(stop, stops[lo])))
            lo += 1
        return out

    def first_run(self, at: int = 0) -> Run | None:
        """Return the first interval that reaches past ``at``, clipped to start no earlier, or None."""
        lo = bisect_right(self._stops, at)
        if lo == len(self._starts):
            return None
        return max(at, self._starts[lo]), self._stops[lo]

    def covers(self, first: int, stop: int) -> bool:
        """Tell whether every number of ``[first, stop)`` is in the set."""
        if first >= stop:
            return True
        lo = bisect_right(self._stops, first)
        return lo < len(self._starts) and self._starts[lo] <= first and stop <= self._stops[lo]

    def numbers(self) -> Iterator[int]:
        """Yield every number, in order."""
        for first, stop in self:
            yield from range(first, stop)

    def copy(self) -> Ranges:
        """Return an independent copy."""
        out = Ranges()
        out._starts, out._stops, out._count = self._starts[:], self._stops[:], self._count
        return out

    def __iter__(self) -> Iterator[Run]:
        return iter(list(zip(self._starts, self._stops, strict=True)))

    def __len__(self) -> int:
        return self._count

    def __contains__(self, number: int) -> bool:
        return self.covers(number, number + 1)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ranges):
            return NotImplemented
        return self._starts == other._starts and self._stops == other._stops

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Ranges({list(self)})"
