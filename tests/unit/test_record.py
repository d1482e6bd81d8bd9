"""The client's record of endings behaves like a dict from job to how it ended."""

from __future__ import annotations

import itertools
import pickle
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jupyter_dsage.client.gathering import _Ahead
from jupyter_dsage.client.ledger import Ledger
from jupyter_dsage.client.record import Chunk, Ended, Record, exception
from jupyter_dsage.errors import JobExitedError, RemoteError, RemoteTraceback
from jupyter_dsage.wire import payload
from jupyter_dsage.wire.payload import Outcomes
from jupyter_dsage.wire.raised import Raised
from jupyter_dsage.worker.failure import describe

JOBS = 40

add = st.tuples(st.just("add"), st.integers(0, JOBS - 1), st.integers(1, 12))
forget = st.tuples(st.just("forget"), st.integers(0, JOBS - 1), st.just(0))


def holder(name: int) -> Ended:
    return Ended(lambda job: ValueError(name, job), "lost")


def runs_of(numbers: set[int]) -> list[tuple[int, int]]:
    firsts = sorted(n for n in numbers if n - 1 not in numbers)
    stops = sorted(n + 1 for n in numbers if n + 1 not in numbers)
    return list(zip(firsts, stops, strict=True))


@hypothesis_settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(add | forget, max_size=40))
def test_a_record_is_a_dict_from_job_to_ending(steps: list[tuple[str, int, int]]) -> None:
    record, model = Record(), dict[int, Ended]()
    for name, (what, first, count) in enumerate(steps):
        if what == "forget":
            record.forget(first)
            model.pop(first, None)
        else:
            made = holder(name)
            fresh = {job for job in range(first, first + count) if job not in model}
            assert record.add(first, first + count, made) == runs_of(fresh)
            model.update(dict.fromkeys(fresh, made))
        compare(record, model)


