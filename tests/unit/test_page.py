"""The shared page: what runs is told in pairs that belong together, and a recall never takes a job that runs.

The hammer runs in a process of its own (this file, as a script), which forks a worker: the real `Runner` on one
side, the real recall of `Supervisor` on the other.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import pytest

from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m
from jupyter_dsage.worker.loading import Payloads
from jupyter_dsage.worker.offered import Services
from jupyter_dsage.worker.output import Output
from jupyter_dsage.worker.page import (
    ENTRIES,
    JOB,
    NO_LIMIT,
    SEQUENCE,
    STARTED,
    WHY_CANCEL,
    WHY_MEMORY,
    WHY_TIMEOUT,
    Page,
)
from jupyter_dsage.worker.run import Runner
from jupyter_dsage.worker.supervisor import Supervisor

RECALLS = 2000
CLAIMS = 500
"""Recalls that must have found something unstarted, so that the hammer has hit."""
JOBS = 200
"""Jobs of one lease; lease n has the jobs from n * JOBS on."""
LEASES = 100_000


def start(page: Page, lease: int, first: int, job: int) -> None:
    page.begin(lease, first)
    page.words[JOB] = job
    page.words[STARTED] = 1234


@pytest.fixture
def page() -> Any:
    made = Page()
    yield made
    made.close()


# --- one side at a time --------------------------------------------------------------------------------------


def test_a_page_says_what_runs(page: Page) -> None:
    assert page.running().job is None
    page.begin(7, 100)
    assert page.running()[:3] == (7, None, 100)
    start(page, 7, 100, 100)
    assert page.running() == (7, 100, 101, 1234)
    page.words[JOB] = 105
    assert page.running()[:3] == (7, 105, 106)
    page.end()
    assert page.running()[:3] == (7, None, 106)
    page.begin(8, 0)
    assert page.running()[:3] == (8, None, 0)


def test_a_worker_that_died_while_it_changed_the_page_ran_no_job(page: Page) -> None:
    start(page, 7, 100, 103)
    page.words[SEQUENCE] += 1
    assert page.running().job is None


def test_what_was_recalled_is_limited_lease_by_lease(page: Page) -> None:
    assert page.limit(1) == NO_LIMIT
    page.recall(1, 10)
    page.recall(2, 20)
    assert (page.limit(1), page.limit(2), page.limit(3)) == (10, 20, NO_LIMIT)
    page.recall(1, 15)
    assert page.limit(1) == 10, "a later recall gives nothing back"
    page.recall(1, 5)
    assert page.limit(1) == 5


def test_of_many_recalls_those_of_the_latest_leases_stay(page: Page) -> None:
    for lease in range(1, 100):
        page.recall(lease, lease * 10)
        latest = range(max(1, lease - ENTRIES + 1), lease + 1)
        assert [page.limit(at) for at in latest] == [at * 10 for at in latest]
    assert page.limit(50) == NO_LIMIT


@pytest.mark.parametrize(
    ("lease", "limit", "unstarted"),
    [
        (6, 100, 110),  # that lease is over: nothing of it is unstarted
        (8, 100, 100),  # that one has not begun: nothing of it will start
        (7, 100, 104),  # behind the job that runs
        (7, 104, 104),
        (7, 108, 108),
        (7, 110, 110),
    ],
)
def test_where_no_job_will_start(page: Page, lease: int, limit: int, unstarted: int) -> None:
    start(page, 7, 100, 103)
    assert page.unstarted(lease, limit, 110) == unstarted


def test_a_cancel_tells_the_job_that_it_meets(page: Page) -> None:
    start(page, 7, 100, 103)
    assert page.cancel(7, 103, 104) == 103
    assert page.why_to_end() == WHY_CANCEL
    page.words[JOB] = 104
    assert page.why_to_end() is None, "the next job is not meant"
    assert page.cancel(7, 100, 110) == 104
    assert page.cancel(7, 105, 110) is None
    assert page.cancel(6, 100, 110) is None
    assert page.why_to_end() is None
    page.cancel(7, 100, 110)
    page.end()
    assert page.why_to_end() is None


def test_a_cancel_for_a_lease_does_not_meet_the_next_one(page: Page) -> None:
    start(page, 7, 100, 103)
    page.cancel(7, 100, 110)
    start(page, 8, 100, 103)
    assert page.why_to_end() is None


@pytest.mark.parametrize("why", [WHY_TIMEOUT, WHY_MEMORY])
def test_an_overstepped_limit_meets_the_job_that_was_seen_and_no_other(page: Page, why: int) -> None:
    start(page, 7, 100, 103)
    seen = page.running()
    assert page.overstep(seen, why)
    assert page.why_to_end() == why
    assert page.cancel(7, 105, 110) is None
    assert page.why_to_end() == why, "a cancel of others changes nothing"
    page.words[JOB] = 104
    assert page.why_to_end() is None
    assert not page.overstep(seen, why), "it runs no more"
    assert page.why_to_end() is None
    start(page, 8, 100, 103)
    assert page.why_to_end() is None, "nor is the same number of another lease meant"


def test_of_a_dead_worker_the_last_job_is_known_though_its_lease_had_ended(page: Page) -> None:
    page.begin(7, 100)
    assert page.running(last=True).job is None
    start(page, 7, 100, 103)
    page.end()
    assert page.running().job is None
    assert page.running(last=True)[:2] == (7, 103)


# --- both sides at once --------------------------------------------------------------------------------------


@pytest.mark.timeout(400)  # it needs two processors; on a busy machine they come late
def test_no_job_is_both_run_and_recalled_and_none_is_forgotten() -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
        worker = Path(folder, "worker.out").read_text("utf-8")
    assert (done.returncode, worker, done.stderr) == (0, "", "")
    figures = json.loads(done.stdout)
    assert figures["recalls"] >= RECALLS
    assert figures["claims"] >= CLAIMS


class Shared:
    """What both processes write down: how often each job ran, and up to where each lease told."""

    def __init__(self) -> None:
        self.ran = mmap.mmap(-1, (LEASES + 1) * JOBS)
        self.told = memoryview(mmap.mmap(-1, (LEASES + 2) * 8)).cast("q")
        self.stop = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("q")


def be_worker(page: Page, shared: Shared, folder: str) -> None:
    """Run lease after lease until told to stop, with jobs of some microseconds and pauses between leases."""
    rng = random.Random(1)

    class Segment:
        def __getitem__(self, number: int) -> Any:
            return (number,), {}

    def job(number: int) -> None:
        shared.ran[number] += 1
        for _ in range(rng.randrange(200)):
            pass

    def send(message: m.Report, *_data: bytes) -> None:
        if message.ended:
            shared.told[message.lease] = message.stop

    payloads = Payloads(Services(), ("", ()), follow=False)
    runner = Runner(page, Output(os.path.join(folder, "worker.out"), page, ""), send, os.getppid(), payloads)  # noqa: PTH118
    runner.payloads._functions["job"] = job
    runner.payloads._segments[1] = Segment()  # type: ignore[assignment]
    for lease in range(1, LEASES + 1):
        if shared.stop[0]:
            return
        runner.run(m.RunJobs(lease, "job", 1, 0, lease * JOBS, (lease + 1) * JOBS, ()))
        pause = time.perf_counter() + rng.choice([0, 0, 0.0005, 0.004])
        while time.perf_counter() < pause:
            continue
    raise AssertionError("the leases did not last")


class Sink:
    """Stands for the link to the child: keeps the supervisor's answers."""

    def __init__(self) -> None:
        self.answers: list[m.Recalled] = []

    def send(self, frames: list[Any]) -> None:
        message, _ = codec.from_supervisor(frames)
        assert isinstance(message, m.Recalled)
        self.answers.append(message)


