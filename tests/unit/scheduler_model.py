"""What the random events of test_scheduler_machine.py are checked against: a plain model of the scheduler's world.

A dict of jobs that have ended, a record for each worker of what it was really sent; and what must hold after each step.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis.stateful import RuleBasedStateMachine, invariant

from jupyter_dsage import settings
from jupyter_dsage.core import commands as c
from jupyter_dsage.core import events as e
from jupyter_dsage.core.scheduler import Scheduler
from jupyter_dsage.core.wants import NOTHING, Wants


@dataclass
class Lease:
    """What a worker was sent. `at`: the first job it has not reported; `stop`: where it will stop."""

    number: int
    batch: int
    at: int
    stop: int
    rounds: int
    """Retries the batch had seen at the grant."""


@dataclass
class Worker:
    number: int
    engine: str
    joined: bool = False
    known: bool = False
    """The scheduler has been told that it joined."""
    gone: bool = False
    """It has died, told or not."""
    leaving: bool = False
    functions: set = field(default_factory=set)
    segments: set = field(default_factory=set)
    leases: list = field(default_factory=list)


@dataclass
class Batch:
    number: int
    limit: int | None
    retries: int
    wants: Wants = NOTHING
    total: int = 0
    paused: bool = False
    ended: dict = field(default_factory=dict)
    """Job -> how it ended, since the last retry."""
    rounds: int = 0
    again: dict = field(default_factory=dict)
    """Job -> the retry that queued it again."""
    losses: Counter = field(default_factory=Counter)
    """Job -> workers lost while it was on their page."""


class Model(RuleBasedStateMachine):
    """The child's shell: hands events to the scheduler, and holds each order against what is known."""

    def __init__(self):
        super().__init__()
        self.s = Scheduler()
        self.now = 0.0
        self.batches: dict[int, Batch] = {}
        self.workers: dict[int, Worker] = {}
        self.ghosts: list[Worker] = []
        self.segments: dict[int, tuple[Batch, int, int]] = {}
        """Payloads the child keeps."""
        self.segments_made = 0
        self.leases: dict[int, Lease] = {}
        """Every lease there ever was."""
        self.reports: list[e.RunReported] = []
        self.ending: dict[int, set] = {}
        """Lease -> jobs that its worker was asked to end."""
        self.outcomes_reported = self.outcomes_told = 0
        self.story: list = []
        self.sound = True
        """No promise was broken: else the drain at the end would hide which one."""

    # --- the shell: events in, commands out ----------------------------------------------------------------

    def handle(self, event):
        self.sound = False
        self.story.append(event)
        if isinstance(event, e.EngineFailed):  # nothing will be told of those it was to start
            self.workers = {n: w for n, w in self.workers.items() if w.known or w.engine != event.engine}
        commands = self.s.handle(event, self.now)
        self.story += commands
        for command in commands:
            self.carry_out(command, event)
        for command in commands:
            if isinstance(command, c.DropSegment):
                batch, first, stop = self.segments.pop(command.segment)
                assert all(batch.ended.get(job) in {"finished", "cancelled"} for job in range(first, stop))
        if isinstance(event, e.RunReported):
            self.outcomes_reported += event.stop - event.first
        deadline = self.s.next_deadline()
        assert deadline is None or deadline > self.now, "a deadline that has come is dealt with"
        self.s.check()
        self.sound = True

    def carry_out(self, command, event):
        match command:
            case c.SendLease():
                self.leased(command)
            case c.TellOutcomes():
                self.outcomes(command, event)
            case c.TellLost():
                self.lost(command)
            case c.TellCancelled(batch, runs):
                self.end(self.batches[batch], runs, "cancelled")
            case c.StartWorker(engine, number):
                assert number not in self.workers
                self.workers[number] = Worker(number, engine)
            case c.StopWorker(_, number):
                assert not self.workers[number].leases, "only an idle worker is told to leave"
                self.workers[number].leaving = True
            case c.KillWorker(_, number):
                assert not self.workers[number].known
            case c.RecallLease() | c.EndJob():
                assert command.worker in self.workers
                assert command.first < command.stop
                if isinstance(command, c.EndJob):
                    self.ending.setdefault(command.lease, set()).update(range(command.first, command.stop))

    def say(self, worker, event):  # noqa: ARG002
        """Have the scheduler told what has become of a worker."""
        self.heard(event)

    def heard(self, event):
        match event:
            case e.WorkerJoined(number):
                self.workers[number].known = True
            case e.WorkerLost():
                del self.workers[event.worker]
                if event.job is not None and event.lease:
                    self.batches[self.leases[event.lease].batch].losses[event.job] += 1
            case e.RunReported():
                self.reports.append(event)
        self.handle(event)

    def leased(self, order):
        worker, batch = self.workers[order.worker], self.batches[order.batch]
        assert worker.known
        assert not worker.leaving
        assert not batch.paused
        _, first, stop = self.segments[order.segment]
        assert first == order.offset <= order.first < order.stop <= stop
        worker.segments -= set(order.drop)
        assert order.with_segment == (order.segment not in worker.segments)
        assert order.with_function == (order.function not in worker.functions)
        worker.segments.add(order.segment)
        worker.functions.add(order.function)
        jobs = set(range(order.first, order.stop))
        assert not jobs & batch.ended.keys(), "a job that has ended is not leased"
        assert order.lease not in self.leases
        self.leases[order.lease] = Lease(order.lease, order.batch, order.first, order.stop, batch.rounds)
        worker.leases.append(self.leases[order.lease])
        assert len(worker.leases) <= settings.LEASES_IN_FLIGHT
        if batch.limit is not None:
            holders = [w for w in self.at_work() if any(lease.batch == batch.number for lease in w.leases)]
            assert len(holders) <= batch.limit

    def at_work(self):
        """Return the workers that the scheduler counts on."""
        return list(self.workers.values())

    def alive(self):
        return [worker for worker in self.workers.values() if not worker.gone]

    def outcomes(self, told, report):
        assert isinstance(report, e.RunReported)
        assert all(report.first <= a < b <= report.stop for a, b in told.runs)
        failed = set(told.failed)
        assert failed <= set(report.failed)
        batch = self.batches[told.batch]
        told_jobs = {job for run in told.runs for job in range(*run)}
        assert failed <= told_jobs
        assert batch.retries or told_jobs & set(report.failed) == failed, "an exception is not told as a value"
        rounds = self.leases[report.lease].rounds
        assert all(batch.again.get(job, 0) <= rounds for job in told_jobs), "an outcome of an earlier round counts"
        self.outcomes_told += len(told_jobs)
        self.end(batch, told.runs, "finished", failed)

    def lost(self, told):
        batch = self.batches[told.batch]
        if told.attempts:
            ((job, _),) = told.runs
            assert batch.losses[job] >= settings.LOSS_ATTEMPTS, "it is blamed for what it did not do"
            raised = told.attempts - settings.LOSS_ATTEMPTS  # attempts that it ended itself, and was granted again
            assert 0 <= raised <= batch.retries, "its attempts are not counted right"
        else:
            self.given_up(told)
        self.end(batch, told.runs, "lost")

    def given_up(self, told):  # noqa: ARG002
        assert not self.workers, "jobs are given up although there are workers"

    def end(self, batch, runs, word, failed=()):
        assert runs
        for run in runs:
            for job in range(*run):
                assert 0 <= job < batch.total
                assert job not in batch.ended, f"job {job} ended twice: {batch.ended[job]}, then {word}"
                batch.ended[job] = "failed" if job in failed else word
                del batch.losses[job]

    def service(self, count):
        """Return the service that a segment of so many jobs calls."""

    def wants(self, count):  # noqa: ARG002
        """Return what each job of a batch of so many wants of its engine."""
        return NOTHING

    # --- always --------------------------------------------------------------------------------------------

    @invariant()
    def counts_agree_with_what_was_told(self):
        for counts in self.s.snapshot().batches:
            ended = list(self.batches[counts.batch].ended.values())
            for word in ("finished", "failed", "cancelled", "lost"):
                assert getattr(counts, word) == ended.count(word)
            assert counts.queued + counts.running == self.batches[counts.batch].total - len(ended)

    @invariant()
    def nobody_is_charged_for_a_loss_that_others_caused(self):
        for number, inside in self.s.batches.items():
            assert all(count <= self.batches[number].losses[job] for job, count in inside.losses.items())

    @invariant()
    def an_outcome_is_told_or_counted_as_dropped(self):
        accounted = self.outcomes_told + self.s.dropped
        assert accounted <= self.outcomes_reported
        if not any(batch.retries for batch in self.batches.values()):
            assert accounted == self.outcomes_reported

    @invariant()
    def what_has_ended_is_not_run_on(self):
        """An attempt whose job has ended elsewhere is ended (P2)."""
        for worker in self.at_work():
            for lease in [] if worker.gone else worker.leases:
                batch = self.batches[lease.batch]
                left = range(lease.at, lease.stop)
                vain = {job for job in left if job in batch.ended and batch.again.get(job, 0) <= lease.rounds}
                assert vain <= self.ending.get(lease.number, set())
