"""What the supervisor looks for at its workers: jobs that overstep a limit, and workers that are stopped.

It reads the workers' pages, so it works while a job holds the interpreter lock. A job over its limit is interrupted,
and its worker killed if the page still shows that very job after a grace. It decides nothing else, and never blocks.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.worker import processes
from jupyter_dsage.worker.families import Families
from jupyter_dsage.worker.limits import load_limit, load_time_limit, memory_limit, time_limit
from jupyter_dsage.worker.page import LOADS, LOADS_FUNCTION, MEMORY, TIMEOUT, WHY_MEMORY, WHY_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.lazy import psutil
    from jupyter_dsage.worker.page import Page, Running


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a worker was killed from here: the limit as messages have it, if one was overstepped; in words; which job."""

    cause: str
    text: str
    lease: int = 0
    job: int | None = None


@dataclass(slots=True)
class _Watched:
    """A worker. `warned`: why its job is being interrupted, and since when (monotonic seconds)."""

    pid: int
    page: Page
    warned: tuple[Verdict, float] | None = None
    stopped: float = 0.0
    """Seconds for which it has been seen stopped."""
    verdict: Verdict | None = None
    """Why it was killed."""
    started: list[psutil.Process] = field(default_factory=list)
    """What it had started when its job took too much memory: that is to go too."""


class Guard:
    """Used by `Supervisor`, on its one thread. `kill`: kills a worker with all that it started."""

    def __init__(self, kill: Callable[[int], None]) -> None:
        self._kill = kill
        self._workers: dict[int, _Watched] = {}
        self._families = Families()
        self._looked = time.monotonic()
        self._next_status = 0.0

    def watch(self, worker: int, pid: int, page: Page) -> None:
        """Look after a worker from now on."""
        self._workers[worker] = _Watched(pid, page)

    def verdict(self, worker: int) -> Verdict | None:
        """Look after a worker no more, which is dead; return why it was killed from here, None if it was not."""
        watched = self._workers.pop(worker, None)
        if watched is None:
            return None
        processes.kill(watched.started)
        return watched.verdict

    def look(self) -> None:
        """Look at all workers; called every `GUARD_SECONDS`."""
        now = time.monotonic()
        measured = {w.pid for w in self._workers.values() if w.page.words[MEMORY] and w.page.running().job is not None}
        if measured:
            self._families.look(measured, now)
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
        seen = watched.page.running()
        if watched.warned is not None:
            verdict, since = watched.warned
            if (verdict.lease, verdict.job) == (seen.lease, seen.job):
                grows = verdict.cause == "memory" and self._taken(watched) > self._most(watched)
                if grows or now - since > settings.INTERRUPT_GRACE_SECONDS:
                    self._end(worker, watched, verdict)
                else:  # an interrupt that came just before a call that waits did not wake it
                    os.kill(watched.pid, signal.SIGINT)
                return
            watched.warned = None
        if seen.job is None:
            return
        timeout, memory = watched.page.words[TIMEOUT], watched.page.words[MEMORY]
        loads = watched.page.words[LOADS] == LOADS_FUNCTION
        if timeout and time.monotonic_ns() - seen.started > (load_limit(timeout) if loads else timeout):
            said = (load_time_limit if loads else time_limit)(timeout)
            self._warn(watched, seen, WHY_TIMEOUT, Verdict("timeout", said, seen.lease, seen.job))
        elif memory and (taken := self._taken(watched)) > memory:
            verdict = Verdict("memory", memory_limit(memory, taken), seen.lease, seen.job)
            watched.started = processes.started(watched.pid)
            if self._warn(watched, seen, WHY_MEMORY, verdict) and taken > self._most(watched):
                self._end(worker, watched, verdict)

    @staticmethod
    def _warn(watched: _Watched, seen: Running, why: int, verdict: Verdict) -> bool:
        """Interrupt a job if it runs still: while its memory was measured, another may have begun."""
        if not watched.page.overstep(seen, why):
            return False
        watched.warned = (verdict, time.monotonic())
        os.kill(watched.pid, signal.SIGINT)  # it is ours until it is reaped, so its number is nobody else's
        return True

    def _end(self, worker: int, watched: _Watched, verdict: Verdict) -> None:
        watched.verdict = watched.verdict or verdict
        self._kill(worker)

    def _taken(self, watched: _Watched) -> int:
        """Return the memory of a worker and of what it started, in bytes."""
        return self._families.used(watched.pid, watched.page.words[MEMORY])

    @staticmethod
    def _most(watched: _Watched) -> float:
        """Return from where on there is no grace."""
        return settings.MEMORY_EXCESS * watched.page.words[MEMORY]

    # --- stopped workers -----------------------------------------------------------------------------------

    def _status(self, worker: int, watched: _Watched, step: float) -> None:
        watched.stopped = watched.stopped + step if processes.stopped(watched.pid) else 0.0
        if watched.stopped > settings.STOPPED_SECONDS:
            self._end(worker, watched, Verdict("", f"being stopped (SIGSTOP) for {settings.STOPPED_SECONDS:.0f} s"))
