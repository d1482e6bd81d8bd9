"""A step of the system's clock, as NTP or a resumed machine makes it: no process is taken for another, or for dead.

The step is made in one process, which sees the machine's boot at another time than the others do: wall time as psutil
reckons it (boot time and ticks) differs between who wrote a record and who reads it, as it does after a real step.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import psutil
import pytest

import jupyter_dsage as dsage
from jupyter_dsage.process_identity import lives, own_start, send_signal, start_of
from jupyter_dsage.store import sessions as stored
from tests.process import jobs
from tests.process.scripts import ROOT, Client
from tests.until import until

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="psutil reckons wall time so only on Linux"),
    pytest.mark.usefixtures("own_sessions"),
]

STEP = """
import psutil, psutil._pslinux as linux
real = linux.boot_time
linux.boot_time = lambda: real() + {step}
if hasattr(linux, "BOOT_TIME"):
    linux.BOOT_TIME = real() + {step}
"""


def after_step(lines, step=3600):
    """Run lines in a process for which the clock has been stepped; return what it prints."""
    code = STEP.format(step=step) + "import jupyter_dsage as dsage\nfrom tests.process import jobs\n" + lines
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    return done.stdout.split()


@pytest.mark.slow
@pytest.mark.parametrize("step", [1.5, -3600])
def test_a_session_is_listed_attached_to_and_swept_round_after_a_step(step, tmp_path):
    gate = tmp_path / "gate"
    with dsage.spawn("local:?slots=2", name="stepped") as session:
        held = session.map(jobs.wait_for, [str(gate)], name="held")
        lines = f"""
from pathlib import Path
from types import SimpleNamespace
from jupyter_dsage.net.runtime import runtime_folder
from jupyter_dsage.store.sessions import sweep_runtime
sweep_runtime(runtime_folder())
[info] = dsage.sessions()
print(info.alive)
session = dsage.attach("stepped")
print(session.map(jobs.square, [3]).results(timeout=20)[0])
Path({str(gate)!r}).touch()
print(session.batches["held"].wait(20))
session.detach()
"""
        assert after_step(lines, step) == ["True", "9", "True"]
        assert held.results(timeout=20) == [None]
        assert Path(session._started.folder).is_dir()


@pytest.mark.slow
def test_a_session_that_was_started_before_the_step_is_ended_after_it():
    with Client(
        "s = dsage.spawn('local:?slots=2', on_kernel_exit='stay'); s.wait_for_workers(); print(s.id)"
    ) as client:
        [info] = dsage.sessions()
        assert after_step(f"dsage.attach({client.words[0]!r}).die(); print(len(dsage.sessions()))") == ["0"]
        until(lambda: not any(psutil.pid_exists(pid) for pid in info.pids), 5)


@pytest.mark.slow
def test_a_process_whose_clock_was_stepped_keeps_the_session_that_it_starts():
    lines = """
with dsage.spawn("local:?slots=1") as session:
    pid = session.pid
    try:
        psutil.Process(pid).wait(2.5)  # two of the child's looks, once a second, at the process that started it
    except psutil.TimeoutExpired:
        print("stays")
    print(session.map(jobs.square, [3]).results(timeout=20)[0], session.pid == pid)
"""
    assert after_step(lines) == ["stays", "9", "True"]


def test_a_start_tells_processes_apart_whatever_they_are_called(tmp_path):
    program = tmp_path / "a) R 1 (b c"
    program.symlink_to(sys.executable)
    process = subprocess.Popen([str(program), "-S", "-c", "input()"], stdin=subprocess.PIPE)
    start = start_of(process.pid)
    assert start is not None
    assert start.split("@")[0].isdecimal()
    assert lives(process.pid, start)
    assert not lives(process.pid, own_start())
    assert not send_signal(process.pid, "1@another boot")
    assert send_signal(process.pid, start, signal.SIGTERM)
    until(lambda: not lives(process.pid, start))  # a zombie does not live
    assert process.poll() == -signal.SIGTERM
    assert process.stdin is not None
    process.stdin.close()


@pytest.mark.parametrize("pid", [-1, 0, 2**31, 2**63])
@pytest.mark.parametrize("start", ["1@x", "", 0.0, 1e300, float("nan")])
def test_a_pid_that_is_none_is_nobody_and_gets_no_signal(pid, start):
    assert not lives(pid, start)
    assert not send_signal(pid, start)


def test_without_proc_the_kernels_record_is_asked_for_and_no_step_moves_it(monkeypatch):
    monkeypatch.setattr("jupyter_dsage.process_identity.sys", SimpleNamespace(platform="darwin"))
    before = own_start()
    assert lives(os.getpid(), before)
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: 1.0)
    monkeypatch.setattr("psutil._pslinux.BOOT_TIME", 1.0, raising=False)
    assert own_start() == before
    assert start_of(1) != before
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        start = start_of(process.pid)
        assert start is not None
        assert send_signal(process.pid, start)
        until(lambda: not lives(process.pid, start))


def test_records_of_older_versions_are_read():
    wall = psutil.Process().create_time()
    assert lives(os.getpid(), wall)
    assert not lives(os.getpid(), wall - 100)
    old = msgspec.json.encode({"pid": os.getpid(), "started": wall})
    assert lives(*msgspec.structs.astuple(msgspec.json.decode(old, type=stored.Connection)))
    with dsage.spawn("local:?slots=1", name="old") as session:
        file = Path(session._started.folder) / "connection.json"
        old = msgspec.json.encode({"pid": session.pid, "started": psutil.Process(session.pid).create_time()})
        file.write_bytes(old)
        assert [info.alive for info in dsage.sessions()] == [True]
