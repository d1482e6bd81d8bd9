"""Sizes of leases and segments: within their bounds, and growing with what they should grow with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_dsage import settings
from jupyter_dsage.core.chunks import appetite, lease_size, segment_size

queued = st.integers(1, 10**9)
slots = st.integers(0, 5000)
seconds = st.floats(0, 1e6)
largest = st.integers(1, 10**6)


@given(queued, slots, seconds, largest)
def test_a_lease_is_never_empty_and_never_more_than_waits(n, w, s, big):
    assert 1 <= lease_size(n, w, s, big) <= n


@given(queued, slots, seconds, largest)
def test_a_lease_grows_at_most_eightfold_and_is_at_most_a_chunk_of_work(n, w, s, big):
    size = lease_size(n, w, s, big)
    assert size <= settings.CHUNK_GROWTH * big
    chunk = max(settings.CHUNK_SECONDS, settings.CHUNK_SECONDS_PER_WORKER * w)
    assert size == 1 or size * s <= chunk * (1 + 1e-9)


@given(queued, queued, slots, seconds, seconds, largest, largest)
def test_a_lease_grows_with_the_queue_and_the_growth_so_far_and_shrinks_with_the_length_of_jobs(n, m, w, s, t, a, b):
    n, m, s, t, a, b = *sorted((n, m)), *sorted((s, t)), *sorted((a, b))
    assert lease_size(n, w, s, a) <= lease_size(m, w, s, a)
    assert lease_size(n, w, s, a) <= lease_size(n, w, s, b)
    assert lease_size(n, w, s, a) >= lease_size(n, w, t, a)


@given(queued, slots, largest)
def test_the_first_lease_is_one_job(n, w, big):
    assert lease_size(n, w, None, big) == 1


def test_ten_jobs_of_an_hour_go_one_by_one_and_jobs_of_ten_microseconds_by_hundreds():
    assert lease_size(10, 2, 3600.0, 1) == 1
    *growing, last = [lease_size(10_000, 2, 1e-5, big) for big in (1, 8, 64, 512)]
    assert growing == [8, 64, 512]
    assert last == pytest.approx(settings.CHUNK_SECONDS / 1e-5, abs=1)  # rounding


def test_the_tail_is_shared_among_the_workers_but_not_to_crumbs():
    assert lease_size(40, 10, 0.001, 4096) == 2
    assert lease_size(40, 10, 0.00001, 4096) == 40


@given(queued, slots, seconds, largest, st.floats(0, 10), st.floats(0, 10))
def test_a_lease_grows_with_the_distance_and_is_at_most_as_long_as_the_way(n, w, s, big, near, far):
    near, far = sorted((near, far))
    size = lease_size(n, w, s, big, far)
    assert lease_size(n, w, s, big, near) <= size
    chunk = max(settings.CHUNK_SECONDS, settings.CHUNK_SECONDS_PER_WORKER * w, far)
    assert size == 1 or size * s <= chunk * (1 + 1e-9)


@given(st.integers(0, 10**9), st.none() | st.floats(0, 1e12))
def test_a_segment_is_within_its_bounds(cut, mean):
    size = segment_size(cut, mean)
    assert 1 <= size <= settings.SEGMENT_NUMBERS
    assert size <= settings.SEGMENT_JOBS or mean <= settings.NUMBER_BYTES
    assert size == 1 or size * mean <= settings.SEGMENT_BYTES


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.floats(0, 1e12), st.floats(0, 1e12))
def test_a_segment_grows_with_what_was_cut_and_shrinks_with_the_bytes(a, b, x, y):
    a, b, x, y = *sorted((a, b)), *sorted((x, y))
    assert segment_size(a, x) <= segment_size(b, x)
    assert segment_size(a, x) >= segment_size(a, y)


def test_segments_grow_from_one_job():
    cut, sizes = 0, []
    while len(sizes) < 6:
        sizes.append(segment_size(cut, 20.0))
        cut += sizes[-1]
    assert sizes == [1, 8, 72, 648, 4096, 4096]


def test_segments_of_small_numbers_grow_further():
    cut, sizes = 0, []
    while len(sizes) < 7:
        sizes.append(segment_size(cut, 3.0))
        cut += sizes[-1]
    assert sizes == [1, 8, 72, 648, 5832, 32768, 32768]


@given(slots, st.none() | seconds)
def test_the_appetite_is_enough_for_two_leases_a_slot_and_for_the_time_a_cell_may_hold_the_lock(w, s):
    waiting = appetite(w, s)
    assert waiting >= settings.LEASES_IN_FLIGHT * max(w, 1)
    if s is not None:
        assert waiting * max(s, 1e-7) >= settings.WAITING_SECONDS * max(w, 1) * (1 - 1e-9)
