"""Jobs of microseconds keep every promise, though workers run them in strides (`worker.stride`)."""

from __future__ import annotations

import collections
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

import jupyter_dsage as dsage
from jupyter_dsage import settings
from tests.process import jobs
from tests.until import until

COUNT = 20_000
WHICH = 15_000


def begin(session, function, path, *rest):
    """Begin the jobs; the functions' first jobs are seen to one by one, so that the odd one is in a stride."""
    return session.scatter(function, [((str(path), number, *rest), {}) for number in range(COUNT)])


def runs(path):
    return collections.Counter(jobs.marks(path))


def test_every_job_runs_once_and_gives_its_own_value(session, tmp_path):
    batch = begin(session, jobs.marked, tmp_path / "marks")
    assert batch.results(timeout=60) == list(range(COUNT))
    assert runs(tmp_path / "marks") == dict.fromkeys(range(COUNT), 1)
    assert batch[WHICH].output == ""


def test_a_worker_killed_in_a_stride_costs_nobody_but_its_job(session, tmp_path):
    batch = begin(session, jobs.marked_and_killed, tmp_path / "marks", WHICH, 1)
    assert batch.results(timeout=60) == list(range(COUNT))
    again = {number for number, count in runs(tmp_path / "marks").items() if count > 1}
    assert WHICH in again
    # Who was not told of yet runs again: 10 ms of work at most, all of it just before the job that killed.
    assert max(again) == WHICH
    assert max(runs(tmp_path / "marks").values()) == 2


def test_a_job_that_kills_its_workers_is_named_exactly(session, tmp_path):
    batch = begin(session, jobs.marked_and_killed, tmp_path / "marks", WHICH, settings.LOSS_ATTEMPTS)
    values = batch.results(errors="return", timeout=60)
    lost = values[WHICH]
    assert isinstance(lost, dsage.WorkerLost)
    assert f"Job {WHICH} of batch" in str(lost)
    assert "signal 9" in str(lost)
    assert values[:WHICH] + values[WHICH + 1 :] == [number for number in range(COUNT) if number != WHICH]
    assert runs(tmp_path / "marks")[WHICH] == settings.LOSS_ATTEMPTS


@pytest.mark.parametrize(("way", "error"), [("raise", ValueError), ("exit", dsage.JobExitedError)])
def test_an_error_is_that_of_its_job_only(session, tmp_path, way, error):
    batch = begin(session, jobs.odd_one, tmp_path / "marks", WHICH, way)
    values = batch.results(errors="return", timeout=60)
    assert isinstance(values[WHICH], error)
    assert values[:WHICH] + values[WHICH + 1 :] == [number for number in range(COUNT) if number != WHICH]
    assert runs(tmp_path / "marks") == dict.fromkeys(range(COUNT), 1)


def test_what_a_job_prints_is_its_own(session, tmp_path):
    batch = begin(session, jobs.odd_one, tmp_path / "marks", WHICH, "print")
    assert batch.results(timeout=60) == list(range(COUNT))
    assert batch[WHICH].output == f"here {WHICH}\n"
    assert [batch[number].output for number in (WHICH - 1, WHICH + 1)] == ["", ""]


def test_a_stream_that_a_job_takes_away_is_there_again(session, tmp_path):
    assert begin(session, jobs.odd_one, tmp_path / "marks", WHICH, "replace").results(timeout=60) == list(range(COUNT))
    printed = session.submit(print, "still heard")
    assert printed.result(20) is None
    assert printed.output == "still heard\n"


def test_a_list_that_is_returned_and_changed_later_is_what_it_was(session):
    values = session.map(jobs.shared_list, range(6000)).results(timeout=60)
    assert values == [*range(3000), *([number] for number in range(3000, 6000))]


@pytest.mark.parametrize("way", ["wait", "swallow"])
def test_a_long_one_among_them_can_be_cancelled_alone(session, tmp_path, way):
    batch = begin(session, jobs.odd_one, tmp_path / "marks", WHICH, way)
    until(lambda: WHICH in jobs.marks(tmp_path / "marks"))
    assert batch[WHICH].cancel()
    with pytest.raises(CancelledError):
        batch[WHICH].result(10)
    values = batch.results(errors="skip", timeout=60)
    assert values == [number for number in range(COUNT) if number != WHICH]
    assert runs(tmp_path / "marks") == dict.fromkeys(range(COUNT), 1)


def test_a_long_one_among_them_does_not_hold_up_the_others(session, tmp_path):
    batch = begin(session, jobs.odd_one, tmp_path / "marks", WHICH, "wait")
    until(lambda: batch.counts["finished"] >= COUNT - settings.SEGMENT_JOBS)  # all but those of its own stride
    Path(f"{tmp_path}/marks.go").touch()
    assert batch.results(timeout=60) == list(range(COUNT))
    assert runs(tmp_path / "marks") == dict.fromkeys(range(COUNT), 1)


def test_cancelling_all_of_them_ends_them(session, tmp_path):
    batch = begin(session, jobs.odd_one, tmp_path / "marks", WHICH, "wait")
    until(lambda: WHICH in jobs.marks(tmp_path / "marks"))
    batch.cancel()
    assert batch.wait(10)
    assert session.submit(jobs.square, 3).result(20) == 9
    assert max(runs(tmp_path / "marks").values()) == 1


# --- single ones ------------------------------------------------------------------------------------------------


def test_a_loop_over_submit_keeps_the_order_of_what_is_asked(session):
    first = [session.submit(jobs.square, number) for number in range(3000)]
    words = [session.submit(str, number) for number in range(100)]
    mixed = [
        session.submit(jobs.square, number) if number % 2 else session.submit(len, "x" * number)
        for number in range(400)
    ]
    last = [session.submit(jobs.square, float(number)) for number in range(3000)]
    assert [job.result(30) for job in first] == [number**2 for number in range(3000)]
    assert [job.result(30) for job in words] == [str(number) for number in range(100)]
    assert [job.result(30) for job in mixed] == [number**2 if number % 2 else number for number in range(400)]
    assert [job.result(30) for job in last] == [float(number) ** 2 for number in range(3000)]
    batch = session.batches["submit"]
    assert len(batch) == 6500
    assert all(batch[job.index] is job for job in (*first, *words, *mixed, *last))


def test_what_is_submitted_after_a_cancel_is_not_cancelled(session, tmp_path):
    held = [session.submit(jobs.wait_for, str(tmp_path / "go"), number) for number in range(2)]
    before = [session.submit(jobs.square, number) for number in range(500)]
    session.batches["submit"].cancel()
    after = [session.submit(jobs.square, number) for number in range(500)]
    assert [job.result(30) for job in after] == [number**2 for number in range(500)]
    assert all(job.cancelled() for job in (*held, *before))


def test_results_of_a_loop_are_those_of_each_job(session):
    batch = session.map(jobs.square, range(9000))
    jobs_there = list(batch)
    assert [job.result(30) for job in jobs_there] == [number**2 for number in range(9000)]
    assert [job.result() for job in reversed(jobs_there)] == [number**2 for number in reversed(range(9000))]
