"""The processes of a session, as the system sees them, for `%dsage ps`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from jupyter_dsage.client.session import Session

LOOK_SECONDS = 0.1
"""How long processes are watched to tell how busy they are."""

_COMMAND = 40
"""Characters of a command line that are shown."""


def table(session: Session) -> list[tuple[str, ...]]:
    """Return pid, what it is, CPU and memory of each process of a session, a heading first."""
    out: list[tuple[str, ...]] = [("pid", "what", "cpu %", "memory MB")]
    try:
        child = psutil.Process(session.pid)
        found = [child, *child.children(recursive=True)]
    except psutil.Error:
        return out
    for process in found:
        _cpu(process)  # the first look only starts the count
    time.sleep(LOOK_SECONDS)
    here = {"local", *(url.name for url in session.urls if not url.host)}  # pids of other hosts mean nothing here
    workers = {worker.pid: f"worker {worker.worker}" for worker in session.workers if worker.engine in here}
    for process in found:
        try:
            what = _what(process, session, workers)
            memory = process.memory_info().rss / 1e6
        except psutil.Error:
            continue  # it ended meanwhile
        out.append((str(process.pid), what, f"{_cpu(process):.0f}", f"{memory:.0f}"))
    return out


def _what(process: psutil.Process, session: Session, workers: dict[int, str]) -> str:
    if process.pid == session.pid:
        return f"child of session {session.name}"
    if process.pid in workers:
        return workers[process.pid]
    if process.ppid() == session.pid:
        return "supervisor"
    command = " ".join(process.cmdline()) or process.name()
    return command if len(command) <= _COMMAND else command[: _COMMAND - 1] + "…"


def _cpu(process: psutil.Process) -> float:
    try:
        return process.cpu_percent()
    except psutil.Error:
        return 0.0
