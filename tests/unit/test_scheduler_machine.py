"""The scheduler under random events: whatever happens, in whatever order, its promises hold.

The machine plays the child's shell, the clients and the workers at once, as badly as the protocol allows. Its
model is plain: a dict of jobs that have ended, a record for each worker of what it was really sent.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from jupyter_dsage import settings
from jupyter_dsage.core import commands as c
from jupyter_dsage.core import events as e
from jupyter_dsage.core.scheduler import Scheduler


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
    leaving: bool = False
    functions: set = field(default_factory=set)
    segments: set = field(default_factory=set)
    leases: list = field(default_factory=list)


@dataclass
class Batch:
    number: int
    limit: int | None
    retries: int
    total: int = 0
    paused: bool = False
    ended: dict = field(default_factory=dict)
    """Job -> how it ended, since the last retry."""
    rounds: int = 0
    again: dict = field(default_factory=dict)
    """Job -> the retry that queued it again."""
    losses: Counter = field(default_factory=Counter)
    """Job -> workers lost while it was on their page."""


class SchedulerMachine(RuleBasedStateMachine):
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
        self.story: list = []
        self.sound = True
        """No promise was broken: else the drain at the end would hide which one."""

    # --- the shell: events in, commands out ----------------------------------------------------------------

    def handle(self, event):
        self.sound = False
        self.story.append(event)
        commands = self.s.handle(event, self.now)
        self.story += commands
        dropped = []
        for command in commands:
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
                    assert not self.workers[number].joined
                case c.RecallLease() | c.EndJob():
                    assert command.worker in self.workers
                    assert command.first < command.stop
                case c.DropSegment(number):
                    dropped.append(number)
        for number in dropped:
            batch, first, stop = self.segments.pop(number)
            assert all(batch.ended.get(job) in {"finished", "cancelled"} for job in range(first, stop))
        deadline = self.s.next_deadline()
        assert deadline is None or deadline > self.now, "a deadline that has come is dealt with"
        self.s.check()
        self.sound = True

    def leased(self, order):
        worker, batch = self.workers[order.worker], self.batches[order.batch]
        assert worker.joined
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
            holders = [w for w in self.workers.values() if any(le.batch == batch.number for le in w.leases)]
            assert len(holders) <= batch.limit

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
        self.end(batch, told.runs, "finished", failed)

    def lost(self, told):
        batch = self.batches[told.batch]
        if told.attempts:
            ((job, _),) = told.runs
            assert told.attempts == settings.LOSS_ATTEMPTS <= batch.losses[job], "it is blamed for what it did not do"
        else:
            assert not self.workers, "jobs are given up although there are workers"
        self.end(batch, told.runs, "lost")

    def end(self, batch, runs, word, failed=()):
        assert runs
        for run in runs:
            for job in range(*run):
                assert 0 <= job < batch.total
                assert job not in batch.ended, f"job {job} ended twice: {batch.ended[job]}, then {word}"
                batch.ended[job] = "failed" if job in failed else word
                del batch.losses[job]

    # --- clients -------------------------------------------------------------------------------------------

    @initialize(slots=st.integers(1, 3), others=st.integers(0, 1), retries=st.integers(0, 1))
    def begin(self, slots, others, retries):
        """Most of what is interesting needs some workers at work, in more segments than they hold."""
        self.handle(e.EngineOpened("a", slots))
        self.handle(e.EngineOpened("b", others))
        for number in list(self.workers):
            self.join(number)
        self.open(retries, None, 40)

    def open(self, retries, limit, count):
        number = len(self.batches) + 1
        self.batches[number] = Batch(number, limit, retries)
        self.handle(e.BatchOpened(number, str(number), retries, limit))
        for at in range(0, count, 8):
            self.add(self.batches[number], min(8, count - at))

    @precondition(lambda self: len(self.batches) < 4)
    @rule(retries=st.integers(0, 2), limit=st.none() | st.integers(1, 3), count=st.integers(1, 60))
    def open_batch(self, retries, limit, count):
        self.open(retries, limit, count)

    def add(self, batch, count):
        self.segments_made += 1
        self.segments[self.segments_made] = (batch, batch.total, batch.total + count)
        batch.total += count
        self.handle(e.JobsAdded(batch.number, self.segments_made, f"f{count % 3}", count))

    def some_batch(self, data):
        return self.batches[data.draw(st.sampled_from(sorted(self.batches)), "batch")]

    def some_runs(self, data, batch):
        job = st.integers(0, batch.total - 1)
        run = st.tuples(job, st.integers(1, 8)).map(lambda pair: (pair[0], min(sum(pair), batch.total)))
        return tuple(data.draw(st.lists(run, min_size=1, max_size=3), "runs"))

    @rule(data=st.data(), count=st.integers(1, 30))
    def add_segment(self, data, count):
        self.add(self.some_batch(data), count)

    @rule(data=st.data(), whole=st.sampled_from([False, False, False, True]))
    def cancel(self, data, whole):
        batch = self.some_batch(data)
        self.handle(e.CancelAsked(batch.number, None if whole else self.some_runs(data, batch)))
        assert not whole or len(batch.ended) == batch.total

    @rule(data=st.data(), whole=st.booleans())
    def retry(self, data, whole):
        batch = self.some_batch(data)
        runs = ((0, batch.total),) if whole else self.some_runs(data, batch)
        batch.rounds += 1
        for run in runs:
            for job in range(*run):
                if batch.ended.get(job) in {"failed", "lost"}:
                    del batch.ended[job]
                    batch.again[job] = batch.rounds
        self.handle(e.RetryAsked(batch.number, runs))

    @rule(data=st.data(), pause=st.booleans())
    def pause_or_resume(self, data, pause):
        batch = self.some_batch(data)
        batch.paused = pause
        self.handle((e.PauseAsked if pause else e.ResumeAsked)(batch.number))

    @rule(data=st.data(), limit=st.none() | st.integers(1, 3))
    def set_limit(self, data, limit):
        batch = self.some_batch(data)
        batch.limit = limit
        self.handle(e.LimitAsked(batch.number, limit))

    @rule(seconds=st.sampled_from([0.001, 0.1, 1.0, 31.0]))
    def time_passes(self, seconds):
        self.now += seconds
        self.handle(e.TimePassed())

    # --- engines and workers -------------------------------------------------------------------------------

    @rule(
        event=st.sampled_from(
            [
                e.EngineOpened("a", 2),
                e.EngineOpened("b", 1),
                e.EngineFailed("a", "a reason"),
                e.EngineFailed("c", "a reason"),
                e.RefreshAsked(),
                e.RefreshAsked(),
            ]
        )
    )
    def engines_change(self, event):
        self.handle(event)

    def join(self, number):
        self.workers[number].joined = True
        self.handle(e.WorkerJoined(number))

    @precondition(lambda self: any(not w.joined for w in self.workers.values()))
    @rule(every=st.sampled_from([True, True, False]))
    def workers_join(self, every):
        waiting = [number for number, worker in self.workers.items() if not worker.joined]
        for number in waiting if every else waiting[:1]:
            self.join(number)

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), page=st.sampled_from(["runs", "runs", "nothing", "stale"]), lives=st.booleans())
    def lose(self, data, page, lives):
        worker = self.workers.pop(data.draw(st.sampled_from(sorted(self.workers)), "worker"))
        lease = job = None
        if page == "runs" and worker.leases and worker.leases[0].at < worker.leases[0].stop:
            lease, job = worker.leases[0].number, worker.leases[0].at
            self.batches[worker.leases[0].batch].losses[job] += 1
        elif page == "stale":
            lease, job = 0, 0  # a lease that is none of its own
        if lives and worker.leases:
            self.ghosts.append(worker)
        self.handle(e.WorkerLost(worker.number, lease, job, "a story"))

    def busy(self):
        return [w for w in self.workers.values() if w.leases]

    def report(self, worker, count, failed, seconds, *, ended=False):
        """Report the next jobs of a worker's first lease; the last of them end it."""
        lease = worker.leases[0]
        stop = min(lease.at + count, lease.stop)
        ended = ended or stop == lease.stop
        raised = tuple(job for job in range(lease.at, stop) if job in failed)
        event = e.RunReported(worker.number, lease.number, lease.at, stop, raised, seconds * (stop - lease.at), ended)
        lease.at = stop
        if ended:
            worker.leases.pop(0)
        self.reports.append(event)
        self.handle(event)

    @precondition(lambda self: self.busy())
    @rule(
        data=st.data(),
        count=st.sampled_from([1, 1, 3, 1000]),
        failed=st.sets(st.integers(0, 80), max_size=5) | st.just(set(range(1000))),
        seconds=st.sampled_from([0.0, 0.00001, 0.001, 0.03, 5.0]),
        ended=st.sampled_from([False] * 5 + [True]),
    )
    def run_reported(self, data, count, failed, seconds, ended):
        worker = data.draw(st.sampled_from(sorted(self.busy(), key=lambda w: w.number)), "worker")
        self.now += seconds
        self.report(worker, count, failed, seconds, ended=ended)

    @precondition(lambda self: self.busy())
    @rule(times=st.integers(1, 5), count=st.sampled_from([2, 1000]), seconds=st.sampled_from([0.00001, 0.001]))
    def everybody_works(self, times, count, seconds):
        for _ in range(times):
            for worker in self.busy():
                self.report(worker, count, (), seconds)

    @precondition(lambda self: any(ghost.leases for ghost in self.ghosts))
    @rule(data=st.data(), count=st.sampled_from([1, 3, 1000]), failed=st.sets(st.integers(0, 80), max_size=5))
    def late_report(self, data, count, failed):
        ghosts = [number for number, ghost in enumerate(self.ghosts) if ghost.leases]
        self.report(self.ghosts[data.draw(st.sampled_from(ghosts), "ghost")], count, failed, 0.001)

    @precondition(lambda self: any(report.ended for report in self.reports))
    @rule(data=st.data())
    def an_old_report_comes_again(self, data):
        self.changes_nothing(data.draw(st.sampled_from([report for report in self.reports if report.ended]), "report"))

    @precondition(lambda self: self.busy() or any(ghost.leases for ghost in self.ghosts))
    @rule(data=st.data(), other=st.integers(1, 9))
    def a_worker_reports_on_a_lease_of_another(self, data, other):
        holders = [w for w in (*self.workers.values(), *self.ghosts) if w.leases and w.number != other]
        if holders:
            lease = data.draw(st.sampled_from(holders), "holder").leases[0]
            self.changes_nothing(e.RunReported(other, lease.number, lease.at, lease.stop, (), 0.1, ended=True))

    def changes_nothing(self, report):
        before = {number: dict(batch.ended) for number, batch in self.batches.items()}
        leases = set(self.s.leases)
        self.handle(report)
        assert {number: batch.ended for number, batch in self.batches.items()} == before
        assert leases <= set(self.s.leases)

    @precondition(lambda self: self.busy())
    @rule(data=st.data(), further=st.integers(0, 5))
    def recall_answered(self, data, further):
        """A worker's page says from where on it will not run a lease: not before what it has begun."""
        worker = data.draw(st.sampled_from(sorted(self.busy(), key=lambda w: w.number)), "worker")
        lease = data.draw(st.sampled_from(worker.leases), "lease")
        begun = 1 if lease is worker.leases[0] and lease.at < lease.stop else 0
        lease.stop = min(lease.stop, lease.at + begun + further)
        self.handle(e.LeaseRecalled(worker.number, lease.number, lease.stop))

    # --- always --------------------------------------------------------------------------------------------

    @invariant()
    def counts_agree_with_what_was_told(self):
        for counts in self.s.snapshot().batches:
            ended = list(self.batches[counts.batch].ended.values())
            for word in ("finished", "failed", "cancelled", "lost"):
                assert getattr(counts, word) == ended.count(word)
            assert counts.queued + counts.running == self.batches[counts.batch].total - len(ended)

    def teardown(self):
        """P1: with healthy workers every job ends, whatever happened before."""
        if not self.sound:
            return
        self.handle(e.EngineOpened("a", 2))
        self.handle(e.RefreshAsked())
        for batch in self.batches.values():
            batch.paused, batch.limit = False, None
            self.handle(e.ResumeAsked(batch.number))
            self.handle(e.LimitAsked(batch.number, None))
        for _ in range(2_000):
            if not self.drain_step():
                break
        unfinished = {n: batch.total - len(batch.ended) for n, batch in self.batches.items()}
        assert not any(unfinished.values()), f"unfinished: {unfinished}; the last events: {self.story[-20:]}"
        assert not self.s.leases
        for inside in self.s.batches.values():
            assert not inside.losses
            assert not inside.failures

    def drain_step(self):
        """Let each worker do the next thing; return whether there was anything to do."""
        workers = list(self.workers.values())
        for worker in workers:
            if worker.leaving:
                del self.workers[worker.number]
                self.handle(e.WorkerLost(worker.number, None, None, "left"))
            elif not worker.joined:
                self.join(worker.number)
            elif worker.leases:
                self.report(worker, 1000, (), 0.001)
        self.now += 0.1
        self.handle(e.TimePassed())
        return any(len(batch.ended) < batch.total for batch in self.batches.values()) or any(
            worker.leaving or not worker.joined or worker.leases for worker in self.workers.values()
        )


CALM = [hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.filter_too_much, hypothesis.HealthCheck.data_too_large]


@pytest.fixture(autouse=True)
def workers_hold_few_segments(monkeypatch):
    monkeypatch.setattr(settings, "SEGMENTS_HELD", 3)


def run(examples, steps):
    profile = hypothesis.settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=CALM
    )
    run_state_machine_as_test(SchedulerMachine, settings=profile)


def test_random_events():
    run(250, 50)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_random_events_thoroughly():
    run(5_000, 80)
