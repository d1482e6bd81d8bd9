"""The processes of a session, as the system sees them, for `%dsage ps`."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import psutil

from jupyter_dsage import clock
from jupyter_dsage.client.opening import sessions
from jupyter_dsage.store.holders import place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dsage.client.session import Session

LOOK_SECONDS = 0.1
"""How long processes are watched to tell how busy they are."""

_COMMAND = 40
"""Characters of a command line that are shown."""


def table(session: Session) -> list[tuple[str, ...]]:
    """Return pid, what it is, CPU and memory of each process of a session of this process, a heading first."""
    here = {"local", *(engine.name for engine in session.engines if engine.host == os.uname().nodename)}
    workers = {worker.pid: f"worker {worker.worker}" for worker in session.workers if worker.engine in here}
    return _table(session.pid, session.name, workers)


def _table(pid: int, name: str, workers: dict[int, str]) -> list[tuple[str, ...]]:
    out: list[tuple[str, ...]] = [("pid", "what", "cpu %", "memory MB")]
    try:
        child = psutil.Process(pid)
        found = [child, *child.children(recursive=True)]
    except psutil.Error:
        return out
    for process in found:
        _cpu(process)  # the first look only starts the count
    clock.sleep(LOOK_SECONDS)
    for process in found:
        try:
            what = f"child of session {name}" if process.pid == pid else _what(process, pid, workers)
            memory = process.memory_info().rss / 1e6
        except psutil.Error:
            continue  # it ended meanwhile
        out.append((str(process.pid), what, f"{_cpu(process):.0f}", f"{memory:.0f}"))
    return out


def batch_table(session: Session) -> list[tuple[str, ...]]:
    """Return the jobs of each batch by what is known of them, a heading first.

    Of each name the newest batch, and those before that have not ended; when each was started.
    """
    rows: list[tuple[str, ...]] = []
    states: tuple[str, ...] = ()
    for name, batch in session.batches.current().items():
        counts = batch.counts
        states = tuple(counts)
        since = time.strftime("%d %b %H:%M:%S", time.localtime(batch.started)) if batch.started else ""
        rows.append((name, str(sum(counts.values())), *map(str, counts.values()), since))
    return [("batch", "jobs", *states, "started"), *rows] if rows else []


def all_told(mine: Sequence[Session]) -> list[str]:
    """Return a text for each session of this user, those of this process first: whether it lives, and its processes."""
    told = []
    for session in mine:
        head = f"Session {session.name!r}: of this process, id {session.id}, child {session.pid}."
        told.append("\n".join([head, *columns(table(session))]))
    for info in sessions():
        if info.id in {session.id for session in mine}:
            continue
        since = time.strftime("%d %b %H:%M", time.localtime(info.created))
        where = place(info.kernel, info.notebook)
        where = f" of {where}" if where else ""
        if info.alive:
            head = f"Session {info.name!r}{where}: alive since {since}, child {info.pids[0]}; attach {info.id} gets it."
            told.append("\n".join([head, *columns(_table(info.pids[0], info.name, {}))]))
        else:
            told.append(f"Session {info.name!r}{where}: of {since}, not running; attach {info.id} revives its journal.")
    return told


def _what(process: psutil.Process, child: int, workers: dict[int, str]) -> str:
    if process.pid in workers:
        return workers[process.pid]
    if process.ppid() == child:
        return "supervisor"
    above = process.parent()
    if above is not None and above.ppid() == child:
        return "worker"
    command = " ".join(process.cmdline()) or process.name()
    return command if len(command) <= _COMMAND else command[: _COMMAND - 1] + "…"


def _cpu(process: psutil.Process) -> float:
    try:
        return process.cpu_percent()
    except psutil.Error:
        return 0.0


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines with aligned columns, numbers to the right.

    >>> columns([("batch", "jobs"), ("hist", "100"), ("tails", "7")])
    ['  batch  jobs', '  hist    100', '  tails     7']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    number = [any(cell[:1].isdecimal() for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, number, strict=True)
        ).rstrip()
        for row in rows
    ]
