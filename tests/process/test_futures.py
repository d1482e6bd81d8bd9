"""`Job` is a true Future, and the executor a true Executor: what the standard library does with them works."""

from __future__ import annotations

import asyncio
import concurrent.futures as cf
import threading

import pytest

import jupyter_dsage as dsage
from tests.process import jobs


def test_job_is_a_future_made_lazily(session):
    batch = session.map(jobs.square, range(3))
    batch.wait(20)
    job = batch[1]
    assert isinstance(job, cf.Future)
    assert "_condition" not in vars(job)
    assert job.result() == 1
    assert "_condition" not in vars(job)


def test_a_finished_job_is_told_while_others_run_and_wait_and_nothing_else_comes(session, tmp_path):
    folders = [tmp_path / str(number) for number in range(40)]
    for number, folder in enumerate(folders):
        folder.mkdir()
        if number < 20:
            (folder / "gate").touch()
    batch = session.scatter(jobs.held, [((str(folder), number), {}) for number, folder in enumerate(folders)])
    assert [batch[number].result(timeout=20) for number in range(20)] == list(range(20))
    assert batch.counts["finished"] == 20
    for folder in folders:
        (folder / "gate").touch()
    assert batch.results(timeout=60) == list(range(40))


def test_wait_and_as_completed(session, tmp_path):
    gate = tmp_path / "gate"
    batch = session.scatter(jobs.wait_for, [((str(gate), n), {}) for n in range(6)])
    assert cf.wait(batch, timeout=0).done == set()
    gate.touch()
    assert cf.wait(batch, timeout=20).done == set(batch)
    assert sorted(job.result() for job in cf.as_completed(batch)) == list(range(6))


def test_wait_for_first_exception(session):
    batch = session.map(lambda x: 1 // x, [1, 0])
    done = cf.wait(batch, timeout=20, return_when=cf.FIRST_EXCEPTION).done
    assert batch[1] in done


def test_callbacks_run_once_before_and_after_the_end(session, tmp_path):
    gate = tmp_path / "gate"
    (job,) = session.scatter(jobs.wait_for, [((str(gate), 9), {})])
    called, seen = threading.Event(), []
    job.add_done_callback(lambda done: (seen.append(done.result()), called.set()))
    gate.touch()
    assert called.wait(20)
    job.add_done_callback(lambda done: seen.append(done.result()))
    assert seen == [9, 9]


def test_a_callback_that_would_wait_for_ever_is_told_so(session, tmp_path):
    gate = tmp_path / "gate"
    first = session.submit(jobs.square, 2)
    never = session.submit(jobs.wait_for, str(gate))
    errors, called = [], threading.Event()

    def callback(_):
        try:
            never.result()
        except dsage.UsageError as error:
            errors.append(str(error))
        called.set()

    first.add_done_callback(callback)
    assert called.wait(20)
    gate.touch()
    never.result(20)
    assert errors == [] or "a callback must not wait" in errors[0]


def test_timeouts(session, tmp_path):
    gate = tmp_path / "gate"
    batch = session.scatter(jobs.wait_for, [((str(gate), 1), {})])
    for call in (lambda: batch[0].result(0.01), lambda: batch[0].exception(0.01), lambda: batch.results(timeout=0.01)):
        with pytest.raises(TimeoutError, match="it goes on"):
            call()
    assert not batch.wait(0.01)
    gate.touch()
    assert batch.results() == [1]


def test_asyncio(session):
    async def main():
        batch = session.map(jobs.square, range(8))
        assert await batch == [x * x for x in range(8)]
        assert sorted([job.index async for job in batch]) == list(range(8))
        assert await asyncio.wrap_future(batch[3]) == 9
        with pytest.raises(ZeroDivisionError):
            await session.map(lambda x: 1 / x, [0])

    asyncio.run(main())


def test_cancel_queued_and_running(session, tmp_path):
    gate = tmp_path / "gate"
    batch = session.scatter(jobs.wait_for, [((str(gate), n), {}) for n in range(20)])
    assert batch[19].cancel()
    assert batch[19].cancelled()
    assert batch[19].done()
    assert batch[0].cancel()  # it runs: it is interrupted
    with pytest.raises(cf.CancelledError):
        batch[0].result()
    gate.touch()
    values = batch.results(errors="return")
    assert [value for value in values if not isinstance(value, BaseException)] == list(range(1, 19))
    assert not batch[5].cancel()
    assert batch[0].cancel()  # once more: it is cancelled already


def test_waiters_hear_of_a_cancel(session, tmp_path):
    (job,) = session.scatter(jobs.wait_for, [((str(tmp_path / "gate"), 1), {})])
    called = threading.Event()
    job.add_done_callback(lambda _: called.set())
    job.cancel()
    assert called.wait(20)
    assert cf.wait([job], timeout=5).done == {job}


def test_executor(session):
    with session.executor() as executor:
        assert isinstance(executor, cf.Executor)
        assert executor.submit(pow, 2, 10).result(20) == 1024
        assert list(executor.map(pow, [2, 3], [3, 2], timeout=20, chunksize=4)) == [8, 9]
        with pytest.raises(ZeroDivisionError):
            list(executor.map(lambda x: 1 // x, [1, 0]))
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(pow, 2, 2)
    assert session.submit(pow, 2, 3).result(20) == 8  # the session lives on


def test_executor_cancels_its_own_jobs_only(session, tmp_path):
    gate = tmp_path / "gate"
    mine = session.scatter(jobs.wait_for, [((str(gate), 1), {})])
    executor = session.executor()
    made = [executor.submit(jobs.wait_for, str(tmp_path / "never")) for _ in range(5)]
    executor.shutdown(cancel_futures=True)
    assert all(job.cancelled() for job in made)
    gate.touch()
    assert mine.results() == [1]


def test_a_job_cannot_be_pickled_and_says_so(session):
    job = session.submit(jobs.square, 2)
    with pytest.raises(dsage.UnpicklableError, match="job 1 → \\[0\\] → \\[0\\]"):
        session.submit(jobs.square, job)
    assert job.result(20) == 4
