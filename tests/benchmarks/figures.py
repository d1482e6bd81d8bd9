"""What was measured: every figure by (workload, peer, name), and how it is written. Kept in report.json."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

Key = tuple[str, str, str]

LABELS = {
    "jobs_per_s": "jobs/s",
    "batches_per_s": "batches/s",
    "plain_per_s": "jobs/s, unwatched",
    "watched_per_s": "watched",
    "widget_per_s": "with widget",
    "updates_per_s": "updates in a second",
    "largest_kb": "largest, KB",
    "jobs": "jobs",
    "scatter_ms": "100,000 jobs, ms",
    "generator_ms": "generator of 10⁷, ms",
    "generator_mb": "its growth in 1 s, MB",
    "p50_us": "median, µs",
    "p99_us": "99th percentile, µs",
    "rested_us": "median after 10 ms of rest, µs",
    "mb_per_s": "MB/s",
    "client_mb": "peak at the client, MB",
    "infra_mb": "in between, MB",
    "workers_mb": "at the workers, MB",
    "declared_s": "declared, s",
    "undeclared_s": "undeclared, s",
    "first_s": "first result, s",
    "import_s": "import, s",
    "waiting_mb": "waiting, MB",
    "finished_mb": "finished, MB",
    "efficiency": "efficiency",
    "over_greedy": "time by greedy schedule's",
    "over_ideal": "time by ideal's",
    "right": "part of the results that is right",
    "extra_s": "more than undisturbed, s",
    "usable": "usable afterwards",
    "unix_us": "socket pair there and back, µs",
    "relay_us": "by a process and a thread in between, µs",
    "zmq_us": "zmq ipc there and back, µs",
    "memcpy_gb_s": "memcpy, GB/s",
    "fresh_mb_s": "fresh shared memory, MB/s",
    "disk_mb_s": "a new file past the cache, MB/s",
    "python_ms": "a bare interpreter, ms",
    "dumps_m_s": "pickle.dumps, M tuples/s",
    "loads_m_s": "pickle.loads, M tuples/s",
    "call_m_s": "f(i) in a loop, M/s",
}


@dataclass
class Figures:
    """`machine`: where and with what; `runs`: the answers of all runs, in the order in which they were made."""

    machine: dict[str, str] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)

    def values(self) -> dict[Key, list[float]]:
        """Return all measurements of each figure."""
        found: dict[Key, list[float]] = {}
        for run in self.runs:
            for name, values in run["figures"].items():
                found.setdefault((run["workload"], run["peer"], name), []).extend(values)
        return found

    def medians(self) -> dict[Key, float]:
        """Return the median of each figure."""
        return {key: statistics.median(values) for key, values in self.values().items() if values}

    def versions(self) -> dict[str, str]:
        """Return the version of each peer."""
        return {run["peer"]: run["version"] for run in self.runs if run.get("version")}

    def remarks(self, workload: str | None = None) -> list[tuple[str, str, str]]:
        """Return (workload, peer, sentence) for all that was not as it should be, each once."""
        found = {}
        for run in self.runs:
            if workload not in (None, run["workload"]):
                continue
            said = list(run["notes"])
            if run["status"] != "ok":
                said.append(f"{run['status']}: {run['reason']}" if run["reason"] else run["status"])
            for sentence in said:
                found[run["workload"], run["peer"], sentence] = None
        return list(found)


def short(value: float) -> str:
    """Write a number with three digits that count, and thousands apart.

    >>> [short(x) for x in (4018766.0, 0.05282, 12.34, 0, 1.5)]
    ['4,020,000', '0.0528', '12.3', '0', '1.50']
    """
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1000:
        digits = len(str(int(size))) - 3
        return f"{round(value, -digits):,.0f}"
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 1:
        return f"{value:.2f}"
    return f"{value:.3g}"


def spread(values: list[float]) -> str:
    """Write a median, and from where to where the measurements lie."""
    middle = short(statistics.median(values))
    if len(values) == 1 or min(values) == max(values):
        return middle
    return f"{middle} ({short(min(values))} to {short(max(values))})"
