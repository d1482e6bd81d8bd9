"""Large buffers beside a pickle: laid out on pages, copied once, fresh for each reader, never read beyond the end."""

from __future__ import annotations

import pickle
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_dsage import settings
from jupyter_dsage.errors import ProtocolError
from jupyter_dsage.wire import payload, segments
from jupyter_dsage.wire.buffers import MAGIC, Beside, pack, unpack

LARGE = settings.SHARED_BYTES + 1


def array(seed: int, count: int = 50_000) -> Any:
    return np.random.default_rng(seed).random(count)


@given(st.lists(st.integers(1, 20_000), max_size=5), st.binary(max_size=100))
def test_what_is_packed_is_unpacked(sizes: list[int], value: bytes) -> None:
    data = pickle.dumps(value)
    views = [memoryview(random.Random(size).randbytes(size)) for size in sizes]
    for frame in (pack(data, views), bytes(pack(data, views))):
        head, buffers = unpack(frame)
        assert bytes(head) == data
        assert [bytes(buffer) for buffer in buffers.all()] == [bytes(view) for view in views]


def test_a_payload_without_large_buffers_is_the_pickle_alone() -> None:
    beside = Beside()
    data = payload.dumps([np.arange(10), "text"], "the value", beside)
    assert not beside.views
    assert pack(data, beside.views) is data
    assert unpack(data)[0] is data


def test_only_large_and_contiguous_buffers_leave_the_pickle() -> None:
    beside = Beside()
    large, small = array(1), np.arange(10)
    data = payload.dumps([large, small, large[::2], large.T], "the value", beside)
    assert len(beside.views) in {1, 2, 3}
    assert len(data) < large.nbytes
    back = payload.loads(data, [bytearray(view) for view in beside.views])
    for one, two in zip(back, [large, small, large[::2], large.T], strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_pickle_that_fails_halfway_leaves_no_buffers_behind() -> None:
    beside, lock = Beside(), __import__("threading").Lock()
    with pytest.raises(payload.UnpicklableError):
        payload.dumps([array(1), lock], "the value", beside)
    made = payload.dumps([array(1), lambda x: x], "the value", beside)  # by cloudpickle, after pickle has given up
    assert made
    assert len(beside.views) <= 2


def test_jobs_get_arrays_of_their_own_that_they_may_change() -> None:
    one, two = array(1), array(2)
    for frame in (payload.dump_items([one, two, 3], 0), bytes(payload.dump_items([one, two, 3], 0))):
        jobs = payload.Jobs(frame)
        (first,), _ = jobs[0]
        np.testing.assert_array_equal(first, one)
        first[:] = 0  # writable
        (again,), _ = jobs[0]
        np.testing.assert_array_equal(again, one)
        (second,), _ = jobs[1]
        np.testing.assert_array_equal(second, two)
        assert jobs[2] == ((3,), {})


def test_arguments_are_those_of_the_moment_of_the_call() -> None:
    given_array = array(3)
    before = given_array.copy()
    frames = [
        payload.dump_items([given_array], 0),
        payload.dump_calls([((given_array,), {"key": given_array})], 0),
        payload.dump_packed([payload.pack_call((given_array,), {}, 0)]),
    ]
    given_array[:] = 0
    for frame in frames:
        args, kwargs = payload.Jobs(frame)[0]
        for value in (*args, *kwargs.values()):
            np.testing.assert_array_equal(value, before)


def test_a_function_takes_its_arrays_along() -> None:
    captured = array(4)
    loaded = payload.load_function(payload.dump_function(lambda: captured.sum() + 1))
    assert loaded() == captured.sum() + 1


def test_values_are_read_fresh_and_may_be_changed() -> None:
    out, beside = payload.Outcomes(), Beside()
    value = array(5)
    out.seconds.append(0.1)
    out.put(0, payload.dumps({"it": value}, "the value", beside), beside)
    frame = out.dump()
    assert segments.of(frame) is not None or not segments.AVAILABLE
    for back in (payload.Outcomes.load(frame), payload.Outcomes.load(bytes(frame))):
        back.read(0)["it"][:] = 0
        np.testing.assert_array_equal(back.read(0)["it"], value)


def test_an_array_that_cannot_be_written_travels_too() -> None:
    value = array(6)
    value.flags.writeable = False
    (back,), _ = payload.Jobs(payload.dump_items([value], 0))[0]
    np.testing.assert_array_equal(back, value)


@given(st.integers(0, 400), st.binary(max_size=30))
def test_what_is_cut_off_or_changed_is_refused_or_read(cut: int, noise: bytes) -> None:
    data = bytes(pack(pickle.dumps(1), [memoryview(bytes(100))]))
    for broken in (data[:cut], MAGIC + noise, data[:8] + noise + data[8 + len(noise) :]):
        try:
            head, buffers = unpack(broken)
            buffers.all()
        except ProtocolError:
            continue
        assert len(head) <= len(broken)
