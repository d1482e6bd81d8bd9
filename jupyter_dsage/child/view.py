"""What there is to see of a batch, as one JSON object: counts, rate, grid, lanes, failures (design, "The live view").

Clients that watch a batch get it at most `VIEWS_A_SECOND` times a second and only when something changed, in at most
`VIEW_BYTES` whatever the batch. The words and keys here are those that the view module in ``labextension/`` reads.
"""

from __future__ import annotations

import collections
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from jupyter_dsage import settings
from jupyter_dsage.child.stories import note_of, trouble, wish
from jupyter_dsage.core.pool import Stage
from jupyter_dsage.core.snapshot import grid
from jupyter_dsage.core.states import ENDED, State
from jupyter_dsage.wire import brief
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_dsage.child.engines.engine import Engine
    from jupyter_dsage.child.looks import Edits
    from jupyter_dsage.core.batch import Batch
    from jupyter_dsage.core.pool import Engine as PoolEngine
    from jupyter_dsage.core.pool import Worker as PoolWorker
    from jupyter_dsage.core.scheduler import Scheduler
    from jupyter_dsage.net.transport import Peer
    from jupyter_dsage.wire.setup import Runs

Bit = tuple[float, float, str, int, int]
"""A bit of a worker's lane: start and stop (monotonic seconds), letter, jobs, batch."""


@dataclass(slots=True)
class _Watched:
    """What is remembered of one batch for its views."""

    opened: float
    created: float
    """The same in seconds since the epoch, or when an earlier child was followed by this one."""
    total: int = 0
    drawing: bool = False
    ended_at: float | None = None
    errors: dict[int, str] = field(default_factory=dict)
    samples: collections.deque[tuple[float, int]] = field(default_factory=collections.deque)
    """(time, jobs ended) of the last seconds: the rate."""
    peers: set[Peer] = field(default_factory=set)
    by_engine: dict[str, list[int]] = field(default_factory=dict)
    """Engine -> jobs that finished and that failed there."""
    seen: int = -1
    """The stamp of the last view."""
    sent: float = -1.0


