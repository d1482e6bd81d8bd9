"""How soon the first result is there, and how much longer an interpreter takes to start with the import."""

from __future__ import annotations

import statistics
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.benchmarks import jobs
from tests.benchmarks.run import timed

if TYPE_CHECKING:
    from tests.benchmarks.run import Run


def start(run: Run) -> None:
    def first() -> int:
        run.start()
        return run.peer.one(jobs.noop, 1)

    seconds, value = timed(first)
    assert value == 1
    run.add("first_s", seconds)
    laps = run.count(10, least=3)
    bare, with_it = [], []
    for _ in range(laps):
        bare.append(_python("pass"))
        with_it.append(_python(f"import {run.peer.module}"))
    run.add("import_s", statistics.median(with_it) - statistics.median(bare))


def _python(code: str) -> float:
    return timed(lambda: subprocess.run([sys.executable, "-c", code], check=True))[0]
