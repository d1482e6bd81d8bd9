"""How engines fare beside what they stand on: jobs a second, and 100 MB there and back.

``python -m tests.benchmarks.engines``: each engine and its own per-job call (`client.map`, `f.remote`, `srun`) are
measured in the same run, one after the other, with two workers, all on this host. What is not installed is left out.
What was measured is kept beside the profiles, for the report.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import tempfile
import time
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import jupyter_dsage as dsage
from tests.benchmarks.machine import machine
from tests.dask_cluster import dask_cluster
from tests.process import jobs
from tests.ray_cluster import ray_cluster
from tests.slurm_cluster import slurm_cluster
from tests.sshd import SSHD, sshd
from tests.worker_server import worker_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OURS, THEIRS, FEW = 100_000, 5_000, 20
"""Jobs: so many that each side takes a second or so (`srun` five)."""
TIMES = 3
ARRAY = np.zeros(12_500_000)
KEPT = Path(__file__).parent / "plots" / "engines.json"


def same(value):
    return value


def median(what: Callable[[], object]) -> float:
    """Return the median seconds of some calls, after one that does not count."""
    what()
    seconds = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        what()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def row(
    name: str, api: str, count: int, many: Callable[[], object], echo: Callable[[], object] | None
) -> dict[str, Any]:
    """Measure, print and return one row of the table."""
    rate = count / median(many)
    seconds = median(echo) if echo else None
    told = f"   100 MB echo {seconds:6.2f} s" if seconds else ""
    print(f"{name:10} {api:24} {rate:12,.1f} jobs/s{told}", flush=True)
    return {"engine": name, "api": api, "rate": rate, "echo": seconds}


def ours(name: str, url: str) -> dict[str, Any]:
    """Measure an engine of this package."""
    with dsage.spawn(url, journal=False) as session:
        if not session.wait_for_workers(90):
            raise SystemExit(f"{url}: {session.failures}")
        return row(
            name,
            "jupyter_dsage",
            OURS,
            lambda: session.map(jobs.square, range(OURS)).results(timeout=100),
            lambda: session.submit(same, ARRAY).result(100),
        )


@contextmanager
def local() -> Iterator[tuple[str, Any]]:
    """Give this host's own engine; what it stands on has no API of its own."""
    yield "local:?slots=2", None


@contextmanager
def server() -> Iterator[tuple[str, Any]]:
    """Give a worker server."""
    with worker_server(slots=2) as made:
        yield made.url, None


@contextmanager
def ssh() -> Iterator[tuple[str, Any]]:
    """Give an sshd."""
    with tempfile.TemporaryDirectory() as folder, sshd(Path(folder), slots=2) as made:
        os.environ["DSAGE_SSH"] = made.ssh
        yield made.url, None


@contextmanager
def dask() -> Iterator[tuple[str, Any]]:
    """Give a scheduler and two workers of one thread each; theirs is `client.map`."""
    import distributed

    def theirs() -> dict[str, Any]:
        with distributed.Client(cluster.address) as client:
            return row(
                "dask",
                "client.map",
                THEIRS,
                lambda: client.gather(client.map(jobs.square, range(THEIRS), pure=False)),
                lambda: client.submit(same, client.scatter(ARRAY, hash=False), pure=False).result(),
            )

    with dask_cluster(workers=2, threads=1) as cluster:
        yield f"{cluster.url}?slots=2", theirs


@contextmanager
def ray() -> Iterator[tuple[str, Any]]:
    """Give a head with two CPUs; theirs is a driver's `f.remote`, and `ray.put` for the array."""

    def theirs() -> dict[str, Any]:
        import ray as theirs_  # not before: it reads the environment that the head has set

        theirs_.init(address=head.gcs, log_to_driver=False)
        square, back = theirs_.remote(jobs.square), theirs_.remote(same)
        try:
            return row(
                "ray",
                "f.remote",
                THEIRS,
                lambda: theirs_.get([square.remote(n) for n in range(THEIRS)]),
                lambda: theirs_.get(back.remote(theirs_.put(ARRAY))),
            )
        finally:
            theirs_.shutdown()

    with ray_cluster(2) as head:
        yield f"ray:?slots=2&address={head.gcs}", theirs


@contextmanager
def slurm() -> Iterator[tuple[str, Any]]:
    """Give a Slurm of one node; theirs is `srun`, a process a job, two at a time."""

    def theirs() -> dict[str, Any]:
        step = f"seq {FEW} | xargs -P 2 -I@ srun -Q -n1 true"
        return row("slurm", "srun", FEW, lambda: cluster.run("sh", "-c", step), None)

    with slurm_cluster() as cluster:
        os.environ["SLURM_CONF"] = cluster.conf
        yield cluster.url, theirs


PLACES: dict[str, tuple[Callable[[], AbstractContextManager[tuple[str, Any]]], bool]] = {
    "local": (local, True),
    "dsage": (server, find_spec("cryptography") is not None),
    "ssh": (ssh, SSHD is not None),
    "dask": (dask, find_spec("distributed") is not None),
    "ray": (ray, find_spec("ray") is not None),
    "slurm": (slurm, shutil.which("slurmctld") is not None),
}


def main() -> None:
    """Measure all that are here, and keep it."""
    rows = []
    for name, (place, there) in PLACES.items():
        if not there:
            print(f"{name:10} left out: it is not installed here")
            continue
        with place() as (url, theirs):
            mine = ours(name, url)
            rows.append(mine)
            if theirs is not None:
                rows.append(theirs())
                print(f"{'':10} {mine['rate'] / rows[-1]['rate']:,.0f} times as many jobs a second")
    KEPT.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
