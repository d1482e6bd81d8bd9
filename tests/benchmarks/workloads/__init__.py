"""The workloads: what is run, on whom, how often. `tests.benchmarks.bench` goes through them in this order."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from tests.benchmarks.peers import OURS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.run import Run

PEERS = (*OURS, "ppe", "pool", "loky", "joblib", "mpire", "executorlib", "ipyparallel", "dask", "ray", "parsl")
"""Who takes part in most of them."""
SLOW = {"joblib", "mpire", "executorlib", "ipyparallel", "dask", "ray", "ray-pool", "parsl"}
"""Peers that take seconds to start, or that few aims are measured against: they have one turn."""


@dataclass(frozen=True)
class Workload:
    """`call`: module and function; `figures`: columns of its table, in order; `rounds`: turns of all but slow peers.

    `stop`: seconds after which one run is given up; `often`: slow peers that have all turns, for an aim is about them.
    """

    name: str
    title: str
    call: str
    figures: tuple[str, ...]
    peers: tuple[str, ...] = PEERS
    rounds: int = 3
    stop: float = 120.0
    often: tuple[str, ...] = ()

    def function(self) -> Callable[[Run], None]:
        """Return what runs it."""
        module, _, name = self.call.partition(":")
        return getattr(import_module(f"{__name__}.{module}"), name)


_ALL = (
    Workload(
        "limits",
        "What the machine allows",
        "limits:limits",
        (
            *("unix_us", "relay_us", "zmq_us", "memcpy_gb_s", "fresh_mb_s", "disk_mb_s"),
            *("dumps_m_s", "loads_m_s", "call_m_s", "python_ms"),
        ),
        ("machine",),
        2,
    ),
    Workload(
        "noop_100k",
        "100,000 no-op jobs in one map, until all results are in a list",
        "noop:noop_100k",
        ("jobs_per_s", "jobs"),
        (*PEERS, "ppe-chunked", "ray-pool"),
        5,
    ),
    Workload(
        "noop_1M",
        "1,000,000 no-op jobs in one map",
        "noop:noop_1m",
        ("jobs_per_s", "jobs"),
        (*OURS, "ppe-chunked", "pool", "loky", "joblib"),
        3,
    ),
    Workload("submit_100k", "100,000 single submits, a handle each", "noop:submit", ("jobs_per_s", "jobs"), rounds=2),
    Workload(
        "held",
        "How long the caller is held",
        "held:held",
        ("scatter_ms", "generator_ms", "generator_mb"),
        rounds=2,
    ),
    Workload(
        "roundtrip",
        "One no-op job there and back, 3,000 times, nothing else running",
        "roundtrip:roundtrip",
        ("p50_us", "p99_us", "rested_us"),
        (*PEERS, "ppe-spawn"),
        5,
    ),
    Workload(
        "echo100",
        "One array of 100 MB there and back, and summed; MB/s of both ways",
        "echo:echo_100",
        ("mb_per_s", "client_mb", "infra_mb", "workers_mb"),
        rounds=5,
        often=("ray",),
    ),
    Workload("echo200", "200 arrays of 1 MB there and back, and summed", "echo:echo_200", ("mb_per_s",)),
    Workload("share", "200 jobs that use one array of 50 MB", "share:share", ("declared_s", "undeclared_s")),
    Workload(
        "start",
        "From nothing to the first result; what the import costs",
        "start:start",
        ("first_s", "import_s"),
        (*PEERS, "ppe-spawn"),
    ),
    Workload(
        "memory",
        "Growth of all processes by 100,000 jobs",
        "memory:memory",
        ("waiting_mb", "finished_mb", "jobs"),
        rounds=2,
    ),
    Workload(
        "hist_10k",
        "10,000 histogram jobs of the workbook",
        "busy:hist_10k",
        ("jobs_per_s", "jobs"),
        (*PEERS, "ppe-chunked", "ray-pool", "bare"),
        5,
    ),
    Workload(
        "hist_100",
        "100 histogram jobs of the workbook",
        "busy:hist_100",
        ("batches_per_s",),
        (*OURS, "ppe", "pool", "loky"),
        5,
    ),
    Workload("seconds_10", "10 jobs of 1 s", "busy:seconds_10", ("over_ideal",), (*OURS, "ppe", "loky"), 1),
    Workload(
        "busy_1ms", "2,000 busy jobs of 1 ms", "busy:busy_1ms", ("efficiency",), (*PEERS, "ppe-chunked", "bare"), 5
    ),
    Workload(
        "busy_10ms", "2,000 busy jobs of 10 ms", "busy:busy_10ms", ("efficiency",), (*PEERS, "ppe-chunked", "bare"), 3
    ),
    Workload(
        "busy_tail",
        "2,000 busy jobs of log-normal lengths with a long tail",
        "busy:busy_tail",
        ("over_greedy", "efficiency"),
        (*PEERS, "ppe-chunked"),
        3,
    ),
    Workload(
        "kill",
        "A worker killed among 200 jobs of 50 ms",
        "kill:kill",
        ("right", "extra_s", "usable"),
        rounds=1,
        stop=150,
    ),
    Workload(
        "widget",
        "1,000,000 no-op jobs while somebody watches",
        "widget:widget",
        ("plain_per_s", "watched_per_s", "widget_per_s", "updates_per_s", "largest_kb"),
        OURS,
    ),
)
WORKLOADS = {workload.name: workload for workload in _ALL}
QUICK = ("noop_100k", "submit_100k", "roundtrip", "echo100", "start", "hist_10k", "hist_100", "seconds_10", "busy_10ms")
QUICK_PEERS = (*OURS, "ppe", "loky")