def compare(record: Record, model: dict[int, Ended]) -> None:
    for job in range(-1, JOBS + 15):
        assert record.find(job) is model.get(job)
    assert set(record.ended.numbers()) == set(model)
    for stop in (0, 1, JOBS // 2, JOBS + 15):
        walked = record.walk(stop)
        assert all(a < b for a, b, _ in walked)
        assert all(b <= c for (_, b, _), (c, _, _) in itertools.pairwise(walked))
        found = {job: who for a, b, who in walked for job in range(a, b)}
        assert found == {job: who for job, who in model.items() if job < stop}


def test_many_retried_jobs_end_again_without_a_look_at_each_other() -> None:
    """Each of 100,000 jobs fails, is retried and ends: once this took time in the square of their number."""
    count = 100_000
    record, first, second = Record(), holder(1), holder(2)
    record.add(0, count, first)
    for job in range(0, count, 2):
        record.forget(job)
    for start in range(0, count, 100):
        assert len(record.add(start, start + 100, second)) == 50
    walked = record.walk(count)
    assert len(walked) == count
    assert [who for _, _, who in walked[:4]] == [second, first, second, first]


# --- endings -------------------------------------------------------------------------------------------------


def chunk(first: int, values: list[Any], raised: dict[int, BaseException] | None = None) -> Chunk:
    outcomes = Outcomes()
    for index, value in enumerate(values):
        plain = type(value) in payload.SCALARS
        outcomes.values.append(value if plain else None)
        if not plain:
            outcomes.each[index] = payload.dumps(value, "the value")
    for index, error in (raised or {}).items():
        outcomes.raised[index] = describe(error)
    outcomes.outputs = {0: "printed\n"}
    return Chunk(first, outcomes.dump())


def test_a_chunk_knows_the_endings_of_its_jobs() -> None:
    error = ValueError("no")
    made = chunk(10, [1, [2], None], {2: error})
    assert made.ending(10) == (1, None)
    assert made.ending(11) == ([2], None)
    assert made.ending(11)[0] is made.ending(11)[0]
    value, raised = made.ending(12)
    assert value is None
    assert isinstance(raised, ValueError)
    assert raised is made.ending(12)[1]
    assert made.output(10) == "printed\n"
    assert made.output(11) == ""
    assert made.scalars(10, 13) is None
    assert made.state == "told"


def test_a_chunk_of_scalars_gives_any_run_of_its_values_at_once() -> None:
    made = chunk(10, [1, "two", None, 4.0])
    assert made.scalars(10, 14) == [1, "two", None, 4.0]
    assert made.scalars(11, 13) == ["two", None]


def test_jobs_that_ended_without_a_payload_each_get_their_own_exception() -> None:
    ended = Ended(ValueError, "cancelled")
    assert ended.state == "cancelled"
    assert ended.scalars(0, 9) is None
    assert ended.output(3) == ""
    assert str(ended.ending(3)[1]) == "3"


class ReadsNoMore:
    """Pickles well, and fails when it is read."""

    def __reduce__(self) -> Any:
        return explode, ()


class UglyError(Exception):
    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __str__ = __repr__


def explode() -> None:
    raise UglyError("when read")


def test_a_value_that_cannot_be_read_here_ends_its_job_with_a_remote_error() -> None:
    value, error = chunk(7, [ReadsNoMore()]).ending(7)
    assert value is None
    assert isinstance(error, RemoteError)
    assert "The value of job 7 cannot be read here: <UglyError whose repr fails>" in str(error)


class StubbornError(Exception):
    """An exception that refuses to be changed."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


@dataclass(frozen=True)
class FrozenError(Exception):
    """The same, so that even pickle cannot make one."""

    code: int


class BecomesTextError(Exception):
    """Reads back as no exception at all."""

    def __reduce__(self) -> Any:
        return str, ("only text",)


def test_an_exception_comes_back_as_itself_with_its_traceback_as_the_cause() -> None:
    for error in (ValueError("no", 3), StubbornError(3), ExceptionGroup("two", [KeyError(1), OSError(2, "x")])):
        back = exception(describe(error))
        assert type(back) is type(error)
        assert repr(back) == repr(error)
        assert isinstance(back.__cause__, RemoteTraceback)


@pytest.mark.parametrize("data", [None, b"garbage", pickle.dumps("no exception"), pickle.dumps(ValueError)])
def test_an_exception_that_cannot_be_read_is_told_in_its_texts(data: bytes | None) -> None:
    back = exception(Raised(data, "user.Error", "Error(1)", "its traceback"))
    assert isinstance(back, RemoteError)
    assert str(back) == "user.Error: Error(1)"
    assert (back.type_name, back.text, back.traceback_text) == ("user.Error", "Error(1)", "its traceback")
    assert "its traceback" in str(back.__cause__)


def test_an_exception_that_pickle_cannot_make_arrives_as_itself() -> None:
    back = exception(describe(FrozenError(3)))
    assert isinstance(back, FrozenError)
    assert (back.code, repr(back)) == (3, "FrozenError(code=3)")


def test_an_exception_that_is_none_when_read_back_does_not_travel_as_itself() -> None:
    raised = describe(BecomesTextError())
    assert raised.data is None
    assert isinstance(exception(raised), RemoteError)


def test_an_exit_is_never_raised_in_the_kernel() -> None:
    for error in (SystemExit(3), KeyboardInterrupt(), GeneratorExit()):
        back = exception(describe(error))
        assert isinstance(back, JobExitedError)
        assert repr(error) in str(back)


def test_what_is_read_ahead_of_jobs_that_were_retried_is_what_they_ended_with_last() -> None:
    class Owner:
        may_wait = staticmethod(lambda: True)
        after = staticmethod(lambda _: None)

    def chunk(*values: int | None) -> Chunk:
        outcomes = Outcomes()
        for index, value in enumerate(values):
            outcomes.values.append(value)
            outcomes.seconds.append(0.0)
            if value is None:
                outcomes.raised[index] = describe(ValueError("no"))
        return Chunk(0, outcomes.dump())

    ledger = Ledger("b", Owner())  # type: ignore[arg-type]
    ahead = _Ahead(ledger)
    ledger.grow(3)
    ledger.end([(0, 3)], chunk(None, 1, 2), failed=[0])
    assert ledger.reopen() == [(0, 1)]
    ledger.end([(0, 1)], chunk(0))
    ahead.read()
    assert [ledger.job(number).result() for number in range(3)] == [0, 1, 2]
