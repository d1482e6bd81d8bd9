"""Times of jobs, kept by strides, read like a list with one entry a job."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from jupyter_dsage.wire.seconds import Seconds

strides = st.lists(st.tuples(st.floats(0, 1e6, width=32), st.integers(1, 50)))


@given(strides)
def test_it_reads_like_a_list_with_an_entry_for_each_job(strides: list[tuple[float, int]]) -> None:
    seconds, plain = Seconds(), array("f")
    for each, jobs in strides:
        seconds.append(each, jobs)
        plain.extend([each] * jobs)
    for read in (seconds, Seconds.load(seconds.dump())):
        assert list(read) == list(plain)
        assert len(read) == len(plain)
        assert [read[job] for job in range(len(plain))] == list(plain)


def test_a_stride_costs_the_same_whatever_its_length() -> None:
    one, many = Seconds(), Seconds()
    one.append(0.5)
    many.append(0.5, 100_000)
    assert sum(map(len, many.dump())) == sum(map(len, one.dump()))
