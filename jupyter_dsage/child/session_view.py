"""What there is to see of a whole session, as one JSON object: its batches, engines and workers.

Clients that watch the session get it at most `SESSION_VIEWS_A_SECOND` times a second and only when it differs from the
one before, in at most `VIEW_BYTES`. Who sends it on adds what the session's record says: its kernel and notebook.
"""

from __future__ import annotations

import collections
import os
from typing import TYPE_CHECKING, Any

import msgspec

from jupyter_dsage import settings
from jupyter_dsage.child.view import name_of
from jupyter_dsage.core.names import labels
from jupyter_dsage.core.states import ENDED, State
from jupyter_dsage.lazy import psutil
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jupyter_dsage.child.clients import Clients
    from jupyter_dsage.child.engines.engine import Engine
    from jupyter_dsage.child.view import Views
    from jupyter_dsage.core.pool import Worker
    from jupyter_dsage.core.scheduler import Scheduler
    from jupyter_dsage.net.transport import Peer

_CUT = (("workers", "more_workers"), ("batches", "more_batches"), ("engines", "more_engines"))
"""What is shortened where all is too much: workers first, down to a few, then batches, then engines."""
_KEPT = 8
_COUNT_BYTES = 20
"""What the count of those left out may take more than the zero before."""


class SessionViews:
    """One child's. `here`: tells of an engine's name whether its workers are processes of this host."""

    def __init__(
        self, scheduler: Scheduler, views: Views, places: Mapping[str, Engine], here: Callable[[str], bool]
    ) -> None:
        self._scheduler = scheduler
        self._views = views
        self._places = places
        self._processes = _Processes(here)
        self._peers: set[Peer] = set()
        self._samples: collections.deque[tuple[float, int]] = collections.deque()
        """(time, jobs ended) of the last seconds: the rate."""
        self._stamp = -1
        """The views' stamp at the last look."""
        self._looked = -1.0
        self._sent = b""

    def watch(self, peer: Peer, *, on: bool) -> None:
        """Start or stop sending views to a client."""
        if not on:
            self._peers.discard(peer)
            return
        self._peers.add(peer)
        self._sent, self._looked = b"", -1.0

    def next_due(self) -> float | None:
        """Return when to look again (monotonic seconds), or None: soon after something happened, else for the CPU."""
        if not self._peers:
            return None
        pause = 1 / settings.SESSION_VIEWS_A_SECOND
        return self._looked + (pause if self._stamp != self._views.stamp else 2 * pause)

    def send(self, clients: Clients, now: float) -> None:
        """Send a view to those who watch, if one is due and shows something new."""
        self._peers = {peer for peer in self._peers if peer in clients}
        due = self.next_due()
        if due is None or now < due:
            return
        self._looked, self._stamp = now, self._views.stamp
        data = self.make(now)
        if data != self._sent:
            self._sent = data
            for peer in self._peers:
                clients.send(peer, m.SessionView(), data)

    def make(self, now: float) -> bytes:
        """Return the view as JSON, within `VIEW_BYTES`: what has no room is counted only."""
        whole = self._whole(now)
        data = msgspec.json.encode(whole)
        for kept in (_KEPT, 0):
            for rows, more in _CUT:
                if len(data) > settings.VIEW_BYTES:
                    whole[more] += _cut(whole[rows], kept, len(data) + _COUNT_BYTES - settings.VIEW_BYTES)
                    data = msgspec.json.encode(whole)
        return data

    def _whole(self, now: float) -> dict[str, Any]:
        numbers = list(reversed(self._scheduler.batches))
        counts = self._counts()
        called = labels((batch.number, batch.name) for batch in self._scheduler.batches.values())
        rows = [(number, self._views.row(number, now)) for number in numbers[: settings.BATCHES_SHOWN]]
        batches = [row | {"name": called[number]} for number, row in rows]
        engines = self._views.engines(self._views.by_engine)
        workers = self._workers()
        shown = workers[: settings.SESSION_WORKERS_SHOWN]
        self._processes.look(now)
        return {
            "v": 1,
            "id": self._views.session,
            "name": self._views.name,
            "alive": True,
            "note": self._views.trouble(),
            "pid": os.getpid(),
            "slots": self._scheduler.pool.slots(),
            "counts": counts,
            "rate": self._rate(sum(counts[state.value] for state in ENDED), now),
            "batches": batches,
            "more_batches": len(numbers) - len(batches),
            "engines": engines,
            "more_engines": len(self._scheduler.pool.engines) - len(engines),
            "workers": [self._worker(worker) for worker in shown],
            "more_workers": len(workers) - len(shown),
        }

    def _counts(self) -> dict[str, int]:
        """Return the jobs of all batches by state; only those that have begun are running, one a worker."""
        counts = dict.fromkeys((state.value for state in State), 0)
        for number, batch in self._scheduler.batches.items():
            for state in State:
                counts[state.value] += batch.jobs.count(state)
            counts["queued"] += self._views.total(number) - batch.jobs.total
        leases = [self._scheduler.leases[worker.leases[0]] for worker in self._workers() if worker.leases]
        begun = sum(lease.left.first_run() is not None for lease in leases)
        counts["queued"] += counts["running"] - begun
        counts["running"] = begun
        return counts

    def _workers(self) -> list[Worker]:
        return list(self._scheduler.pool.workers.values())

    def _rate(self, done: int, now: float) -> float | None:
        samples = self._samples
        samples.append((now, done))
        while len(samples) > 2 and samples[0][0] < now - settings.RATE_SECONDS:  # noqa: PLR2004  (two make a rate)
            samples.popleft()
        span = now - samples[0][0]
        return round((done - samples[0][1]) / span, 2) if span > 0 and done > samples[0][1] else None

    def _worker(self, worker: Worker) -> dict[str, Any]:
        lease = self._scheduler.leases[worker.leases[0]] if worker.leases else None
        first = lease.left.first_run() if lease is not None else None
        place = self._places[worker.engine]
        pid = place.pid(worker.number)
        cpu, memory = self._processes.of(worker.engine, pid)
        return {
            "name": name_of(worker),
            "engine": worker.engine,
            "host": place.host,
            "stage": self._scheduler.pool.stage_of(worker),
            "pid": pid,
            "job": first[0] if first else None,
            "batch": lease.batch if lease is not None and first else None,
            "cpu": cpu,
            "memory": memory,
        }


