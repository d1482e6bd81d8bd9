"""What each job of a batch wants of the engine that runs it: its name, and amounts of what it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Wants:
    """By default a job runs anywhere.

    >>> Wants(resources=(("gpu", 2),)).times({"gpu": 5}, most=8)
    2
    """

    engines: tuple[str, ...] = ()
    """The names of the engines that may run it; empty: any may."""
    resources: tuple[tuple[str, int], ...] = ()
    """What one job takes while it runs: name and amount, in the order of the names."""

    def name(self, engine: str) -> bool:
        """Tell whether an engine of this name may run it."""
        return not self.engines or engine in self.engines

    def times(self, amounts: Mapping[str, int], most: int) -> int:
        """Return how many such jobs these amounts are enough for at once, at most `most`."""
        return min([most, *(max(0, amounts.get(name, 0)) // each for name, each in self.resources)])


NOTHING = Wants()
