"""A real Ray for tests: a head on loopback with so many CPUs, spoken to through its client server (``ray://``)."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.leftovers import told
from tests.ports import free_port
from tests.until import until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
_BY_MAIN = "from ray.scripts.scripts import main; main()"
_SURROUNDINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # loopback, and nowhere else
    "RAY_AUTH_MODE": "token",
}


_BY_OTHERS = """
import subprocess, sys
with open(sys.argv[1], "wb") as log:
    print(subprocess.Popen(sys.argv[2:], stdout=log, stderr=log, start_new_session=True).pid)
"""
"""Starts the head and ends, so that it is no child of the test: Ray keeps a process a client for half a minute."""


class RayServer:
    """One that runs. `process`: ``ray start --block``, above all the rest."""

    def __init__(self, process: psutil.Process, url: str, gcs: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.gcs = gcs
        """Where processes of this host join it."""
        self._log = log

    def slots(self) -> list[psutil.Process]:
        """Return the processes of our actors."""
        return [one for one in self.process.children(recursive=True) if "RaySlot" in told(one)]

    def ours(self) -> list[psutil.Process]:
        """Return what runs there for sessions: actors, supervisors, and what is below them."""
        found = []
        for slot in self.slots():
            with suppress(psutil.NoSuchProcess):
                found += [slot, *slot.children(recursive=True)]
        return found

    def kill(self) -> None:
        """End it as a power cut would, with all that runs below it."""
        for process in [self.process, *self.process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def log(self) -> str:
        """Return what was said."""
        return self._log.read_text(errors="replace")


@contextmanager
def ray_cluster(cpus: int) -> Iterator[RayServer]:
    """Start one, wait until it listens, and end it with the block."""
    with tempfile.TemporaryDirectory(prefix="r-") as folder, pytest.MonkeyPatch.context() as patch:
        for name, value in {**_SURROUNDINGS, "RAY_AUTH_TOKEN": secrets.token_hex(32)}.items():
            patch.setenv(name, value)  # whoever speaks to it needs them too
        port, gcs, log = free_port(), free_port(), Path(folder) / "head.log"
        head = [
            *(sys.executable, "-c", _BY_MAIN, "start", "--head", "--block", "--num-cpus", str(cpus)),
            *("--node-ip-address", "127.0.0.1", "--port", str(gcs), "--include-dashboard", "false"),
            *("--ray-client-server-port", str(port), "--temp-dir", folder, "--disable-usage-stats"),
        ]
        said = subprocess.run(
            [sys.executable, "-c", _BY_OTHERS, str(log), *head],
            stdout=subprocess.PIPE,
            check=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        process = psutil.Process(int(said.stdout))
        server = RayServer(process, f"ray://127.0.0.1:{port}", f"127.0.0.1:{gcs}", log)
        try:
            until(lambda: "Ray runtime started" in server.log() or not process.is_running(), 60)
            assert process.is_running(), server.log()
            yield server
        finally:
            _end(process)


def _end(head: psutil.Process) -> None:
    try:
        all_of_it = [head, *head.children(recursive=True)]
        head.terminate()
    except psutil.NoSuchProcess:
        return  # a test has killed it
    for one in psutil.wait_procs(all_of_it, timeout=15)[1]:
        with suppress(psutil.NoSuchProcess):
            one.kill()
