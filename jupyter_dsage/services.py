"""The services that ship with the package: functions a worker calls by name, without a pickle.

Workers look a name up in `SHIPPED` (others are registered with `services={...}`); notebooks use `TimeSeries`
for the workbook of 2008. This file knows nothing of jobs, workers or messages. numpy is imported inside the
functions that draw or count, so that importing this module is light.

The names, defaults and meaning are those of Sage's `sage.stats.time_series.TimeSeries` (the code is our own),
so a cell reads and answers the same with Sage and without.
"""

from __future__ import annotations

import functools
import math
import operator
from typing import TYPE_CHECKING, Any, SupportsIndex, cast, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["DISTRIBUTIONS", "SHIPPED", "TimeSeries", "all_series"]

DISTRIBUTIONS = ("uniform", "normal", "semicircle", "lognormal")

_SHOWN = 10  # a longer series shows its first and last five values, as Sage's does
_ENOUGH_TO_VARY = 2


class TimeSeries:
    """A row of floats (64 bit) with the statistics a histogram job needs.

    Made from a length (that many zeros) or from any iterable of numbers; an array of several dimensions is
    taken flat. It is a sequence: `len`, iteration, indexing and slicing, assignment to one index.

    Raises:
        ValueError: the length is negative, or a value is no number.

    >>> v = TimeSeries([5, 4, 1.3, 2, 8, 10, 3, -5]); v
    [5.0000, 4.0000, 1.3000, 2.0000, 8.0000, 10.0000, 3.0000, -5.0000]
    >>> v.histogram(3)
    ([1, 4, 3], [(-5.0, 0.0), (0.0, 5.0), (5.0, 10.0)])
    """

    __slots__ = ("_values",)
    __hash__ = None  # type: ignore[assignment]  # it can be changed, so it is no key

    def __init__(self, values: SupportsIndex | Iterable[float]) -> None:
        import numpy as np

        self._values: Floats
        if hasattr(values, "__index__") and not isinstance(values, np.ndarray):  # `SupportsIndex` takes 5 us to ask
            self._values = np.zeros(_length(cast("SupportsIndex", values)))
            return
        try:
            flat = values if isinstance(values, np.ndarray) else [float(value) for value in values]
            self._values = np.array(flat, dtype=np.float64).reshape(-1)
        except TypeError as error:
            message = f"A TimeSeries is made from a length or from numbers, and {values!r} is neither: {error}."
            raise ValueError(message) from error

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[float]:
        return iter(self._values.tolist())

    @overload
    def __getitem__(self, index: SupportsIndex) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> TimeSeries: ...
    def __getitem__(self, index: SupportsIndex | slice) -> float | TimeSeries:
        if isinstance(index, slice):
            return TimeSeries(self._values[index])
        return float(self._values[operator.index(index)])

    def __setitem__(self, index: SupportsIndex, value: float) -> None:
        self._values[operator.index(index)] = value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TimeSeries):
            return NotImplemented
        return bool(self._values.tolist() == other._values.tolist())

    def __repr__(self) -> str:
        shown = [f"{value:.4f}" for value in self._values[:_SHOWN]]
        if len(self) <= _SHOWN:
            return f"[{', '.join(shown)}]"
        last = [f"{value:.4f}" for value in self._values[-_SHOWN // 2 :]]
        return f"[{', '.join(shown[: _SHOWN // 2])} ... {', '.join(last)}]"

    def randomize(
        self, distribution: str = "uniform", loc: float = 0, scale: float = 1, *, seed: int | None = None
    ) -> TimeSeries:
        """Replace every value by an independent draw and return this same series.

        Args:
            distribution: "uniform" (from `loc` to `loc + scale`), "normal" (mean `loc`, standard deviation
                `scale`), "lognormal" (the exponential of that normal: `loc` and `scale` are of the
                logarithm) or "semicircle" (Wigner's, of radius 1 around `loc`; `scale` is ignored, as Sage
                does).
            loc: where the distribution lies, in the units of the values.
            scale: how wide it is, in the same units; greater than 0 for "uniform", at least 0 otherwise.
            seed: makes the draws repeatable; None takes fresh entropy from the system at each call. Sage
                has no such argument (it has `set_random_seed`).

        Raises:
            ValueError: an unknown distribution, a `scale` that is too small, or a number that is not finite.
        """
        import numpy as np

        _check_draw(distribution, loc, scale)
        generator, size = np.random.default_rng(seed), len(self)
        if distribution == "uniform":
            self._values = generator.uniform(loc, loc + scale, size)
        elif distribution == "normal":
            self._values = generator.normal(loc, scale, size)
        elif distribution == "lognormal":
            self._values = generator.lognormal(loc, scale, size)
        else:  # semicircle: the distance sqrt(u) spreads points evenly over a disc; this is their x
            distance = np.sqrt(generator.random(size))
            self._values = loc + distance * np.cos(generator.uniform(0, 2 * np.pi, size))
        return self

    def histogram(
        self, bins: int = 50, normalize: bool = False
    ) -> tuple[list[int] | list[float], list[tuple[float, float]]]:
        """Count the values in `bins` intervals of one width between the smallest and the largest.

        Args:
            bins: how many intervals, at least 1.
            normalize: scale the counts so that the bars have an area of 1 in all.

        Returns:
            `(counts, endpoints)`, two lists of length `bins`: the counts (ints; floats with `normalize`) and
            the intervals as pairs `(left, right)` of floats. An interval holds its left end and not its
            right one; the last holds both.

        Raises:
            ValueError: `bins` is below 1, the series is empty, has values that are not finite, or all its
                values are equal (the bins would have no width).
        """
        import numpy as np

        bins = _bins(bins)
        low, high = self.min(), self.max()
        step = (high - low) / bins
        if not math.isfinite(step):
            raise ValueError(f"There is no histogram from {low} to {high}: every value must be finite.")
        if step == 0:
            raise ValueError(f"There is no histogram with bins of width 0: every value is {low}.")
        places = np.minimum(((self._values - low) / step).astype(np.intp), bins - 1)
        counts = np.bincount(places, minlength=bins)
        endpoints = [(low + j * step, low + (j + 1) * step) for j in range(bins)]
        if normalize:
            return (counts / (len(self) * step)).tolist(), endpoints
        return counts.tolist(), endpoints

    def mean(self) -> float:
        """Return the average of the values; ValueError when there are none."""
        self._refuse_empty("mean")
        return float(self._values.mean())

    def standard_deviation(self, bias: bool = False) -> float:
        """Return the standard deviation, in the units of the values.

        Args:
            bias: divide by `n` (True) or by `n - 1`, which estimates that of the population (False).

        Returns:
            A float; 0.0 for a single value.

        Raises:
            ValueError: the series is empty.
        """
        self._refuse_empty("standard deviation")
        if len(self) < _ENOUGH_TO_VARY:
            return 0.0
        return float(self._values.std(ddof=0 if bias else 1))

    def min(self) -> float:
        """Return the smallest value; ValueError when there is none."""
        self._refuse_empty("smallest value")
        return float(self._values.min())

    def max(self) -> float:
        """Return the largest value; ValueError when there is none."""
        self._refuse_empty("largest value")
        return float(self._values.max())

    def _refuse_empty(self, what: str) -> None:
        if not len(self):
            raise ValueError(f"An empty TimeSeries has no {what}.")


def all_series(
    size: int, distribution: str = "normal", loc: float = 1, scale: float = 1, bins: int = 50
) -> tuple[list[int], list[tuple[float, float]]]:
    """Draw `size` random values and return their histogram: the service `/all_series` of 2008.

    Uses Sage's own TimeSeries where Sage can be imported, else ours; either way the answer is plain lists.

    Args:
        size: how many values to draw, at least 2 (one value has no histogram).
        distribution: "uniform", "normal", "semicircle" or "lognormal", as in `TimeSeries.randomize`.
        loc: where the distribution lies.
        scale: how wide it is.
        bins: how many intervals, at least 1.

    Returns:
        `(counts, endpoints)`, as from `TimeSeries.histogram`.

    Raises:
        ValueError: an argument is out of its range; the sentence says which.
    """
    if _length(size) < _ENOUGH_TO_VARY:
        raise ValueError(f"A histogram needs at least 2 values, and size is {size}.")
    _check_draw(distribution, loc, scale)
    series = _time_series()(size)
    series.randomize(distribution, loc, scale)
    counts, endpoints = series.histogram(bins=_bins(bins))
    return counts, endpoints


SHIPPED: dict[str, Callable[..., Any]] = {"/all_series": all_series}


@functools.cache  # looking for what is not there takes 45 us, a third of a job of the workbook
def _time_series() -> Any:
    """Return Sage's TimeSeries, or ours where there is no Sage."""
    try:
        from sage.stats.time_series import TimeSeries as SageTimeSeries
    except ImportError:
        return TimeSeries
    return SageTimeSeries


def _length(size: SupportsIndex) -> int:
    """Return `size` as the number of values it asks for."""
    try:
        number = operator.index(size)
    except TypeError:
        raise ValueError(f"A TimeSeries has a whole number of values, not {size!r}.") from None
    if number < 0:
        raise ValueError(f"A TimeSeries cannot have {number} values.")
    return number


def _bins(bins: SupportsIndex) -> int:
    """Return `bins` as the number of intervals it asks for."""
    try:
        number = operator.index(bins)
    except TypeError:
        raise ValueError(f"A histogram has a whole number of bins, not {bins!r}.") from None
    if number < 1:
        raise ValueError(f"A histogram needs at least 1 bin, and bins is {number}.")
    return number


def _check_draw(distribution: str, loc: float, scale: float) -> None:
    """Refuse what cannot be drawn from, before anything is drawn."""
    if distribution not in DISTRIBUTIONS:
        known = ", ".join(DISTRIBUTIONS)
        raise ValueError(f"There is no distribution {distribution!r}; the known ones are {known}.")
    for name, value in (("loc", loc), ("scale", scale)):
        try:
            finite = math.isfinite(value)
        except (TypeError, OverflowError):
            finite = False
        if not finite:
            raise ValueError(f"{name} must be a finite number, and it is {value!r}.")
    if scale < 0 or (scale == 0 and distribution == "uniform"):
        least = "greater than 0" if distribution == "uniform" else "at least 0"
        raise ValueError(f"scale must be {least} for the distribution {distribution}, and it is {scale}.")
