"""How engines fare beside what they stand on: jobs a second, and 100 MB there and back.

``python -m tests.benchmarks.engines``: each engine and its own per-job call (`client.map`) are measured in the same
run, one after the other, with two workers. What is not installed is left out.
"""

from __future__ import annotations

import statistics
import time
from importlib.util import find_spec

import numpy as np

import jupyter_dsage as dsage
from tests.dask_cluster import dask_cluster
from tests.process import jobs

OURS, THEIRS = 100_000, 5_000
"""Jobs: so many that each side takes a second or so."""
TIMES = 3
ARRAY = np.zeros(12_500_000)


def same(value):
    return value


def median(what) -> float:
    """Return the median seconds of some calls, after one that does not count."""
    what()
    seconds = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        what()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def told(name: str, count: int, jobs_seconds: float, echo_seconds: float) -> float:
    """Print a line; return the jobs a second."""
    rate = count / jobs_seconds
    print(f"{name:24} {rate:12,.0f} jobs/s   100 MB echo {echo_seconds:6.2f} s", flush=True)
    return rate


def ours(url: str) -> float:
    """Measure an engine of this package."""
    with dsage.spawn(url, journal=False) as session:
        if not session.wait_for_workers(90):
            raise SystemExit(f"{url}: {session.failures}")
        many = median(lambda: session.map(jobs.square, range(OURS)).results(timeout=100))
        echo = median(lambda: session.submit(same, ARRAY).result(100))
    return told(url.partition("?")[0], OURS, many, echo)


def dask() -> None:
    """Measure `dask://` and `client.map` on one cluster."""
    import distributed

    with dask_cluster(workers=2, threads=1) as cluster:
        mine = ours(f"{cluster.url}?slots=2")
        with distributed.Client(cluster.address) as client:
            many = median(lambda: client.gather(client.map(jobs.square, range(THEIRS), pure=False)))
            echo = median(lambda: client.submit(same, client.scatter(ARRAY, hash=False), pure=False).result())
        theirs = told("  Dask's client.map", THEIRS, many, echo)
    print(f"  ours: {mine / theirs:.0f} times as many jobs a second")


if __name__ == "__main__":
    ours("local:?slots=2")
    if find_spec("distributed"):
        dask()