def recall_at_random(page: Page, worker: int) -> dict[int, int]:
    """Recall leases while they run, or before they begin; return lease -> from where on it was claimed."""
    rng, sink, claimed = random.Random(2), Sink(), dict[int, int]()
    supervisor = Supervisor(sink)  # type: ignore[arg-type]
    supervisor._pages[1] = page
    hits = 0
    while len(claimed) < RECALLS or hits < CLAIMS:
        ended = os.waitid(os.P_PID, worker, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        assert ended is None, "the worker has ended; worker.out says why"
        running = page.running()
        assert running.lease * JOBS <= running.next <= (running.lease + 1) * JOBS or running.lease == 0, running
        if running.job is not None:
            assert running.job // JOBS == running.lease, running
        lease = running.lease + rng.choice([0, 0, 0, 1])
        if lease in claimed or lease == 0 or rng.random() < 0.5:
            continue
        supervisor._recall(m.Recall(1, lease, lease * JOBS, (lease + 1) * JOBS))
        while supervisor._later:
            supervisor._do_due()
        claimed[lease] = sink.answers.pop().start
        hits += claimed[lease] < (lease + 1) * JOBS
    for end in supervisor._signals:
        end.close()
    supervisor._selector.close()
    return claimed


def check(shared: Shared, claimed: dict[int, int]) -> dict[str, int]:
    """Compare what ran with what was claimed, lease by lease; return the figures."""
    last = next(lease for lease in range(1, LEASES + 2) if shared.told[lease] == 0) - 1
    by_report = 0
    for lease in range(1, last + 1):
        first, stop, told = lease * JOBS, (lease + 1) * JOBS, shared.told[lease]
        ran = shared.ran[first:stop]
        assert ran == b"\1" * (told - first) + b"\0" * (stop - told), f"lease {lease} ran {ran!r} and told {told}"
        if lease in claimed:
            assert told <= claimed[lease], f"lease {lease} ran to {told} and was claimed from {claimed[lease]}"
            # What it neither ran nor was claimed is the child's again by the report that ends the lease.
            by_report += claimed[lease] - told
        else:
            assert told == stop, f"lease {lease} stopped at {told} though nobody recalled it"
    claims = sum(start < (lease + 1) * JOBS for lease, start in claimed.items())
    return {"leases": last, "recalls": len(claimed), "claims": claims, "by_report": by_report}


def hammer(folder: str) -> dict[str, int]:
    page, shared = Page(), Shared()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            be_worker(page, shared, folder)
            code = 0
        except BaseException:  # noqa: BLE001 - the forked process ends here whatever happens
            Path(folder, "worker.out").write_text(traceback.format_exc(), "utf-8")
        finally:
            os._exit(code)
    try:
        claimed = recall_at_random(page, pid)
    finally:
        shared.stop[0] = 1
        _, status = os.waitpid(pid, 0)
    assert status == 0
    return check(shared, claimed)


if __name__ == "__main__":
    print(json.dumps(hammer(sys.argv[1])))  # noqa: T201
