"""How long each of many jobs took: one number for each stride of very short jobs, not for each of them.

A job of a stride costs no byte then (4 before: two thirds of what an endless source of no-ops left in its client), and
50 ns less in the worker and in the client.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from itertools import chain, pairwise, repeat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Seconds:
    """``seconds[i]`` is the time of the i-th job (in seconds, as float32)."""

    __slots__ = ("_each", "_ends", "_jobs")

    def __init__(self) -> None:
        self._jobs = 0
        self._ends = array("I")
        """The number of jobs up to the end of each stride; one job by itself is a stride of one."""
        self._each = array("f")
        """How long each job of it took."""

    def append(self, seconds: float, jobs: int = 1) -> None:
        """Note the time of the next job, or of each of the next jobs."""
        self._jobs += jobs
        self._ends.append(self._jobs)
        self._each.append(seconds)

    def __len__(self) -> int:
        return self._jobs

    def __getitem__(self, job: int) -> float:
        return self._each[bisect_right(self._ends, job)]

    def __iter__(self) -> Iterator[float]:
        lengths = (stop - start for start, stop in pairwise(chain((0,), self._ends)))
        return chain.from_iterable(map(repeat, self._each, lengths))

    def dump(self) -> tuple[bytes, bytes]:
        """Return what `load` takes, on a machine of the same byte order."""
        return self._ends.tobytes(), self._each.tobytes()

    @classmethod
    def load(cls, dumped: tuple[bytes, bytes]) -> Seconds:
        """Return what was dumped."""
        made = cls()
        made._ends.frombytes(dumped[0])
        made._each.frombytes(dumped[1])
        made._jobs = made._ends[-1] if made._ends else 0
        return made
