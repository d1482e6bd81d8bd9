"""`worker.processes`: what a supervisor asks the system of processes that it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from jupyter_dsage.worker import processes
from tests.until import until


@pytest.fixture
def waiting():
    process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    yield process
    process.kill()
    process.wait()


def test_a_stopped_process_is_seen_as_long_as_it_is_stopped_and_stays_to_be_collected(waiting):
    assert not processes.stopped(waiting.pid)
    os.kill(waiting.pid, signal.SIGSTOP)
    until(lambda: processes.stopped(waiting.pid))
    assert processes.stopped(waiting.pid)  # to look takes nothing away
    os.kill(waiting.pid, signal.SIGCONT)
    until(lambda: not processes.stopped(waiting.pid))
    waiting.kill()
    assert waiting.wait() == -signal.SIGKILL
    assert not processes.stopped(waiting.pid)
