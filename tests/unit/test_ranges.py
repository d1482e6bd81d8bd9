"""`Ranges` behaves as a set of numbers does, and keeps as few intervals as it can."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jupyter_dsage.core.ranges import Ranges

END = 40
numbers = st.integers(0, END)
runs = st.tuples(numbers, numbers)
steps = st.lists(st.tuples(st.sampled_from(["add", "remove"]), runs), max_size=25)


def build(story):
    """Carry the same steps out on Ranges and on a plain set."""
    ranges, model = Ranges(), set()
    for word, (first, stop) in story:
        getattr(ranges, word)(first, stop)
        if word == "add":
            model |= set(range(first, stop))
        else:
            model -= set(range(first, stop))
    return ranges, model


@given(steps)
def test_it_holds_what_a_set_holds(story):
    ranges, model = build(story)
    assert list(ranges.numbers()) == sorted(model)
    assert len(ranges) == len(model)
    assert bool(ranges) == bool(model)
    assert [n in ranges for n in range(END + 2)] == [n in model for n in range(END + 2)]


@given(steps)
def test_intervals_are_sorted_and_never_touch(story):
    ranges, _ = build(story)
    ends = [end for run in ranges for end in run]
    assert ends == sorted(set(ends))


@given(steps, runs)
def test_overlap_is_the_intersection(story, run):
    ranges, model = build(story)
    assert list(Ranges(ranges.overlap(*run)).numbers()) == sorted(model & set(range(*run)))


@given(steps, runs)
def test_covers_is_the_subset(story, run):
    ranges, model = build(story)
    assert ranges.covers(*run) == (set(range(*run)) <= model)


@given(steps, numbers)
def test_first_run_begins_at_the_first_number_not_before(story, at):
    ranges, model = build(story)
    later = sorted(n for n in model if n >= at)
    if not later:
        assert ranges.first_run(at) is None
        return
    first, stop = ranges.first_run(at)
    assert first == later[0]
    assert set(range(first, stop)) <= model
    assert stop not in model


@given(steps)
def test_equal_sets_are_equal_however_they_came_about(story):
    ranges, model = build(story)
    assert ranges == Ranges.of(model) == Ranges([(n, n + 1) for n in sorted(model, reverse=True)])
    assert ranges != {*model}


@given(steps, runs)
def test_a_copy_is_independent(story, run):
    ranges, model = build(story)
    other = ranges.copy()
    other.add(*run)
    other.remove(0, END // 2)
    assert list(ranges.numbers()) == sorted(model)


def test_a_million_consecutive_jobs_are_one_interval():
    assert repr(Ranges((n, n + 4000) for n in range(0, 1_000_000, 4000))) == "Ranges([(0, 1000000)])"
