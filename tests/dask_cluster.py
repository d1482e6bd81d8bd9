"""A real Dask cluster for tests: a scheduler and nannies with their workers, as processes on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tests.until import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[1]
DEADLINE = 30.0
_BY_MAIN = "import sys; from distributed.cli.dask_{0} import main; sys.argv[0] = 'dask-{0}'; main()"


class DaskServer:
    """One that runs. `address`: of its scheduler."""

    def __init__(self, folder: str, options: Sequence[str], scheme: str) -> None:
        self.folder = Path(folder)
        self._options = options
        self.processes: list[subprocess.Popen[bytes]] = []
        quiet = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")
        self.scheduler = self._start("scheduler", "--host", f"{scheme}://127.0.0.1", "--port", "0", *quiet)
        file = self.folder / "scheduler.json"
        until(lambda: file.exists() and "address" in file.read_text(), DEADLINE)
        import json

        self.address = json.loads(file.read_text())["address"]

    @property
    def url(self) -> str:
        return "dask://" + self.address.partition("://")[2]

    def _start(self, what: str, *options: str) -> subprocess.Popen[bytes]:
        """Start a scheduler or a worker; what it says goes to a file."""
        named = ["--scheduler-file", str(self.folder / "scheduler.json")]
        with (self.folder / f"{what}-{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", _BY_MAIN.format(what), *named, *options, *self._options],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        self.processes.append(process)
        return process

    def add_worker(self, threads: int = 2) -> subprocess.Popen[bytes]:
        """Start a nanny with a worker; returns at once."""
        place = ["--local-directory", str(self.folder), "--host", "127.0.0.1", "--no-dashboard"]
        return self._start("worker", "--nthreads", str(threads), "--nworkers", "1", "--memory-limit", "0", *place)

    def workers(self) -> list[psutil.Process]:
        """Return the processes of the Dask workers, the nannies' children."""
        nannies = [psutil.Process(process.pid) for process in self.processes[1:] if process.poll() is None]
        return [child for nanny in nannies for child in nanny.children() if _is_worker(child)]

    def ours(self) -> list[psutil.Process]:
        """Return what runs in the Dask workers for sessions: supervisors, and what is below them."""
        return [process for worker in self.workers() for process in worker.children(recursive=True)]

    def log(self) -> str:
        """Return all that was said."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    def leave(self) -> None:
        """End all of it."""
        for some in (self.processes[1:], self.processes[:1]):
            for process in some:
                process.terminate()
            deadline = time.monotonic() + DEADLINE / 3
            for process in some:
                try:
                    process.wait(max(0.1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:
        return False


@contextmanager
def dask_cluster(*options: str, workers: int = 2, threads: int = 2, scheme: str = "tcp") -> Iterator[DaskServer]:
    """Start one, wait until its workers are there, and end it with the block."""
    with tempfile.TemporaryDirectory(prefix="dask-") as folder:
        server = DaskServer(folder, options, scheme)
        try:
            for _ in range(workers):
                server.add_worker(threads)
            until(lambda: server.log().count("Registered to:") >= workers, DEADLINE)
            yield server
        finally:
            server.leave()
