"""TimeSeries answers as Sage's does; `/all_series` is the job of the 2008 workbook."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
import types

import numpy as np
import pytest

from jupyter_dsage import services
from jupyter_dsage.services import DISTRIBUTIONS, SHIPPED, TimeSeries, all_series

MANY = 200_000


# --- a series as a sequence


def test_a_length_gives_zeros():
    v = TimeSeries(3)
    assert list(v) == [0.0, 0.0, 0.0]
    assert len(v) == 3


@pytest.mark.parametrize("values", [[1, 2.5, -3], (1, 2.5, -3), (x for x in (1, 2.5, -3)), np.array([1, 2.5, -3])])
def test_values_are_taken_as_floats(values):
    v = TimeSeries(values)
    assert list(v) == [1.0, 2.5, -3.0]
    assert all(type(value) is float for value in v)


def test_an_array_is_copied_and_taken_flat():
    array = np.array([[1, 2], [3, 4]])
    v = TimeSeries(array)
    array[0, 0] = 99
    assert list(v) == [1.0, 2.0, 3.0, 4.0]


def test_numpy_integers_are_lengths():
    assert len(TimeSeries(np.int64(4))) == 4


def test_indexing_slicing_and_assignment():
    v = TimeSeries([1, -4, 3, -2.5])
    assert (v[0], v[-1]) == (1.0, -2.5)
    assert type(v[0]) is float
    assert v[1:3] == TimeSeries([-4, 3])
    assert v[::-1] == TimeSeries([-2.5, 3, -4, 1])
    v[0] = 7
    assert v[0] == 7.0
    with pytest.raises(IndexError):
        v[4]


def test_a_slice_is_a_copy():
    v = TimeSeries([1, 2, 3])
    v[:][0] = 9
    assert v[0] == 1.0


def test_it_shows_like_sage():
    assert repr(TimeSeries([1, 3.1908439, -4, 5.93932])) == "[1.0000, 3.1908, -4.0000, 5.9393]"
    assert repr(TimeSeries(range(11))) == (
        "[0.0000, 1.0000, 2.0000, 3.0000, 4.0000 ... 6.0000, 7.0000, 8.0000, 9.0000, 10.0000]"
    )
    assert repr(TimeSeries(0)) == "[]"


def test_it_travels():
    v = TimeSeries([1, 2, 3])
    assert pickle.loads(pickle.dumps(v)) == v


def test_it_equals_the_same_values_only():
    assert TimeSeries([1, 2]) == TimeSeries([1, 2])
    assert TimeSeries([1, 2]) != TimeSeries([1, 2, 3])
    assert TimeSeries([1, 2]) != [1, 2]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (-1, "cannot have -1 values"),
        (1.5, "made from a length"),
        (None, "made from a length"),
        (["x"], "float"),
    ],
)
def test_what_is_no_series_is_refused(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        TimeSeries(values)


# --- statistics


def test_statistics_of_known_values():
    v = TimeSeries([1, 1, 1, 2, 3])
    assert v.mean() == pytest.approx(1.6)
    assert v.standard_deviation() == pytest.approx(math.sqrt(0.8))
    assert v.standard_deviation(bias=True) == pytest.approx(0.8)
    assert (v.min(), v.max()) == (1.0, 3.0)
    assert TimeSeries([5]).standard_deviation() == 0.0


@pytest.mark.parametrize("name", ["mean", "standard_deviation", "min", "max", "histogram"])
def test_an_empty_series_has_no_statistics(name):
    with pytest.raises(ValueError, match="empty TimeSeries"):
        getattr(TimeSeries(0), name)()


# --- draws: seeded, so that the margins hold or not for ever


def drawn(distribution, loc=0.0, scale=1.0):
    return TimeSeries(MANY).randomize(distribution, loc, scale, seed=2008)


def test_randomize_returns_the_series_itself():
    v = TimeSeries(5)
    assert v.randomize() is v
    assert all(0 <= value <= 1 for value in v)


def test_a_seed_repeats_and_none_does_not():
    assert TimeSeries(9).randomize(seed=1) == TimeSeries(9).randomize(seed=1)
    assert TimeSeries(9).randomize(seed=1) != TimeSeries(9).randomize(seed=2)
    assert TimeSeries(9).randomize() != TimeSeries(9).randomize()


@pytest.mark.parametrize(
    ("distribution", "mean", "deviation"),
    [
        ("uniform", 5 + 2 / 2, 2 / math.sqrt(12)),
        ("normal", 5, 2),
        ("semicircle", 5, 1 / 2),
    ],
)
def test_mean_and_deviation(distribution, mean, deviation):
    v = drawn(distribution, 5, 2)
    assert v.mean() == pytest.approx(mean, abs=0.02)
    assert v.standard_deviation() == pytest.approx(deviation, abs=0.02)


def test_lognormal_is_normal_in_its_logarithm():
    logs = TimeSeries(math.log(value) for value in drawn("lognormal", 0.5, 0.25))
    assert logs.mean() == pytest.approx(0.5, abs=0.01)
    assert logs.standard_deviation() == pytest.approx(0.25, abs=0.01)


def test_uniform_and_semicircle_stay_inside():
    uniform, semicircle = drawn("uniform", 5, 2), drawn("semicircle", 5)
    assert 5 <= uniform.min() < uniform.max() <= 7
    assert 4 <= semicircle.min() < semicircle.max() <= 6


def test_semicircle_has_the_shape_of_a_half_disc():
    counts, endpoints = drawn("semicircle").histogram(20, normalize=True)
    for height, (left, right) in list(zip(counts, endpoints, strict=True))[1:-1]:
        middle = (left + right) / 2
        assert height == pytest.approx(2 / math.pi * math.sqrt(1 - middle**2), abs=0.03)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("cauchy",), "no distribution 'cauchy'; the known ones are uniform, normal"),
        (("normal", 0, -1), "scale must be at least 0"),
        (("uniform", 0, 0), "scale must be greater than 0"),
        (("normal", math.nan, 1), "loc must be a finite number"),
        (("normal", 0, math.inf), "scale must be a finite number"),
        (("normal", "0", 1), "loc must be a finite number"),
    ],
)
def test_what_cannot_be_drawn_from_is_refused(arguments, sentence):
    v = TimeSeries([1, 2])
    with pytest.raises(ValueError, match=sentence):
        v.randomize(*arguments)
    assert v == TimeSeries([1, 2])


# --- histograms


def test_the_histogram_of_sages_documentation():
    v = TimeSeries([5, 4, 1.3, 2, 8, 10, 3, -5])
    assert v.histogram(3) == ([1, 4, 3], [(-5.0, 0.0), (0.0, 5.0), (5.0, 10.0)])


def test_a_histogram_is_plain_ints_and_floats():
    counts, endpoints = drawn("normal").histogram()
    assert len(counts) == len(endpoints) == 50
    assert all(type(count) is int for count in counts)
    assert all(type(end) is float for pair in endpoints for end in pair)
    assert sum(counts) == MANY


def test_neighbouring_bins_touch():
    _, endpoints = drawn("normal").histogram(7)
    assert [left for left, _ in endpoints[1:]] == [right for _, right in endpoints[:-1]]


@pytest.mark.parametrize("bins", [1, 3, 10, 49, 1000])
def test_every_value_falls_into_a_bin(bins):
    counts, _ = drawn("lognormal").histogram(bins)
    assert len(counts) == bins
    assert sum(counts) == MANY
    assert counts[-1] >= 1


def test_normalized_bars_have_an_area_of_one():
    counts, endpoints = drawn("normal").histogram(30, normalize=True)
    area = sum(height * (right - left) for height, (left, right) in zip(counts, endpoints, strict=True))
    assert area == pytest.approx(1)


@pytest.mark.parametrize(
    ("values", "bins", "sentence"),
    [
        ([1, 2], 0, "at least 1 bin, and bins is 0"),
        ([1, 2], 2.5, "whole number of bins, not 2.5"),
        ([3, 3, 3], 2, "bins of width 0: every value is 3.0"),
        ([1, math.inf], 2, "every value must be finite"),
        ([1, math.nan], 2, "every value must be finite"),
    ],
)
def test_what_has_no_histogram_is_refused(values, bins, sentence):
    with pytest.raises(ValueError, match=sentence):
        TimeSeries(values).histogram(bins)


# --- the service


def test_the_job_of_2008():
    counts, endpoints = all_series(1000, distribution="normal", loc=1, scale=1, bins=10)
    assert len(counts) == len(endpoints) == 10
    assert sum(counts) == 1000
    assert endpoints[0][0] < 1 < endpoints[-1][1]


def test_it_ships_under_its_name():
    assert list(SHIPPED.items()) == [("/all_series", all_series)]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_every_distribution_is_served(distribution):
    counts, _ = all_series(100, distribution)
    assert (len(counts), sum(counts)) == (50, 100)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"size": 1}, "at least 2 values, and size is 1"),
        ({"size": -5}, "cannot have -5 values"),
        ({"size": "many"}, "whole number of values, not 'many'"),
        ({"size": 9, "bins": 0}, "at least 1 bin"),
        ({"size": 9, "distribution": "x"}, "no distribution 'x'"),
    ],
)
def test_bad_arguments_are_named(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        all_series(**arguments)


@pytest.fixture
def forgetful():
    """Whether there is Sage is looked for once."""
    services._time_series.cache_clear()
    yield
    services._time_series.cache_clear()


@pytest.mark.usefixtures("forgetful")
def test_sages_own_series_is_used_where_sage_is(monkeypatch):
    class SageTimeSeries:
        def __init__(self, size):
            self.said = [size]

        def randomize(self, *arguments):
            self.said += arguments

        def histogram(self, bins):
            return self.said, bins

    module = types.ModuleType("sage.stats.time_series")
    module.TimeSeries = SageTimeSeries
    for name in ("sage", "sage.stats"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert all_series(1000, "uniform", 2, 3, 7) == ([1000, "uniform", 2, 3], 7)


def test_importing_the_module_does_not_import_numpy():
    code = "import sys, jupyter_dsage.services; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
