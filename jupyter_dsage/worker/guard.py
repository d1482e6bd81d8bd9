"""What the supervisor looks for at its workers: jobs that overstep a limit, and workers that are stopped.

It reads the workers' pages, so it works while a job holds the interpreter lock. A job over its limit is interrupted,
and its worker killed if the page still shows that very job after a grace. It decides nothing else, and never blocks.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from jupyter_dsage import settings
from jupyter_dsage.worker.limits import memory_limit, time_limit
from jupyter_dsage.worker.page import MEMORY, TIMEOUT, WHY_MEMORY, WHY_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.worker.page import Page


@dataclass(slots=True)
class _Watched:
    """A worker. `warned`: lease and job that were interrupted, when (monotonic seconds), and why."""

    pid: int
    page: Page
    process: psutil.Process | None = None
    warned: tuple[int, int, float, str, str] | None = None
    stopped: float = 0.0
    """Seconds for which it has been seen stopped."""
    verdict: tuple[str, str] = ("", "")
    """Why it was killed: the cause for messages, and in words."""


class Guard:
    """Used by `Supervisor`, on its one thread. `kill`: kills a worker with all that it started."""

    def __init__(self, kill: Callable[[int], None]) -> None:
        self._kill = kill
        self._workers: dict[int, _Watched] = {}
        self._looked = time.monotonic()
        self._next_status = 0.0

    def watch(self, worker: int, pid: int, page: Page) -> None:
        """Look after a worker from now on."""
        self._workers[worker] = _Watched(pid, page)

    def verdict(self, worker: int) -> tuple[str, str]:
        """Look after a worker no more; return why it was killed from here, the cause and in words; empty if not."""
        watched = self._workers.pop(worker, None)
        return ("", "") if watched is None else watched.verdict

    def look(self) -> None:
        """Look at all workers; called every `GUARD_SECONDS`."""
        now = time.monotonic()
        for worker, watched in list(self._workers.items()):
            words = watched.page.words
            if words[TIMEOUT] or words[MEMORY]:
                self._limits(worker, watched, now)
        if now >= self._next_status:
            self._next_status = now + settings.STATUS_SECONDS
            step, self._looked = min(now - self._looked, 2 * settings.STATUS_SECONDS), now
            # capped: a supervisor that was stopped itself, or a machine that slept, is nobody's fault
            for worker, watched in list(self._workers.items()):
                self._status(worker, watched, step)

    # --- limits --------------------------------------------------------------------------------------------

    def _limits(self, worker: int, watched: _Watched, now: float) -> None:
        running = watched.page.running()
        if running.job is None:
            watched.warned = None
            return
        if watched.warned is not None:
            lease, job, since, cause, text = watched.warned
            if (lease, job) == (running.lease, running.job):
                if now - since > settings.INTERRUPT_GRACE_SECONDS:
                    self._end(worker, watched, cause, text)
                return
            watched.warned = None
        timeout, memory = watched.page.words[TIMEOUT], watched.page.words[MEMORY]
        if timeout and time.monotonic_ns() - running.started > timeout:
            self._warn(watched, running.lease, running.job, "timeout", time_limit(timeout))
        elif memory and (taken := self._taken(watched)) > memory:
            text = memory_limit(memory, taken)
            if taken > settings.MEMORY_EXCESS * memory:
                self._end(worker, watched, "memory", text)
            else:
                self._warn(watched, running.lease, running.job, "memory", text)

    @staticmethod
    def _warn(watched: _Watched, lease: int, job: int, cause: str, text: str) -> None:
        why = WHY_TIMEOUT if cause == "timeout" else WHY_MEMORY
        if watched.page.cancel(lease, job, job + 1, why) is None:
            return  # it has ended this moment
        watched.warned = (lease, job, time.monotonic(), cause, text)
        os.kill(watched.pid, signal.SIGINT)  # it is ours until it is reaped, so its number is nobody else's

    def _end(self, worker: int, watched: _Watched, cause: str, text: str) -> None:
        watched.verdict = (cause, text)
        self._kill(worker)

    @staticmethod
    def _taken(watched: _Watched) -> int:
        """Return the resident memory of a worker and of what it started, in bytes."""
        try:
            if watched.process is None:
                watched.process = psutil.Process(watched.pid)
            family = [watched.process, *watched.process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return 0
        total = 0
        for process in family:
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total

    # --- stopped workers -----------------------------------------------------------------------------------

    def _status(self, worker: int, watched: _Watched, step: float) -> None:
        try:
            stopped = psutil.Process(watched.pid).status() == psutil.STATUS_STOPPED
        except psutil.NoSuchProcess:
            return
        watched.stopped = watched.stopped + step if stopped else 0.0
        if watched.stopped > settings.STOPPED_SECONDS:
            self._end(worker, watched, "stopped", f"being stopped (SIGSTOP) for {settings.STOPPED_SECONDS:.0f} s")
