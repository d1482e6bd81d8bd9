"""One job in words for people who have no kernel: state, arguments, worker, seconds, attempt, error, output.

What the scheduler and the views know is told as it is; arguments and ends are read by a spare, in the journal or in the
segment's bytes; what a running job has printed is asked of its worker. What is not known is null.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from jupyter_dsage import settings
from jupyter_dsage.core.states import State
from jupyter_dsage.errors import MissingError
from jupyter_dsage.wire import brief, codec, spare
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire.losses import lost_job

if TYPE_CHECKING:
    from jupyter_dsage.child.clients import Clients
    from jupyter_dsage.child.looks import Looks
    from jupyter_dsage.child.payloads import Payloads
    from jupyter_dsage.child.spares import Found, Spares
    from jupyter_dsage.child.view import Views
    from jupyter_dsage.core.batch import Batch
    from jupyter_dsage.core.scheduler import Scheduler
    from jupyter_dsage.net.transport import Peer
    from jupyter_dsage.wire.codec import Frame
    from jupyter_dsage.wire.setup import ChildSetup

_TOLD = {State.FINISHED, State.FAILED, State.LOST}


@dataclass(slots=True, eq=False)
class _Description:
    """What is known so far. `waits`: for which parts; `late`: when it is told without them (monotonic seconds)."""

    peer: Peer
    ask: int
    known: dict[str, Any]
    waits: set[str]
    late: float


class Details:
    """One child's."""

    def __init__(
        self,
        setup: ChildSetup,
        scheduler: Scheduler,
        payloads: Payloads,
        clients: Clients,
        views: Views,
        looks: Looks,
        spares: Spares,
    ) -> None:
        self._setup = setup
        self._scheduler = scheduler
        self._payloads = payloads
        self._clients = clients
        self._views = views
        self._looks = looks
        self._spares = spares
        self._open: list[_Description] = []

    def describe(self, peer: Peer, question: m.DescribeJob) -> None:
        """Answer, now or when what must be read has been."""
        batch = self._scheduler.batches[question.batch]
        known: dict[str, Any] = dict.fromkeys(("args", "worker", "seconds", "attempt", "error", "traceback", "output"))
        if question.job >= self._views.total(batch.number):
            raise MissingError(f"Batch {batch.name!r} has no job {question.job}.")
        known |= {"job": question.job, "state": self._views.state_of(batch.number, question.job)}
        one = _Description(peer, question.ask, known, set(), time.monotonic() + settings.SPARE_SECONDS)
        self._open.append(one)
        if question.job < batch.jobs.total:
            self._ask(one, batch, question.job)
        self._tell_if_done(one)

    def _ask(self, one: _Description, batch: Batch, job: int) -> None:
        known = one.known
        known["error"] = self._views.error_of(batch.number, job)
        tries = batch.losses.get(job, 0) + batch.failures.get(job, 0)
        if known["state"] == "running":
            known["attempt"] = tries + 1
            known["worker"] = self._views.worker_running(batch.number, job)
            one.waits.add("output")
            one.late = time.monotonic() + settings.LOOK_OUTPUT_SECONDS
            self._looks.look(batch.number, job, lambda text: self._seen(one, text))
        read, frames = self._question(batch, job)
        if read.ended or read.row or frames:
            one.waits.add("read")
            self._spares.ask(read, frames, lambda found, _error: self._read(one, batch, found))

    def _question(self, batch: Batch, job: int) -> tuple[spare.ReadJob, list[Frame]]:
        segment = batch.segment_of(job)
        plain = segment.service is not None
        ended = batch.jobs.state_of(job) in _TOLD and bool(self._setup.store)
        row, frame = self._payloads.row_of(segment.number)
        index = job - segment.first
        place = self._payloads.place_of(segment.function) or (self._setup.cwd, self._setup.path)
        read = spare.ReadJob(self._setup.store, batch.number, job, plain, ended, row, index, *place)
        return read, [] if row or frame is None else [frame]

    def _seen(self, one: _Description, text: str) -> None:
        one.known["output"] = text or None
        one.waits.discard("output")
        self._tell_if_done(one)

    def _read(self, one: _Description, batch: Batch, found: Found) -> None:
        known = one.known
        for read, frames in found:
            if isinstance(read, spare.JobRead):
                parts = {"args": read.arguments, "seconds": read.seconds, "error": read.error}
                parts |= {"traceback": read.traceback, "output": read.output}
                known |= {key: value for key, value in parts.items() if value is not None}
                if frames:
                    self._ended(known, batch, codec.in_journal.header(frames[0]))
        one.waits.discard("read")
        self._tell_if_done(one)

    def _ended(self, known: dict[str, Any], batch: Batch, told: m.Message) -> None:
        if isinstance(told, m.Outcomes):
            known["worker"] = self._views.worker_name(told.worker)
            known["attempt"] = dict(told.attempts).get(known["job"], 1)
        elif isinstance(told, m.Lost):
            error = lost_job(told, batch.name, known["job"])
            known |= {"error": brief.error(type(error).__name__, str(error)), "traceback": str(error)}
            known["attempt"] = told.attempts or None
            known["output"] = told.story.output or None

    def _tell_if_done(self, one: _Description) -> None:
        if one in self._open and not one.waits:
            self._open.remove(one)
            if one.peer in self._clients:
                self._clients.send(one.peer, m.Answer(one.ask, msgspec.json.encode(one.known).decode()))

    def look_after(self, now: float) -> None:
        """Tell what is known where the rest does not come: a worker's host may be away."""
        for one in list(self._open):
            if now >= one.late:
                one.waits.clear()
                self._tell_if_done(one)

    def next_due(self) -> float | None:
        """Return when to look after somebody (monotonic seconds), or None."""
        return min((one.late for one in self._open), default=None)
