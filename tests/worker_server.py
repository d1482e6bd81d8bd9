"""A real worker server for tests: `jupyter dsage worker` as a process of its own, on loopback unless told otherwise."""

from __future__ import annotations

import re
import select
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.until import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

DEADLINE = 30.0  # seconds; what takes longer has failed


class WorkerServer:
    """One that listens. `url`: as it printed it, with its public key."""

    def __init__(self, process: subprocess.Popen[str], greeting: str, url: str, log_path: str) -> None:
        self.process = process
        self.greeting = greeting
        self.url = url
        self._log_path = log_path
        self.last_log = ""
        """Its log, once it has ended."""

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def port(self) -> int:
        return int(re.search(r":(\d+)\?", self.url)[1])  # type: ignore[index]

    @property
    def bulk_port(self) -> int:
        return int(re.search(r"bulk port (\d+)", self.greeting)[1])  # type: ignore[index]

    def log(self) -> str:
        """Return what it has logged so far."""
        if self.last_log:
            return self.last_log
        with open(self._log_path, errors="replace") as file:  # noqa: PTH123
            return file.read()

    def wait_for_log(self, text: str) -> str:
        """Wait until the log holds a text; return the log."""

        def found() -> str:
            log = self.log()
            assert text in log or self.process.poll() is None, f"the server has ended:\n{log}"
            return log if text in log else ""

        return until(found, DEADLINE, lambda: f"{text!r} in the log\n{self.log()}\n")

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(DEADLINE)

    def leave(self) -> None:
        """Have it end in order, if it has not ended."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


@contextmanager
def worker_server(
    *options: str,
    slots: int = 2,
    host: str = "127.0.0.1",
    port: int = 0,
    bulk_port: int = 0,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    log_path: str | None = None,
    popen: Callable[..., subprocess.Popen[str]] = subprocess.Popen,
) -> Iterator[WorkerServer]:
    """Start one, wait until it listens, and end it with the block. `popen`: for one in a network namespace."""
    import tempfile

    with tempfile.NamedTemporaryFile(prefix="server-", suffix=".log") as file:
        path = log_path or file.name
        command: Sequence[str] = [
            *(sys.executable, "-m", "jupyter_dsage", "worker", "--listen", f"{host}:{port}"),
            *("--bulk-port", str(bulk_port), "--slots", str(slots), "--log", path, *options),
        ]
        process = popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, cwd=cwd)
        try:
            server = WorkerServer(process, *_greeting(process), path)
            try:
                yield server
                server.leave()
            finally:
                server.last_log = server.log()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


def _greeting(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Return its two lines, which come at once: what it is, and its URL."""
    assert process.stdout is not None
    assert process.stderr is not None
    if not select.select([process.stdout], [], [], DEADLINE)[0]:
        raise AssertionError("the worker server says nothing")
    greeting, url = process.stdout.readline().strip(), process.stdout.readline().strip()
    assert url, f"the worker server did not start: {process.stderr.read()}"
    return greeting, url
