"""A real Slurm for tests, on this machine alone: munge, the controller and one node, in a folder of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.ports import free_port
from tests.until import until

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE = 30.0

CONF = """
ClusterName=dsage
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/ctld.pid
SlurmdPidFile={folder}/d.pid
SlurmctldPort={controller}
SlurmdPort={node}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait=2
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=100000
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=1000 State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:8
PartitionName=down Nodes=ALL State=DOWN
"""


@dataclass
class Cluster:
    """One that takes jobs. `conf`: what SLURM_CONF names."""

    folder: Path

    @property
    def conf(self) -> str:
        return str(self.folder / "slurm.conf")

    @property
    def url(self) -> str:
        return f"slurm:?slots=2&address=127.0.0.1&python={sys.executable}&linger=30s&folder={self.folder}/calls"

    def run(self, *words: str) -> str:
        """Run one of Slurm's commands; return what it printed."""
        env = {**os.environ, "SLURM_CONF": self.conf}
        return subprocess.run(words, env=env, check=True, capture_output=True, text=True).stdout


@contextmanager
def _daemon(log: Path, *words: str, env: dict[str, str] | None = None) -> Iterator[None]:
    with log.open("w") as file:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=env)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def slurm_cluster() -> Iterator[Cluster]:
    """Start one, wait until its node is idle, and end it with the block."""
    with tempfile.TemporaryDirectory(prefix="dslurm-") as name, ExitStack() as stack:
        folder = Path(name)
        for part in ("state", "spool"):
            (folder / part).mkdir()
        (folder / "munge.key").write_bytes(os.urandom(1024))
        (folder / "munge.key").chmod(0o600)
        facts = {"host": socket.gethostname(), "folder": folder, "controller": free_port(), "node": free_port()}
        (folder / "slurm.conf").write_text(CONF.format(cpus=os.cpu_count() or 1, **facts))
        files = [f"--{what}={folder}/munge.{end}" for what, end in (("key-file", "key"), ("socket", "sock"))]
        files += [f"--{what}-file={folder}/munge.{what}" for what in ("pid", "log", "seed")]
        stack.enter_context(_daemon(folder / "munge.out", "munged", "--foreground", "--force", *files))
        _until((folder / "munge.sock").exists, folder)
        # jobs inherit the environment of sbatch; the daemons' own must not carry a test's mark
        env = {key: value for key, value in os.environ.items() if key != "DSAGE_TEST_MARK"}
        env["SLURM_CONF"] = str(folder / "slurm.conf")
        stack.enter_context(_daemon(folder / "ctld.log", "slurmctld", "-D", env=env))
        stack.enter_context(_daemon(folder / "d.log", "slurmd", "-D", env=env))
        cluster = Cluster(folder)
        _until(lambda: "idle" in _quietly(cluster, "sinfo", "-h", "-p", "debug", "-o", "%t"), folder)
        try:
            yield cluster
        finally:
            cluster.run("scancel", "--user=root")
            _until(lambda: not _quietly(cluster, "squeue", "-h").strip(), folder)


def _quietly(cluster: Cluster, *words: str) -> str:
    try:
        return cluster.run(*words)
    except subprocess.CalledProcessError as error:  # it is not up yet
        return f"error: {error.stderr}"


def _until(fact, folder: Path) -> None:
    until(fact, DEADLINE, lambda: "\n".join(path.read_text(errors="replace")[-800:] for path in folder.glob("*.log")))
