"""An engine of several nodes: a batch system that starts two bridges on this machine, and nodes that are lost.

The batch system is three shell scripts, since what is tested is what nodes do; a real Slurm is in tests/slurm/.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from typing import TYPE_CHECKING

import psutil
import pytest

import jupyter_dsage as dsage
from tests.process import jobs
from tests.until import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.needs("linux")

SBATCH = """#!/bin/sh
if [ -e "$BATCH/slow" ]; then touch "$BATCH/asked"; sleep 1; fi
number=$((42 + $(ls "$BATCH" | grep -c '^pids-')))
command=$(sed -n 's/^exec srun --ntasks-per-node=1 //p')
for node in 0 1; do
    XDG_RUNTIME_DIR=$BATCH_RUNTIME SLURM_PROCID=$node setsid $command >/dev/null 2>&1 </dev/null &
    echo $! >> "$BATCH/pids-$number"
done
echo $number
"""
SCONTROL = """#!/bin/sh
for pid in $(cat "$BATCH/pids-$4"); do
    if [ -e "$BATCH/stuck" ] || grep -q '^State:.[^ZX]' "/proc/$pid/status" 2>/dev/null; then
        echo "JobId=$4 JobState=RUNNING Reason=None"
        exit 0
    fi
done
echo "JobId=$4 JobState=NODE_FAIL Reason=NodeDown"
"""
SCANCEL = """#!/bin/sh
echo $1 >> "$BATCH/cancelled"
kill $(cat "$BATCH/pids-$1") 2>/dev/null
exit 0
"""


@pytest.fixture
def batch_system(
    nothing_left: None,  # noqa: ARG001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    """Give its folder. Nodes that are killed leave things in a folder of their own, which goes with them."""
    folder = tmp_path / "batch"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("scontrol", SCONTROL), ("scancel", SCANCEL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o700)
    monkeypatch.setenv("BATCH", str(folder))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    with tempfile.TemporaryDirectory(prefix="dm-") as runtime:
        monkeypatch.setenv("BATCH_RUNTIME", runtime)
        yield folder


def url(folder: Path, slots: int = 4) -> str:
    return f"slurm:?nodes=2&slots={slots}&address=127.0.0.1&python={sys.executable}&folder={folder}&linger=5s"


def bridges(folder: Path, job: int = 42) -> list[psutil.Process]:
    return [psutil.Process(int(pid)) for pid in (folder / f"pids-{job}").read_text().split()]


def end(bridge: psutil.Process) -> None:
    """End a node: what it runs goes with it."""
    for process in [*bridge.children(recursive=True), bridge]:
        with contextlib.suppress(psutil.NoSuchProcess):  # workers go with their supervisor
            process.kill()


def test_workers_are_spread_over_the_nodes_and_a_lost_node_costs_its_own(batch_system, tmp_path):
    with dsage.spawn(url(batch_system)) as session:
        until(lambda: sum(worker.stage == "ready" for worker in session.workers) == 4)
        batch = session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(12)])
        until(lambda: sum(jobs.starts(tmp_path, n) for n in range(4)) == 4)
        one, two = bridges(batch_system)
        mine = {process.pid for process in one.children(recursive=True)}
        here = {worker.pid for worker in session.workers} & mine
        assert len(here) == 2
        end(one)
        until(lambda: session.slots == 2, 40)
        (tmp_path / "gate").touch()
        assert batch.results(timeout=60) == list(range(12))
        assert sum(jobs.starts(tmp_path, n) for n in range(12)) == 14
        assert [engine.state for engine in session.engines] == ["open"]
        assert {worker.pid for worker in session.workers} <= {p.pid for p in two.children(recursive=True)}


def test_when_all_nodes_are_lost_the_engine_says_why(batch_system, tmp_path):
    with dsage.spawn(url(batch_system, 2)) as session:
        until(lambda: sum(worker.stage == "ready" for worker in session.workers) == 2)
        batch = session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(2)])
        until(lambda: jobs.starts(tmp_path, 0) and jobs.starts(tmp_path, 1))
        for bridge in bridges(batch_system):
            end(bridge)
        errors = batch.results(errors="return", timeout=60)
        assert all("job 42 ended (node_fail: NodeDown)" in str(error) for error in errors)


def test_a_job_that_goes_on_without_its_nodes_is_cancelled_and_the_next_batch_gets_another(batch_system, tmp_path):
    with dsage.spawn(url(batch_system, 2)) as session:
        until(lambda: sum(worker.stage == "ready" for worker in session.workers) == 2)
        batch = session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(2)])
        until(lambda: jobs.starts(tmp_path, 0) and jobs.starts(tmp_path, 1))
        (batch_system / "stuck").touch()
        for bridge in bridges(batch_system):
            end(bridge)
        errors = batch.results(errors="return", timeout=60)
        assert all(isinstance(error, dsage.WorkerLost) for error in errors)
        until((batch_system / "cancelled").exists)
        assert session.map(jobs.square, range(4)).results(timeout=60) == [0, 1, 4, 9]
        assert len(bridges(batch_system, 43)) == 2


def test_a_killed_child_gives_its_nodes_up_and_the_next_one_asks_for_others(batch_system, tmp_path):
    with dsage.spawn(url(batch_system, 2)) as session:
        until(lambda: sum(worker.stage == "ready" for worker in session.workers) == 2)
        batch = session.scatter(jobs.held, [((str(tmp_path), n), {}) for n in range(4)])
        until(lambda: jobs.starts(tmp_path, 0) and jobs.starts(tmp_path, 1))
        former = bridges(batch_system)
        psutil.Process(session.pid).kill()
        (tmp_path / "gate").touch()
        assert batch.results(timeout=60) == list(range(4))
        until(lambda: not any(bridge.is_running() and bridge.status() != "zombie" for bridge in former), 60)
        assert (batch_system / "cancelled").read_text().split() == ["42"]


def test_a_job_that_is_just_being_submitted_is_cancelled_when_the_session_ends(batch_system):
    (batch_system / "slow").touch()
    with dsage.spawn(url(batch_system)):
        until((batch_system / "asked").exists)
    until((batch_system / "cancelled").exists)
    assert (batch_system / "cancelled").read_text().split() == ["42"]
    assert not list(batch_system.glob("*.call"))