class Views:
    """Remembers what the scheduler forgets (times, errors in words, lanes) and makes views of it."""

    def __init__(
        self, scheduler: Scheduler, session: tuple[str, str], places: Mapping[str, Engine], edits: Edits
    ) -> None:
        self._edits = edits
        self._places = places
        """Engines by name: where they are, and their notes."""
        self._scheduler = scheduler
        self.session, self.name = session
        """The session's id and name."""
        self._batches: dict[int, _Watched] = {}
        self._lanes: dict[int, collections.deque[Bit]] = {}
        self._watched: dict[int, _Watched] = {}
        """Those that somebody watches."""
        self.stamp = 0
        """Rises whenever something happens that a view may show."""
        self._started: dict[int, float] = {}
        """Worker -> since when it runs what it runs now."""
        self._names: dict[int, str] = {}
        """Workers that were ever given work, by their names: people ask who ran a job long after."""
        self.by_engine: dict[str, list[int]] = {}
        """Engine -> jobs that finished and that failed there, of all batches."""

    # --- what the child's loop tells -----------------------------------------------------------------------

    def opened(self, batch: int, now: float) -> None:
        """Note a new batch."""
        self._batches[batch] = _Watched(now, time.time())

    def expect(self, message: m.Expect) -> None:
        """Note how many jobs the client says there will be."""
        watched = self._batches[message.batch]
        watched.total, watched.drawing = message.total, message.drawing
        self.stamp += 1

    def watch(self, message: m.Watch, peer: Peer) -> None:
        """Start or stop sending views of a batch to a client."""
        watched = self._batches[message.batch]
        if message.on:
            watched.peers.add(peer)
            watched.seen = -1
            self._watched[message.batch] = watched
        else:
            self._unwatch(message.batch, peer)

    def forget(self, peer: Peer) -> None:
        """Send nothing more to a client that is gone."""
        for batch in list(self._watched):
            self._unwatch(batch, peer)

    def _unwatch(self, batch: int, peer: Peer) -> None:
        watched = self._batches[batch]
        watched.peers.discard(peer)
        if not watched.peers:
            self._watched.pop(batch, None)

    def leased(self, worker: int, now: float) -> None:
        """Note that a worker got work; if it had none, it begins now."""
        if worker not in self._names:
            self._names[worker] = name_of(self._scheduler.pool.workers[worker])
        self._started.setdefault(worker, now)

    def reported(self, worker: int, batch: int, report: m.Report, now: float) -> None:
        """Note a report: a bit of the worker's lane, and errors in words."""
        watched = self._batches[batch]
        for job, text in zip(report.failed, report.errors, strict=False):
            if len(watched.errors) < settings.ERRORS_KEPT:
                watched.errors[job] = text
        count = report.stop - report.first
        if count:
            start = max(self._started.get(worker, now), now - report.seconds)
            self._lane_bit(worker, (start, now, "X" if report.failed else "F", count, batch))
        self._started[worker] = now

    def told(self, worker: int, batch: int, runs: Runs, failed: tuple[int, ...]) -> None:
        """Count those outcomes of a report that are told, not what was cancelled meanwhile or came twice."""
        known = self._scheduler.pool.workers.get(worker)
        if known is None:
            return  # a late outcome of one that is gone
        for by_engine in (self._batches[batch].by_engine, self.by_engine):
            done = by_engine.setdefault(known.engine, [0, 0])
            done[0] += sum(stop - first for first, stop in runs) - len(failed)
            done[1] += len(failed)

    def idle(self, worker: int) -> None:
        """Note that a worker has nothing to run."""
        self._started.pop(worker, None)

    def lost(self, worker: int) -> None:
        """Note a worker's death."""
        self._lanes.pop(worker, None)
        self._started.pop(worker, None)

    def failed(self, batch: int, runs: Runs, text: str) -> None:
        """Note in words why jobs were lost."""
        watched = self._batches[batch]
        for first, stop in runs:
            for job in range(first, min(stop, first + settings.ERRORS_IN_A_REPORT)):
                if len(watched.errors) < settings.ERRORS_KEPT:
                    watched.errors[job] = brief.error("WorkerLost", text)

    def restored(self, told: m.Outcomes | m.Lost) -> None:
        """Note errors in words that an earlier child told."""
        if isinstance(told, m.Lost):
            self.failed(told.batch, told.runs, told.story.ending)
            return
        for job, text in zip(told.failed, told.errors, strict=False):
            self._batches[told.batch].errors.setdefault(job, text)

    def drawn(self, batch: int, total: int) -> int:
        """Note that no more jobs than these will come, for who drew them is gone; return how many were expected."""
        watched = self._batches[batch]
        expected, watched.total, watched.drawing = watched.total, total, False
        self.stamp += 1
        return expected

    def changed(self) -> None:
        """Note that something happened that views may show."""
        self.stamp += 1

    def _lane_bit(self, worker: int, bit: Bit) -> None:
        """Add to a lane; what is too short to be seen is merged with the bit before."""
        lane = self._lanes.setdefault(worker, collections.deque())
        if lane:
            start, stop, letter, count, batch = lane[-1]
            short = bit[1] - start < settings.LANE_SECONDS / settings.LANE_BITS
            if (letter, batch) == (bit[2], bit[4]) and short and bit[0] - stop < 1.0:
                lane[-1] = (start, bit[1], letter, count + bit[3], batch)
                return
        lane.append(bit)
        while lane and (lane[0][1] < bit[1] - settings.LANE_SECONDS or len(lane) > 2 * settings.LANE_BITS):
            lane.popleft()

    # --- views out -----------------------------------------------------------------------------------------

    def next_due(self) -> float | None:
        """Return when the next view is to be sent (monotonic seconds), or None."""
        pause = 1 / settings.VIEWS_A_SECOND
        return min((w.sent + pause for w in self._watched.values() if self._news(w)), default=None)

    def _news(self, watched: _Watched) -> bool:
        """Tell whether a view would show something new; lanes and clocks run on until the batch has ended."""
        return watched.ended_at is None or watched.seen != self.stamp

    def due(self, now: float) -> list[tuple[set[Peer], int, bytes]]:
        """Return the views to be sent now: (to whom, batch, JSON)."""
        out = []
        pause = 1 / settings.VIEWS_A_SECOND
        for number, watched in self._watched.items():
            if self._news(watched) and watched.sent + pause <= now:
                watched.sent, watched.seen = now, self.stamp
                out.append((set(watched.peers), number, self.make(number, now)))
        return out

    def make(self, number: int, now: float) -> bytes:
        """Return the view of a batch as JSON, within `VIEW_BYTES`: what has no room is counted only."""
        watched, batch = self._batches[number], self._scheduler.batches[number]
        whole = self._whole(watched, batch, now)
        data = msgspec.json.encode(whole)
        for rows, more in (("workers", "more_workers"), ("engines", "more_engines")):
            while len(data) > settings.VIEW_BYTES and whole[rows]:
                whole[rows].pop()
                whole[more] += 1
                data = msgspec.json.encode(whole)
        while len(data) > settings.VIEW_BYTES and whole["failures"]["rows"]:
            whole["failures"]["rows"].pop()
            data = msgspec.json.encode(whole)
        return data

    def _whole(self, watched: _Watched, batch: Batch, now: float) -> dict[str, Any]:
        total, begun = self.total(batch.number), self._begun(batch.number)
        per, cells = grid(batch.jobs, total, settings.GRID_CELLS, settings.GRID_CHARACTERS, begun)
        workers, more = self._workers(batch.number, now)
        engines = self.engines(watched.by_engine, batch.number)
        return {
            "v": 1,
            "session": {"id": self.session, "name": self.name, "alive": True, "note": self.trouble()},
            "batch": self._row(watched, batch, now),
            "engines": engines,
            "more_engines": len(self._scheduler.pool.engines) - len(engines),
            "workers": workers,
            "more_workers": more,
            "grid": {"jobs": total, "per": per, "cells": cells},
            "failures": self._failures(watched, batch),
        }

    def _row(self, watched: _Watched, batch: Batch, now: float) -> dict[str, Any]:
        counts = self._counts(batch)
        return {
            "name": batch.name,
            "total": self.total(batch.number),
            "drawing": watched.drawing,
            "counts": counts,
            "paused": batch.paused,
            "limit": batch.limit,
            "wants": brief.note(wish(batch.wants)),
            **self._times(watched, batch, counts, now),
        }

    def row(self, number: int, now: float) -> dict[str, Any]:
        """Return a batch in one row: its number, and what its view tells of it as a whole."""
        watched, batch = self._batches[number], self._scheduler.batches[number]
        row = self._row(watched, batch, now)
        return {"number": number, **row, "created": round(watched.created, 3)}

    def total(self, number: int) -> int:
        """Return how many jobs a batch has, those that will be drawn for sure included."""
        return max(self._batches[number].total, self._scheduler.batches[number].jobs.total)

    def _counts(self, batch: Batch) -> dict[str, int]:
        """Return how many jobs of a batch are in which state; only those that have begun are running."""
        begun = len(self._begun(batch.number))
        counts = {state.value: batch.jobs.count(state) for state in State}
        counts["queued"] += self.total(batch.number) - batch.jobs.total + counts["running"] - begun
        counts["running"] = begun
        return counts

    def _times(self, watched: _Watched, batch: Batch, counts: dict[str, int], now: float) -> dict[str, Any]:
        done = sum(counts[state.value] for state in ENDED)
        rest = counts["queued"] + counts["running"]
        ended = rest == 0 and not watched.drawing
        if not ended:
            watched.ended_at = None
        elif watched.ended_at is None:
            watched.ended_at = now
        samples = watched.samples
        samples.append((now, done))
        while len(samples) > 2 and samples[0][0] < now - settings.RATE_SECONDS:  # noqa: PLR2004  (two make a rate)
            samples.popleft()
        before, span = samples[0][1], now - samples[0][0]
        rate = (done - before) / span if span > 0 and done > before else None
        left = None
        if rest and not batch.paused and not watched.drawing and batch.seconds is not None:
            slots = min(self._scheduler.pool.slots(batch.wants) or 1, batch.limit or rest, rest)
            left = rest / rate if rate else rest * batch.seconds / slots
        elapsed = (watched.ended_at or now) - watched.opened
        return {
            "ended": ended,
            "elapsed": round(elapsed, 2),
            "rate": rate and round(rate, 2),
            "left": left and round(left, 2),
        }

    def _begun(self, batch: int) -> set[int]:
        """Return the jobs of a batch that run now, one a worker: the first that its first lease has left."""
        leases = [self._scheduler.leases[w.leases[0]] for w in self._scheduler.pool.workers.values() if w.leases]
        runs = [lease.left.first_run() for lease in leases if lease.batch == batch]
        return {run[0] for run in runs if run is not None}

    def trouble(self) -> str:
        """Return what people should know of the engines, in one line; empty if there is nothing."""
        engines = self._scheduler.pool.engines.values()
        failed = [f"{engine.name}: {trouble(engine.failure)}" for engine in engines if engine.failure is not None]
        edited = self._edits.note()
        return brief.note("; ".join([*failed, edited] if edited else failed))

    def _engines_shown(self) -> list[PoolEngine]:
        """Return the engines that there is room for, in their order: those in trouble before those that are well."""
        engines = list(self._scheduler.pool.engines.values())
        picked = sorted(engines, key=lambda engine: engine.state == "open")[: settings.ENGINES_SHOWN]
        names = {engine.name for engine in picked}
        return [engine for engine in engines if engine.name in names]

    def engines(self, done: Mapping[str, list[int]], batch: int | None = None) -> list[dict[str, Any]]:
        """Return the engines as a view shows them; `done` and `batch`: whose jobs are counted (None: all batches')."""
        out = []
        leases, workers = self._scheduler.leases, self._scheduler.pool.workers.values()
        for engine in self._engines_shown():
            mine = [worker for worker in workers if worker.engine == engine.name]
            busy = [leases[worker.leases[0]].batch for worker in mine if worker.leases]
            finished, failed = done.get(engine.name, (0, 0))
            can = {"interrupt": engine.can.interrupt, "functions": engine.can.functions, "scale": engine.can.scale}
            out.append(
                {
                    "name": engine.name,
                    "host": self._places[engine.name].host,
                    "state": engine.state,
                    "slots": engine.slots,
                    "workers": sum(worker.stage not in (Stage.STARTING, Stage.STOPPING) for worker in mine),
                    "running": len(busy) if batch is None else busy.count(batch),
                    "finished": finished,
                    "failed": failed,
                    "note": brief.note(self._note(engine)),
                    "cannot": [word for word, able in can.items() if not able],
                }
            )
        return out

    def _note(self, engine: PoolEngine) -> str:
        note = self._places[engine.name].note
        return note_of(engine.failure, note, engine.slots, engine.resting, engine.resources.items())

    def _workers(self, batch: int, now: float) -> tuple[list[dict[str, Any]], int]:
        workers = list(self._scheduler.pool.workers.values())
        shown = workers[: settings.LANES]
        out = []
        for worker in shown:
            running = self._scheduler.leases[worker.leases[0]] if worker.leases else None
            mine = running is not None and running.batch == batch
            first = running.left.first_run() if running is not None and mine else None
            out.append(
                {
                    "name": name_of(worker),
                    "engine": worker.engine,
                    "stage": self._scheduler.pool.stage_of(worker),
                    "pid": self._places[worker.engine].pid(worker.number),
                    "job": first[0] if first else None,
                    "lane": self._lane(worker.number, batch, now, "R" if mine else "O" if running else ""),
                }
            )
        return out, len(workers) - len(shown)

    def _lane(self, worker: int, batch: int, now: float, running: str) -> list[list[Any]]:
        out: list[list[Any]] = []
        for start, stop, letter, count, number in self._lanes.get(worker, ()):
            if now - stop < settings.LANE_SECONDS:
                shown = letter if number == batch else "O"
                out.append([round(min(now - start, settings.LANE_SECONDS), 2), round(now - stop, 2), shown, count])
        since = self._started.get(worker)
        if running and since is not None:
            out.append([round(min(now - since, settings.LANE_SECONDS), 2), 0, running, 1])
        return out[-settings.LANE_BITS :]

    # --- one job ---------------------------------------------------------------------------------------------

    def state_of(self, number: int, job: int) -> str:
        """Return the state of a job, in the words of the view."""
        jobs = self._scheduler.batches[number].jobs
        state = jobs.state_of(job) if job < jobs.total else State.QUEUED
        return "queued" if state is State.RUNNING and job not in self._begun(number) else state.value

    def error_of(self, number: int, job: int) -> str | None:
        """Return in words why a job failed, if that was kept."""
        return self._batches[number].errors.get(job)

    def worker_name(self, worker: int) -> str:
        """Return a worker's name, also of one that is gone."""
        return self._names.get(worker, f"worker/{worker}")

    def worker_running(self, number: int, job: int) -> str | None:
        """Return the name of the worker that runs a job."""
        for worker in self._scheduler.pool.workers.values():
            lease = self._scheduler.leases[worker.leases[0]] if worker.leases else None
            if lease is not None and lease.batch == number and job in lease.left:
                return name_of(worker)
        return None

    @staticmethod
    def _failures(watched: _Watched, batch: Batch) -> dict[str, Any]:
        rows: list[dict[str, Any]] = []
        for state in (State.FAILED, State.LOST):
            for first, stop in batch.jobs[state]:
                shown = range(first, min(stop, first + settings.FAILURES_SHOWN))
                rows += [{"job": job, "error": watched.errors.get(job, ""), "state": state.value} for job in shown]
                if len(rows) > 2 * settings.FAILURES_SHOWN:
                    break
        rows.sort(key=lambda row: row["job"])
        total = batch.jobs.count(State.FAILED) + batch.jobs.count(State.LOST)
        return {"total": total, "rows": rows[: settings.FAILURES_SHOWN]}


def name_of(worker: PoolWorker) -> str:
    """Return how people call a worker: its engine, short, and its number."""
    return f"{worker.engine.partition('://')[2] or worker.engine}/{worker.number}"
