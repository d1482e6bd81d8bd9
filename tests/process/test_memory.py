"""Memory is bounded (P10): a million jobs with 1 KB results end in under 1 GB in all, before results are read.

And what was read, and is on disk too, is kept by who read it alone.
"""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psutil
import pytest

import jupyter_dsage as dsage
from jupyter_dsage import JournalError
from tests.process import jobs
from tests.until import until

JOBS = 1_000_000
MOST = 1_000_000_000


@pytest.mark.parametrize("journal", [True, False])
def test_a_million_results_of_1_kb(journal):
    with dsage.spawn("local:?slots=2", journal=journal) as session:
        assert session.wait_for_workers(30)
        child = psutil.Process(session.pid)
        processes = [psutil.Process(), child, *child.children()]  # kernel, child and supervisor
        before = psutil.Process().memory_info().rss
        batch = session.map(jobs.kilobyte, range(JOBS))
        most = 0
        while not batch.wait(0.05):
            most = max(most, sum(process.memory_info().rss for process in processes) - before)
        assert batch.counts["finished"] == JOBS
        assert most < MOST, f"{most / 1e6:.0f} MB"
        assert batch[JOBS - 1].result() == jobs.kilobyte(JOBS - 1)
        assert batch[0].result() == jobs.kilobyte(0)


def test_a_large_value_is_kept_by_who_looks_at_it_and_read_again():
    with dsage.spawn("local:?slots=1") as session:
        batch = session.map(jobs.megabyte, range(3))
        first = batch[0].result(30)
        assert batch[0].result() is first
        assert batch.results(timeout=30)[0] is first
        gone = weakref.ref(first)
        del first
        gc.collect()
        assert gone() is None, "the client holds it"
        assert [value[0] for value in batch.results()] == [0, 1, 2]
    assert [job.result()[0] for job in batch] == [0, 1, 2], "the session's end took a value along"


@pytest.mark.needs("linux")
@pytest.mark.parametrize("journal", [True, False])
def test_values_that_are_read_and_dropped_leave_no_memory_behind(journal):
    with dsage.spawn("local:?slots=1", journal=journal) as session:
        for number in range(40):
            assert session.submit(jobs.megabyte, number).result(30)[0] == number
        gc.collect()
        mapped = Path("/proc/self/maps").read_text().count("memfd:dsage")
        assert mapped <= 2, f"{mapped} of 40 values are still mapped"


def test_without_a_journal_the_large_value_of_a_single_job_is_kept_by_the_job():
    with dsage.spawn("local:?slots=1", journal=False) as session:
        job, other = session.submit(jobs.megabyte, 1), session.submit(jobs.megabyte, 2)
        value = job.result(30)
        assert job.result() is value
        assert session.batches["submit"][0] is job
        assert session.batches["submit"][1].result(30) is other.result()
        assert session.batches["submit"].results(timeout=30)[0] is value
        del job, value
        gc.collect()
        with pytest.raises(JournalError, match="Job 0 returned a large value"):
            session.batches["submit"][0].result()
        assert other.result()[0] == 2


def test_without_a_journal_values_stay():
    with dsage.spawn("local:?slots=1", journal=False) as session:
        batch = session.map(jobs.megabyte, range(3))
        assert [value[0] for value in batch.results(timeout=30)] == [0, 1, 2]
        gc.collect()
        assert [value[0] for value in batch.results()] == [0, 1, 2]


@pytest.mark.parametrize("journal", [True, False])
@pytest.mark.parametrize(("items", "count", "least"), [(125_000, 40, 39), (500, 600, 150)])
def test_values_are_read_while_the_rest_still_runs(journal, items, count, least, tmp_path):
    """Large ones as they come, so that they need not be put away; and what is gathered is those very objects."""
    jobs.READ.clear()
    go, held = tmp_path / "go", 3
    with dsage.spawn("local:?slots=2", journal=journal) as session, ThreadPoolExecutor(1) as pool:
        batch = session.map(partial(jobs.large_unless_held, held, str(go), items), range(count))
        gathering = pool.submit(batch.results, timeout=30)
        until(lambda: least <= len(jobs.READ) < count)
        assert not gathering.done()
        go.touch()
        values = gathering.result(30)
        assert [(value.number, float(value.data[0])) for value in values] == [(n, float(n)) for n in range(count)]
        assert sorted(jobs.READ) == list(range(count))
        assert batch.results() == values


@pytest.mark.parametrize("on", [True, False])
def test_the_garbage_collector_rests_while_results_are_gathered_and_is_then_as_it_was(session, on):
    batch = session.map(jobs.notes_collector, [1, 2, -3])
    assert batch.wait(30)
    try:
        if not on:
            gc.disable()
        assert batch.results(errors="skip") == [False, False]
        assert gc.isenabled() is on
        with pytest.raises(ValueError, match="-3"):
            batch.results()
        assert gc.isenabled() is on
    finally:
        gc.enable()
