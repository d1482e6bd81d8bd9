"""What the jobs of the benchmarks do: importable functions, the same for every peer; nobody ships them by value."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

_kept: dict[str, Any] = {}
"""What a peer's initializer left in this worker."""


def noop(x):
    return x


def echo(array):
    return array


def histogram(_):
    """Do the workbook's job."""
    from jupyter_dsage.services import all_series

    return all_series(1000, distribution="normal", loc=1, scale=1, bins=10)


def nap(seconds):
    time.sleep(seconds)
    return seconds


def spin(seconds):
    """Use the processor for this long: time of the thread, so that a job that is put aside is not done sooner."""
    stop = time.thread_time() + seconds
    while time.thread_time() < stop:
        pass
    return seconds


def pid(seconds):
    """Tell which process this is, late enough for the other workers to take one too."""
    time.sleep(seconds)
    return os.getpid()


def hold(path):
    """Keep a worker busy until a file is gone; a minute at most."""
    stop = time.monotonic() + 60
    while Path(path).exists() and time.monotonic() < stop:
        time.sleep(0.01)


def pick(array, i):
    return float(array[i])


def keep(array):
    _kept["array"] = array


def pick_kept(i):
    return float(_kept["array"][i])
