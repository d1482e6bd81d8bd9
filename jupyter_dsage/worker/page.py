"""A worker's shared page: which job runs, since when, and what has been recalled. Who ran when it died.

Memory that supervisor and worker share (made before the fork). The worker writes what it runs; the supervisor
writes recalls and cancels, and reads the page when the worker is dead. So both work while a job holds the
interpreter lock for a minute.

A recall is a handshake without locks (Dekker's). The worker, before each job, writes the job's number and then
looks for recalls; the supervisor writes the recall, waits `RECALL_SETTLE_SECONDS`, and then reads the number.
Either the worker sees the recall, or the supervisor sees the job: the wait is longer than a store takes to reach
the other core, and a worker that is interrupted between its two steps has passed a barrier in the kernel.
"""

from __future__ import annotations

import mmap
import os
from typing import NamedTuple

from jupyter_dsage import clock

LEASE, FIRST, JOB, STARTED, ENDED, SEQUENCE, TIMEOUT, MEMORY = range(8)
"""Written by the worker. JOB is ``FIRST - 1`` before the first job; SEQUENCE is odd while the others change; TIMEOUT
(ns) and MEMORY (bytes) are what each job of the lease may take, 0 for no limit."""
CANCEL_LEASE, CANCEL_FIRST, CANCEL_STOP = 8, 9, 10
"""Written by the supervisor before it interrupts the worker: jobs that are cancelled."""
WHY_CANCEL, WHY_TIMEOUT, WHY_MEMORY = range(3)
LOADS = 11
"""Written by the worker: what is being loaded for the job that the page shows, before it runs."""
LOADS_NOTHING, LOADS_FUNCTION, LOADS_ARGUMENTS = range(3)
LOADED = ("", "function", "arguments")
"""The same in the words of messages."""
OUT_START = 12
"""Where the running job's output begins in the worker's file; written by the worker when a job's output was taken."""
OUT_HEAD, OUT_FREED = 13, 14
"""The beginning of the output that was freed last, and up to where; written by the supervisor."""
OVER_LEASE, OVER_JOB, OVER_WHY = 40, 41, 42
"""Written by the supervisor before it interrupts the worker: the job that has overstepped a limit, and which."""
BATCH = 15
"""Written by the worker: the batch of its lease."""
RECALLS = 16
"""Count of recalls so far, written by the supervisor after the entry; entries follow: (lease, limit) each."""
ENTRIES = 8
NO_LIMIT = 2**62
_SIZE = mmap.PAGESIZE


class Running(NamedTuple):
    """What a page says: the lease, its job (None: between leases), and the job's start (monotonic, ns)."""

    lease: int
    job: int | None
    next: int
    started: int


