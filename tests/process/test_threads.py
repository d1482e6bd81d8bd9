"""Several threads of the user's, and callbacks, at one batch or job at once: each gets its own, and nothing hangs."""

from __future__ import annotations

import concurrent.futures as cf
import os
import select
import signal
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

import jupyter_dsage as dsage
from jupyter_dsage.client.living import _end_all
from tests.process import jobs
from tests.until import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jupyter_dsage.client.job import Job


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns at almost every step that they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Make calls at the same moment, each in its thread; return what they return, raise what one raises."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        start.wait()
        return call()

    with cf.ThreadPoolExecutor(len(calls)) as threads:
        return [each.result(60) for each in [threads.submit(run, call) for call in calls]]


def in_fork(call: Callable[[], Any]) -> str:
    """Make a call in a fork of this process; return the name of what it raised, or what became of it."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            call()
            os.write(write, b"nothing")
        except BaseException as error:  # noqa: BLE001  (told to the test)
            os.write(write, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as told:
        came = select.select([told], [], [], 10)[0]
        if not came:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return told.read().decode() if came else "it hung"


def test_hundreds_of_callbacks_that_submit_and_watch_what_they_submitted_are_all_called(session, tmp_path):
    batch = session.scatter(jobs.wait_for, [((str(tmp_path / "gate"), n), {}) for n in range(500)])
    seen: list[int] = []

    def again(job: Job) -> None:
        session.submit(abs, -job.index).add_done_callback(lambda done: seen.append(done.result()))

    for job in batch:
        job.add_done_callback(again)
    batch.cancel()  # all of them end in one step
    until(lambda: len(seen) == 500, what=lambda: f"500 results, of which {len(seen)} came,")
    assert sorted(seen) == list(range(500))


def test_what_waits_in_a_fork_raises(session, tmp_path):
    batch = session.scatter(jobs.wait_for, [((str(tmp_path / "gate"), 1), {})])
    job = session.submit(jobs.wait_for, str(tmp_path / "gate"), 2)
    assert job.index == 0
    waits = (batch.wait, batch.results, batch[0].result, job.result, lambda: list(batch.as_completed()), session.settle)
    assert [in_fork(call) for call in waits] == ["SessionLost"] * len(waits)
    (tmp_path / "gate").touch()
    assert (batch.results(timeout=20), job.result(20)) == ([1], 2)


@pytest.mark.usefixtures("nothing_left")
def test_a_fork_that_exits_leaves_what_is_still_to_be_read_after_the_end():
    np = pytest.importorskip("numpy")
    with dsage.spawn("local:?slots=1") as session:
        batch = session.map(lambda number: np.full(20_000, number), range(3))
        assert batch.wait(20)
        assert int(batch[1].result(20)[0]) == 1  # read, and held by nobody: it stands in the journal only
        store = session.store
    assert store is not None
    assert store.exists()
    assert in_fork(_end_all) == "nothing"  # as at the exit of a fork
    assert [int(value[0]) for value in batch.results()] == [0, 1, 2]


@dataclass(frozen=True)
class RefusesNotesError(Exception):
    place: int = 0


def test_what_a_generator_raised_is_told_also_where_it_refuses_to_be_changed(session):
    def numbers() -> Iterator[int]:
        yield from range(5)
        raise RefusesNotesError

    with pytest.raises(RefusesNotesError) as caught:
        session.map(abs, numbers()).results(timeout=20)
    assert "5 had been drawn" in caught.value.__notes__[0]


@pytest.mark.slow
@pytest.mark.parametrize("journal", [False, True])
@pytest.mark.usefixtures("switching", "nothing_left")
def test_threads_and_callbacks_that_read_the_same_outcomes_all_have_them(journal):
    np = pytest.importorskip("numpy")
    wrong: list[BaseException] = []

    def array(number: int) -> Any:
        return np.full(20_000, number)

    def read(job: Job) -> None:
        try:
            assert (job.result() == job.index).all()
        except BaseException as error:  # noqa: BLE001  (a callback's is logged only)
            wrong.append(error)

    with dsage.spawn("local:?slots=2", journal=journal) as session:
        for _ in range(60):
            batch = session.map(array, range(6))
            for job in batch:
                job.add_done_callback(read)
            for values in together(*[lambda: batch.results(timeout=30)] * 3):  # noqa: B023  (called at once)
                assert [int(value[0]) for value in values] == list(range(6))
            singles = [session.submit(array, number) for number in range(4)]
            for values in together(*[lambda: [job.result(30) for job in singles]] * 3):  # noqa: B023
                assert [int(value[0]) for value in values] == list(range(4))
    assert wrong == []


@pytest.mark.slow
@pytest.mark.usefixtures("switching")
def test_threads_that_watch_the_same_jobs_are_all_told_of_their_end(session):
    called: list[int] = []

    def watch(futures: list[Job]) -> None:
        for job in futures:
            job.add_done_callback(lambda job: called.append(job.index))
        assert not cf.wait(futures, timeout=20).not_done
        assert len(list(cf.as_completed(futures, timeout=20))) == len(futures)

    for done in range(1, 801):
        futures = [session.submit(abs, -number) for number in range(8)]
        together(*[lambda: watch(futures)] * 3)  # noqa: B023
        until(lambda: len(called) == done * 24, seconds=20, what="a callback")  # noqa: B023


@pytest.mark.slow
@pytest.mark.usefixtures("switching")
def test_results_that_are_read_while_others_retry_are_those_of_their_jobs(session):
    def sometimes(number: int) -> int:
        import random

        if random.random() < 0.5:
            raise ValueError(number)
        return number

    for count in (1, 2, 30) * 10:
        batch = session.map(sometimes, range(count))

        def look() -> None:
            while not batch.ready() or batch.failed:  # noqa: B023
                found = batch.results("return", timeout=20)  # noqa: B023
                assert [getattr(value, "args", (value,))[0] for value in found] == list(range(count))  # noqa: B023

        def retry() -> None:
            until(lambda: not batch.retry() and batch.ready() and not batch.failed)  # noqa: B023

        together(look, look, retry)
        assert batch.results(timeout=20) == list(range(count))
