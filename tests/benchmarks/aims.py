"""The aims, as one table: report and verdicts come from it, and nothing else says what we promise.

An aim compares the median of a figure of ours with a number, or with a factor times the median of another figure of the
same run of the suite. `verdict` does the arithmetic; it knows no process and no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tests.benchmarks.peers import OURS

if TYPE_CHECKING:
    from collections.abc import Mapping

    Medians = Mapping[tuple[str, str, str], float]


@dataclass(frozen=True)
class Aim:
    """``figure of ours (sense) factor x figure of the other``; without another the factor is the number itself.

    `than`: (peer, figure) in the same workload, or (peer, figure, workload); the peer ``"self"`` is the variant judged.
    """

    workload: str
    text: str
    figure: str
    sense: Literal[">=", "<="]
    factor: float
    than: tuple[str, ...] = ()
    ours: tuple[str, ...] = OURS
    beyond: bool = False
    """More than we promise: judged, but it does not count."""


@dataclass(frozen=True)
class Verdict:
    """`state`: met, MISSED or unknown; `by`: the part by which it was missed (or, if negative, kept)."""

    aim: Aim
    ours: str
    state: Literal["met", "MISSED", "unknown"]
    measured: float | None = None
    bound: float | None = None
    ratio: float | None = None
    """Ours by the other's."""
    by: float | None = None

    def __str__(self) -> str:
        if self.state == "unknown" or self.by is None:
            return "unknown: not measured"
        return f"MISSED by {self.by:.0%}" if self.state == "MISSED" else "met"


JOURNALLED, PLAIN = OURS[:1], OURS[1:]