def _cut(rows: list[dict[str, Any]], kept: int, over: int) -> int:
    """Take rows from the end until so many bytes are saved, or few are left; return how many."""
    before = len(rows)
    while over > 0 and len(rows) > kept:
        over -= len(msgspec.json.encode(rows.pop())) + 1
    return before - len(rows)


class _Processes:
    """CPU and memory of this host's workers, read once a second while somebody watches."""

    def __init__(self, here: Callable[[str], bool]) -> None:
        self._here = here
        self._known: dict[int, psutil.Process] = {}
        self._read: dict[int, tuple[float | None, int]] = {}
        self._asked: set[int] = set()
        self._next = 0.0

    def look(self, now: float) -> None:
        """Read them all anew, if it is time; those that nobody asked for since are forgotten."""
        if now < self._next:
            return
        self._next = now + 1.0
        self._known = {pid: process for pid, process in self._known.items() if pid in self._asked}
        self._read = {pid: read for pid in self._known if (read := self._one(self._known[pid])) is not None}
        self._asked = set()

    def of(self, engine: str, pid: int) -> tuple[float | None, int | None]:
        """Return percent of one core and resident bytes of a worker; None where that is not known."""
        if not pid or not self._here(engine):
            return None, None
        self._asked.add(pid)
        if pid not in self._read:
            try:
                process = self._known[pid] = psutil.Process(pid)
            except psutil.Error:
                return None, None
            read = self._one(process)  # the first look tells no CPU: that is since the look before
            if read is None:
                return None, None
            self._read[pid] = None, read[1]
        return self._read[pid]

    @staticmethod
    def _one(process: psutil.Process) -> tuple[float, int] | None:
        try:
            return round(process.cpu_percent(), 1), process.memory_info().rss
        except psutil.Error:
            return None
