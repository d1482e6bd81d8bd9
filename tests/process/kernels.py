"""Real kernels, driven as a front end drives them, that can be restarted and killed."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Self

os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")

from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpecManager

from tests.until import until

KERNELS = Path(sys.prefix) / "share" / "jupyter" / "kernels"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
SECONDS = 60


class Kernel:
    """A kernel in a folder of its own; `notebook`: the path that the server would tell it."""

    def __init__(self, notebook: str = "") -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="kernel-")
        self.manager = KernelManager(
            kernel_name="python3",
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(KERNELS)]),
            transport="ipc",
            connection_file=str(Path(self._folder.name) / f"{Path(self._folder.name).name}.json"),
        )
        env = dict(os.environ, JPY_SESSION_NAME=notebook) if notebook else dict(os.environ)
        self.manager.start_kernel(cwd=self._folder.name, env=env)
        self._connect()

    def _connect(self) -> None:
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(SECONDS)

    def run(self, code: str) -> str:
        """Run a cell; return what it printed and its value. An exception in it is raised here."""
        said: list[str] = []
        wrong: list[str] = []
        self.shown: list[dict[str, object]] = []

        def take(message: dict) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                said.append(content["text"])
            elif message["msg_type"] in ("execute_result", "display_data"):
                self.shown.append(content["data"])
                if message["msg_type"] == "execute_result":
                    said.append(content["data"]["text/plain"])
            elif message["msg_type"] == "error":
                wrong.extend(COLOURS.sub("", line) for line in content["traceback"])

        self.client.execute_interactive(code, output_hook=take, timeout=SECONDS, allow_stdin=True)
        if wrong:
            raise AssertionError("\n".join(wrong))
        return "".join(said)

    def value(self, code: str) -> object:
        """Return the value of an expression that prints as Python reads it."""
        import ast

        return ast.literal_eval(self.run(code))

    def restart(self, *, now: bool) -> None:
        """Restart it, politely or by force."""
        self.client.stop_channels()
        self.manager.restart_kernel(now=now)
        self._connect()

    def kill(self) -> None:
        """Kill it with SIGKILL, and start it again under the same connection file, as a server's restarter does."""
        self.client.stop_channels()
        os.kill(self.manager.provisioner.pid, 9)
        until(lambda: not self.manager.is_alive(), SECONDS)
        self.manager.restart_kernel(now=True)
        self._connect()

    def close(self) -> None:
        """Shut it down, as closing a notebook's kernel does."""
        self.client.stop_channels()
        self.manager.shutdown_kernel()
        self.manager.cleanup_resources()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