AIMS = (
    Aim("noop_100k", "no-ops: 200 times ProcessPoolExecutor", "jobs_per_s", ">=", 200, ("ppe", "jobs_per_s"), PLAIN),
    Aim("noop_100k", "no-ops: 0.8 times Pool.map", "jobs_per_s", ">=", 0.8, ("pool", "jobs_per_s"), PLAIN),
    Aim("noop_100k", "no-ops, journal: 100 times PPE", "jobs_per_s", ">=", 100, ("ppe", "jobs_per_s"), JOURNALLED),
    Aim(
        "noop_100k",
        "the journal costs at most 15 % of the throughput",
        "jobs_per_s",
        ">=",
        0.85,
        ("dsage-nojournal", "jobs_per_s"),
        JOURNALLED,
    ),
    Aim(
        "noop_1M", "a million no-ops: not slower than Pool.map", "jobs_per_s", ">=", 1.0, ("pool", "jobs_per_s"), PLAIN
    ),
    Aim(
        "noop_1M",
        "a job costs no more among a million than among 100,000",
        "jobs_per_s",
        ">=",
        1.0,
        ("self", "jobs_per_s", "noop_100k"),
        PLAIN,
    ),
    Aim("submit_100k", "single submits: 80 times PPE", "jobs_per_s", ">=", 80, ("ppe", "jobs_per_s")),
    Aim("held", "scatter of 100,000 holds the caller below 10 ms", "scatter_ms", "<=", 10),
    Aim("held", "a generator of ten million holds the caller below 10 ms", "generator_ms", "<=", 10),
    Aim("held", "and takes below 50 MB in the caller's process", "generator_mb", "<=", 50),
    Aim("roundtrip", "median: not above PPE's", "p50_us", "<=", 1.0, ("ppe", "p50_us")),
    Aim("roundtrip", "99th percentile: at most twice PPE's", "p99_us", "<=", 2.0, ("ppe", "p99_us")),
    Aim(
        "roundtrip",
        "beyond: 99th percentile at most twice PPE's median",
        "p99_us",
        "<=",
        2.0,
        ("ppe", "p50_us"),
        beyond=True,
    ),
    Aim("echo100", "100 MB: 1.2 times Ray", "mb_per_s", ">=", 1.2, ("ray", "mb_per_s")),
    Aim("echo100", "100 MB: 6 times loky", "mb_per_s", ">=", 6, ("loky", "mb_per_s")),
    Aim("echo100", "one copy at the client", "client_mb", "<=", 110),
    Aim("echo100", "one copy at the worker", "workers_mb", "<=", 110),
    Aim("echo100", "none in between", "infra_mb", "<=", 10),
    Aim("echo200", "200 x 1 MB: 4 times loky", "mb_per_s", ">=", 4, ("loky", "mb_per_s")),
    Aim("share", "undeclared, not slower than ray.put", "undeclared_s", "<=", 1.0, ("ray", "declared_s")),
    Aim("start", "first result: 1.5 times PPE with spawn", "first_s", "<=", 1.5, ("ppe-spawn", "first_s")),
    Aim("start", "the import costs at most 0.1 s", "import_s", "<=", 0.1),
    Aim("memory", "100,000 waiting jobs take at most 10 MB", "waiting_mb", "<=", 10),
    Aim("memory", "100,000 finished jobs take at most 20 MB", "finished_mb", "<=", 20),
    Aim("hist_10k", "10,000 histograms: 3.5 times PPE", "jobs_per_s", ">=", 3.5, ("ppe", "jobs_per_s")),
    Aim("hist_10k", "10,000 histograms: not slower than Pool.map", "jobs_per_s", ">=", 1.0, ("pool", "jobs_per_s")),
    Aim("hist_100", "100 histograms: not slower than PPE", "batches_per_s", ">=", 1.0, ("ppe", "batches_per_s")),
    Aim("seconds_10", "10 jobs of 1 s take at most 5 % more than 5 s", "over_ideal", "<=", 1.05),
    Aim("busy_1ms", "jobs of 1 ms: efficiency 0.93", "efficiency", ">=", 0.93),
    Aim("busy_1ms", "beyond: 0.95", "efficiency", ">=", 0.95, beyond=True),
    Aim("busy_10ms", "jobs of 10 ms: efficiency 0.95", "efficiency", ">=", 0.95),
    Aim("busy_10ms", "beyond: 0.97", "efficiency", ">=", 0.97, beyond=True),
    Aim("busy_tail", "long tail: within 5 % of a greedy schedule at no cost", "over_greedy", "<=", 1.05),
    Aim("kill", "all 200 results are right", "right", ">=", 1),
    Aim("kill", "at most 1 s more than undisturbed", "extra_s", "<=", 1.0),
    Aim("widget", "a watcher costs at most 5 %", "watched_per_s", ">=", 0.95, ("self", "plain_per_s")),
    Aim("widget", "the widget costs at most 5 %", "widget_per_s", ">=", 0.95, ("self", "plain_per_s")),
    Aim("widget", "at most 5 updates a second", "updates_per_s", "<=", 5),
    Aim("widget", "of at most 20 KB", "largest_kb", "<=", 20),
)


def verdict(aim: Aim, ours: str, medians: Medians) -> Verdict:
    """Judge one aim for one variant of ours."""
    measured = medians.get((aim.workload, ours, aim.figure))
    other = 1.0
    if aim.than:
        peer, figure, workload = (*aim.than, aim.workload)[:3]
        found = medians.get((workload, ours if peer == "self" else peer, figure))
        if found is None:
            return Verdict(aim, ours, "unknown", measured)
        other = found
    if measured is None:
        return Verdict(aim, ours, "unknown")
    bound = aim.factor * other
    ratio = measured / bound if bound else 1.0
    by = 1 - ratio if aim.sense == ">=" else ratio - 1
    state: Literal["met", "MISSED"] = "MISSED" if by > 0 else "met"
    return Verdict(aim, ours, state, measured, bound, measured / other if aim.than and other else None, by)


def verdicts(medians: Medians) -> list[Verdict]:
    """Judge all aims of the workloads that were run."""
    ran = {workload for workload, _, _ in medians}
    return [verdict(aim, ours, medians) for aim in AIMS if aim.workload in ran for ours in aim.ours]
