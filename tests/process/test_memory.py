"""Memory is bounded (P10): a million jobs with 1 KB results end in under 1 GB in all, before results are read."""

from __future__ import annotations

import psutil
import pytest

import jupyter_dsage as dsage
from tests.process import jobs

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
