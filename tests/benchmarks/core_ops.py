"""What the pure core's own operations cost: ``make bench-core``. No process, no message: only scheduling and intervals.

Each is timed beside a loop of plain Python, and the ratio compared with the one that core_ops.json keeps, so that the
machine does not matter much. More than twice as slow: exit code 1. ``--keep`` writes the ratios of this run down.
"""

from __future__ import annotations

import argparse
import json
import sys
import timeit
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_dsage.core import commands as c
from jupyter_dsage.core import events as e
from jupyter_dsage.core.chunks import lease_size
from jupyter_dsage.core.ranges import Ranges
from jupyter_dsage.core.scheduler import Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT = Path(__file__).parent / "core_ops.json"
MOST = 2.0
JOBS = 1_000_000
SEGMENT = 4096
SECONDS_A_JOB = 1e-5


def calibration() -> int:
    """Do a million steps of plain Python: the measure of this machine."""
    total = 0
    for i in range(JOBS):
        total += i & 7
    return JOBS


def scheduler() -> Scheduler:
    """Return a scheduler with one batch and two workers that have joined."""
    made = Scheduler()
    for order in made.handle(e.EngineOpened("a", 2), 0.0):
        if isinstance(order, c.StartWorker):
            made.handle(e.WorkerJoined(order.worker), 0.0)
    made.handle(e.BatchOpened(1, "batch"), 0.0)
    return made


def add(made: Scheduler) -> list[c.SendLease]:
    """Add a million jobs; return the leases that were granted meanwhile."""
    leases = []
    for segment, first in enumerate(range(0, JOBS, SEGMENT), 1):
        orders = made.handle(e.JobsAdded(1, segment, "f", min(SEGMENT, JOBS - first)), 0.0)
        leases += [order for order in orders if isinstance(order, c.SendLease)]
    return leases


def jobs_added() -> int:
    """Take in a million jobs; counts segments."""
    add(scheduler())
    return -(-JOBS // SEGMENT)


def run_reported() -> int:
    """Have a million jobs run, whole leases at a time; counts reports."""
    made = scheduler()
    out, reports, now = add(made), 0, 0.0
    while out:
        lease = out.pop(0)
        now += 0.001
        count = lease.stop - lease.first
        event = e.RunReported(lease.worker, lease.lease, lease.first, lease.stop, (), SECONDS_A_JOB * count, ended=True)
        out += [order for order in made.handle(event, now) if isinstance(order, c.SendLease)]
        reports += 1
    return reports


def ranges_in_order() -> int:
    """Add and remove runs that join, as ends come in a batch that runs as it was given."""
    ended, queued = Ranges(), Ranges([(0, JOBS)])
    for first in range(0, JOBS, 100):
        queued.remove(first, first + 100)
        ended.add(first, first + 100)
    return 2 * JOBS // 100


def ranges_scattered() -> int:
    """The same with holes: every other run first, then those between."""
    ended = Ranges()
    for start in (0, 100):
        for first in range(start, JOBS, 200):
            ended.add(first, first + 100)
            ended.covers(first, first + 100)
    return 2 * JOBS // 100


def lease_sizes() -> int:
    """Decide how large leases are."""
    for queued in range(100_000):
        lease_size(queued, 2, SECONDS_A_JOB, 1000)
    return 100_000


OPERATIONS: dict[str, Callable[[], int]] = {
    "JobsAdded, a segment": jobs_added,
    "RunReported, a lease": run_reported,
    "Ranges in order, an operation": ranges_in_order,
    "Ranges with holes, an operation": ranges_scattered,
    "lease_size": lease_sizes,
}


def nanoseconds(operation: Callable[[], int]) -> float:
    """Return what one operation costs, the best of five."""
    counts: list[int] = []
    best = min(timeit.repeat(lambda: counts.append(operation()), number=1, repeat=5))
    return best / counts[-1] * 1e9


def main() -> int:
    """Measure, compare, and say which became slow."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--keep", action="store_true", help="write the ratios of this run into core_ops.json")
    keep = parser.parse_args().keep
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    measure = nanoseconds(calibration)
    ratios, slow = {}, []
    for name, operation in OPERATIONS.items():
        took = nanoseconds(operation)
        ratios[name] = round(took / measure, 1)
        before = kept.get(name)
        change = ratios[name] / before if before else 1.0
        if change > MOST:
            slow.append(name)
        print(f"{name:34} {took:9,.0f} ns   {ratios[name]:8,.1f} steps of a loop   {change:.2f} of what is kept")
    if keep:
        KEPT.write_text(json.dumps(ratios, indent=1) + "\n")
        return 0
    for name in slow:
        print(f"MISSED: {name} is more than {MOST:g} times as slow as core_ops.json says")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
