"""Clients of sessions in processes of their own, so that they can be killed."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]


class Client:
    """A Python process that runs some lines, prints one line of words, and then waits for its end."""

    def __init__(self, lines: str) -> None:
        code = textwrap.dedent(lines) + "\nimport sys\nsys.stdin.read()\n"
        self.process = subprocess.Popen(
            [sys.executable, "-c", "import jupyter_dsage as dsage\nfrom tests.process import jobs\n" + code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        assert self.process.stdout is not None
        self.words = self.process.stdout.readline().split()

    def kill(self) -> None:
        """End it as the system does when memory is short."""
        self.process.kill()
        self._reap()

    def end(self) -> int:
        """Let it come to its end by itself; return its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)
        return self._reap()

    def _reap(self) -> int:
        code = self.process.wait(30)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
