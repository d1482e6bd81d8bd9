"""Functions that these tests run as jobs."""

from __future__ import annotations

import time
from pathlib import Path

from tests.process import jobs


def boom(x):
    print("before", x)
    raise ValueError(f"<script>{x}</script>")


def print_and_wait(path):
    print("waiting", flush=True)
    return jobs.wait_for(path)


def fail_until(path):
    if not Path(path).exists():
        raise FileNotFoundError(path)
    return path


def slow_square(x):
    time.sleep(0.01)
    return x * x
