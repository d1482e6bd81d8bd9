"""A real kernel with the magics and a session of two workers, driven as a front end drives it."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

# ipykernel's debugger would complain about frozen modules; nobody debugs here
os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")

from jupyter_client import BlockingKernelClient, KernelManager
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_core.utils import ensure_event_loop

from tests.leftovers import PATIENCE, Watch
from tests.until import until

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 60
KERNELS = Path(sys.prefix) / "share" / "jupyter" / "kernels"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Answer:
    """What a cell showed."""

    status: str = ""
    ename: str = ""
    out: str = ""
    err: str = ""
    traceback: str = ""
    shown: list[dict[str, object]] = field(default_factory=list)

    @property
    def value(self) -> str:
        return self.shown[-1]["text/plain"]


class Notebook:
    """A kernel and its front end."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self._client = client

    def cell(self, code: str) -> Answer:
        """Execute a cell, whatever comes of it."""
        answer = Answer()

        def take(message):
            kind, content = message["msg_type"], message["content"]
            if kind == "stream" and content["name"] == "stdout":
                answer.out += content["text"]
            elif kind == "stream":
                answer.err += content["text"]
            elif kind == "error":
                answer.traceback += COLOURS.sub("", "\n".join(content["traceback"]))
            elif kind in {"display_data", "execute_result"}:
                answer.shown.append(content["data"])

        reply = self._client.execute_interactive(code, timeout=SECONDS, output_hook=take, store_history=True)["content"]
        answer.status, answer.ename = reply["status"], reply.get("ename", "")
        return answer

    def run(self, code: str) -> Answer:
        """Execute a cell that must succeed."""
        answer = self.cell(code)
        assert answer.status == "ok", answer.err + answer.traceback
        return answer

    def value(self, expression: str) -> object:
        """Return the value of an expression, which has a plain repr."""
        return eval(self.run(f"print(repr(({expression})))").out)  # noqa: S307

    def refused(self, code: str) -> str:
        """Execute a cell that must be refused with a sentence and the usage, and no traceback; return what it says."""
        answer = self.cell(code)
        assert (answer.status, answer.ename, answer.traceback) == ("error", "UsageError", "")
        sentence, usage, rest = answer.err.removeprefix("UsageError: ").split("\n")
        assert usage.startswith(("Usage: %%scatter", "Usage: %dsage"))
        assert rest == ""
        return sentence

    def tab(self, code: str) -> list[str]:
        """Press Tab at the end of a cell; return the cells that it offers."""
        content = self._client.complete(code, reply=True, timeout=SECONDS)["content"]
        return [code[: content["cursor_start"]] + match for match in content["matches"]]

    def told(self, code: str) -> str:
        """Return what the front end shows of a cell such as ``%%scatter?``."""
        reply = self._client.execute(code, reply=True, timeout=SECONDS)["content"]
        return COLOURS.sub("", reply["payload"][0]["data"]["text/plain"])


@contextlib.contextmanager
def magics_kernel(first: str = "", kernel: str = "python3", kernels: Path = KERNELS) -> Iterator[Notebook]:
    """A notebook whose session has two workers; `first`: a cell that runs before it starts. Nothing is left behind.

    `kernels`: the folder of kernelspecs in which `kernel` is found.
    """
    watch = Watch()
    with tempfile.TemporaryDirectory(prefix="magics-") as folder:  # a short path: sockets live in it
        manager = KernelManager(
            kernel_name=kernel,
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(kernels)]),
            transport="ipc",
            connection_file=str(Path(folder) / "kernel.json"),
        )
        manager.start_kernel(cwd=folder)
        client = manager.blocking_client()
        client.start_channels()
        try:
            client.wait_for_ready(SECONDS)
            made = Notebook(client)
            made.run("%load_ext jupyter_dsage\n" + first)
            made.run("%dsage start local:?slots=2")
            made.run("%%scatter first for x in range(1) --quiet\nx")
            assert made.value("first.session.wait_for_workers(30)")  # before any test counts processes
            own = Path(made.value("str(first.session._started.folder)"))
            yield made
            made.run("%dsage die --all")
        finally:
            client.stop_channels()
            manager.shutdown_kernel()
            manager.cleanup_resources()
            ensure_event_loop().close()  # jupyter_client's own, which it leaves open
    until(lambda: not [*watch.processes(), *filter(Path.exists, [own])], PATIENCE)
