"""Jobs that do nothing: what one job costs, in a map and by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks import jobs
from tests.benchmarks.run import timed

if TYPE_CHECKING:
    from tests.benchmarks.run import Run


def noop_100k(run: Run) -> None:
    _map(run, 100_000)


def noop_1m(run: Run) -> None:
    _map(run, 1_000_000)


def _map(run: Run, wanted: int) -> None:
    peer = run.open()
    count = run.count(wanted, peer.most_mapped, least=100)
    expected = list(range(count))

    def once() -> float:
        seconds, values = timed(lambda: peer.map_many(jobs.noop, range(count)))
        assert values == expected
        return count / seconds

    run.add("jobs_per_s", *run.repeat(once, most=5))
    run.add("jobs", count)


def submit(run: Run) -> None:
    peer = run.open()
    count = run.count(100_000, peer.most_single, least=100)
    expected = list(range(count))

    def once() -> float:
        seconds, values = timed(lambda: peer.gather(peer.begin_single(jobs.noop, range(count))))
        assert values == expected
        return count / seconds

    run.add("jobs_per_s", *run.repeat(once))
    run.add("jobs", count)
