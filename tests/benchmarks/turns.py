"""One turn: a run in a process of its own, with a time limit, after which nothing that it started is left.

This process adopts what the peers orphan (where the system has that), so that every process of a run is below it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 20.0
"""So long a peer may take to end once it has been measured."""
_SET_CHILD_SUBREAPER = 36


def adopt() -> None:
    """Become the parent of what is orphaned below."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def turn(workload: str, peer: str, options: Sequence[str], stop: float) -> dict[str, Any]:
    """Run one workload on one peer; return its answer, with a note for whatever went wrong."""
    with (
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home,
    ):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.run_one", workload, peer, *options],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=ROOT,
            env=_environment(home),
        )
        left: list[str] = []
        try:
            answer = _answer(process, out, stop) or _silence(process, err, workload, peer, stop)
            if answer["status"] != "timeout" and not _ended(process):
                answer["notes"].append(f"did not end within {STOP_SECONDS:.0f} s")
        finally:  # also when somebody interrupts the suite
            left = _clear(process)
    if left and answer["status"] == "ok":
        answer["notes"].append(f"left processes behind: {', '.join(left)}")
    return answer


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _environment(home: str) -> dict[str, str]:
    """Return the environment of a run: this code, this interpreter's programs, and state that goes with the run."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "PATH": path,
        "IPYTHONDIR": home,
        "JUPYTER_DATA_DIR": f"{home}/jupyter",
    }


def _answer(process: subprocess.Popen[bytes], out: IO[str], stop: float) -> dict[str, Any] | None:
    """Wait for the line of JSON; a process that a peer started may hold the output open, so its end tells nothing."""
    give_up = time.monotonic() + stop
    while True:
        ended = process.poll() is not None
        out.seek(0)
        for line in out.read().splitlines():
            if line.startswith('{"workload"'):
                with contextlib.suppress(ValueError):
                    return json.loads(line)
        if ended or time.monotonic() > give_up:
            return None
        time.sleep(0.2)


def _silence(process: subprocess.Popen[bytes], err: IO[str], workload: str, peer: str, stop: float) -> dict[str, Any]:
    """Return the answer in place of one that did not come."""
    ended = process.poll()
    if ended is None:
        status, reason = "timeout", f"gave no answer within {stop:.0f} s"
    else:
        status, reason = "failed", f"ended with {ended}: {_last(err)}"
    return {"workload": workload, "peer": peer, "status": status, "reason": reason, "figures": {}, "notes": []}


def _last(err: IO[str]) -> str:
    err.seek(0)
    return (err.read().strip().splitlines() or ["said nothing"])[-1][:200]


def _clear(process: subprocess.Popen[bytes]) -> list[str]:
    """End what is left of a run, by pid; return the names of what had not ended by itself."""
    me = psutil.Process()
    if process.poll() is None:
        process.kill()
        process.wait()
    stop = time.monotonic() + 5
    while (left := _living(me)) and time.monotonic() < stop:
        time.sleep(0.05)
    names = []
    for one in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            names.append(one.name())
            one.kill()
    psutil.wait_procs(left, timeout=5)
    _living(me)
    return names


def _living(me: psutil.Process) -> list[psutil.Process]:
    """Return the processes below this one, and collect those that have ended."""
    found = []
    for child in me.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() == psutil.STATUS_ZOMBIE:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(child.pid, os.WNOHANG)
            else:
                found.append(child)
    return found