def _mapped(path: str) -> mmap.mmap:
    """Return memory that is a file's too, so that it can be read when all who shared it are dead; else other memory."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError:
        return mmap.mmap(-1, _SIZE)  # the disk is full: then nobody will know after such an end
    try:
        os.write(descriptor, bytes(_SIZE))  # it is there in whole: to touch it never ends in SIGBUS
        return mmap.mmap(descriptor, _SIZE)
    except (OSError, ValueError):
        return mmap.mmap(-1, _SIZE)
    finally:
        os.close(descriptor)


class Page:
    """The page, as both sides use it. `words`: 64-bit words; reading and writing one is atomic.

    `path`: a file that has the same content, for who finds supervisor and workers dead.
    """

    def __init__(self, path: str = "") -> None:
        self._memory = _mapped(path) if path else mmap.mmap(-1, _SIZE)
        self.words = memoryview(self._memory).cast("q")
        self.words[ENDED] = 1

    def close(self) -> None:
        """Free the memory on this side."""
        self.words.release()
        self._memory.close()

    # --- the worker's side ---------------------------------------------------------------------------------

    def begin(self, lease: int, first: int, timeout: int = 0, memory: int = 0, batch: int = 0) -> None:
        """Say that a lease begins, whose jobs may take so much time (ns) and memory (bytes)."""
        words = self.words
        words[SEQUENCE] += 1
        words[LEASE] = lease
        words[BATCH] = batch
        words[FIRST] = first
        words[JOB] = first - 1
        words[TIMEOUT] = timeout
        words[MEMORY] = memory
        words[LOADS] = LOADS_NOTHING
        words[ENDED] = 0
        words[SEQUENCE] += 1

    def end(self) -> None:
        """Say that the lease has ended: no job runs."""
        self.words[ENDED] = 1

    def limit(self, lease: int) -> int:
        """Return the number from which on jobs of this lease were recalled."""
        words = self.words
        for entry in range(RECALLS + 1, RECALLS + 1 + 2 * ENTRIES, 2):
            if words[entry] == lease:
                return words[entry + 1]
        return NO_LIMIT

    def why_to_end(self) -> int | None:
        """Return why the job that runs is to end, None if it is not (asked by the SIGINT handler)."""
        words = self.words
        lease, job = words[LEASE], words[JOB]
        if words[ENDED] or job < words[FIRST]:
            return None
        if lease == words[CANCEL_LEASE] and words[CANCEL_FIRST] <= job < words[CANCEL_STOP]:
            return WHY_CANCEL
        return words[OVER_WHY] if (lease, job) == (words[OVER_LEASE], words[OVER_JOB]) else None

    # --- the supervisor's side -----------------------------------------------------------------------------

    def loads(self) -> str:
        """Return what the worker loads, or loaded when it died, for the job that runs: a word of `LOADED`."""
        at = self.words[LOADS]
        return LOADED[at] if 0 <= at < len(LOADED) else ""  # a job may have written anything here

    def running(self, *, last: bool = False) -> Running:
        """Return what the worker runs, read so that lease and job belong together.

        `last`: of a dead worker, also the last job of a lease that has ended: its outcome may not have been told.
        """
        words = self.words
        deadline = clock.monotonic() + 0.1
        while True:
            before = words[SEQUENCE]
            lease, first, job, started, ended = (words[i] for i in (LEASE, FIRST, JOB, STARTED, ENDED))
            # A worker that died while it changed the page leaves SEQUENCE odd; then no job was running.
            if before % 2 and clock.monotonic() > deadline:
                return Running(lease, None, first, started)
            if before % 2 == 0 and words[SEQUENCE] == before:
                runs = job >= first and (last or not ended)
                return Running(lease, job if runs else None, job + 1, started)

    def recall(self, lease: int, limit: int) -> None:
        """Recall a lease's jobs from `limit` on; `unstarted`, asked a little later, tells from where it worked."""
        words = self.words
        entries = range(RECALLS + 1, RECALLS + 1 + 2 * ENTRIES, 2)
        for entry in entries:
            if words[entry] == lease:
                words[entry + 1] = min(words[entry + 1], limit)
                break
        else:
            # Leases rise, so the smallest number is the oldest; at most two leases are at a worker.
            entry = min(entries, key=lambda at: words[at])
            words[entry] = 0
            words[entry + 1] = limit
            words[entry] = lease
        words[RECALLS] += 1

    def unstarted(self, lease: int, limit: int, stop: int) -> int:
        """Return the number from which on no job of the lease will start (`stop` if it is over)."""
        running = self.running()
        if running.lease < lease:
            return limit
        if running.lease > lease:
            return stop
        return min(stop, max(limit, running.next))

    def cancel(self, lease: int, first: int, stop: int) -> int | None:
        """Mark jobs as cancelled; return the one among them that runs, or None."""
        words = self.words
        words[CANCEL_LEASE] = 0
        words[CANCEL_FIRST], words[CANCEL_STOP] = first, stop
        words[CANCEL_LEASE] = lease
        running = self.running()
        if running.lease == lease and running.job is not None and first <= running.job < stop:
            return running.job
        return None

    def overstep(self, seen: Running, why: int) -> bool:
        """Mark a job that was seen running as beyond a limit; tell whether it runs still."""
        words = self.words
        words[OVER_LEASE] = 0
        words[OVER_JOB], words[OVER_WHY] = -1 if seen.job is None else seen.job, why
        words[OVER_LEASE] = seen.lease
        return seen.job is not None and self.running() == seen
