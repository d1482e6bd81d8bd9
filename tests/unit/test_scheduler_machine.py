"""The scheduler under random events: whatever happens, in whatever order, its promises hold.

The machine plays the child's shell, the clients and the workers at once, as badly as the protocol allows.
Its model is in scheduler_model.py; engines that come and go are added in test_scheduler_machine_hosts.py.
"""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from jupyter_dsage import settings
from jupyter_dsage.core import events as e
from jupyter_dsage.core.pool import Stage
from tests.unit.scheduler_model import Batch, Model


class SchedulerMachine(Model):
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
        batch = self.batches[number] = Batch(number, limit, retries, self.wants(count))
        self.handle(e.BatchOpened(number, str(number), retries, limit, wants=batch.wants))
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
        service = self.service(count)
        self.handle(e.JobsAdded(batch.number, self.segments_made, f"{service or 'f'}{count % 3}", count, service))

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
        self.say(self.workers[number], e.WorkerJoined(number))

    @precondition(lambda self: any(not w.joined for w in self.alive()))
    @rule(every=st.sampled_from([True, True, False]))
    def workers_join(self, every):
        waiting = [worker.number for worker in self.alive() if not worker.joined]
        for number in waiting if every else waiting[:1]:
            self.join(number)

    @precondition(lambda self: self.alive())
    @rule(data=st.data(), page=st.sampled_from(["runs", "runs", "nothing", "stale"]), lives=st.booleans())
    def lose(self, data, page, lives):
        worker = self.workers[data.draw(st.sampled_from([w.number for w in self.alive()]), "worker")]
        lease = job = None
        if page == "runs" and worker.leases and worker.leases[0].at < worker.leases[0].stop:
            lease, job = worker.leases[0].number, worker.leases[0].at
        elif page == "stale":
            lease, job = 0, 0  # a lease that is none of its own
        if lives and worker.leases:
            self.ghosts.append(worker)
        worker.gone = True
        self.say(worker, e.WorkerLost(worker.number, lease, job, "a story"))

    def busy(self):
        return [worker for worker in self.alive() if worker.leases]

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
        self.say(worker, event)

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
        self.say(worker, e.LeaseRecalled(worker.number, lease.number, lease.stop))

    # --- the end ---

    def recover(self):
        """See to it that there are healthy workers."""
        self.handle(e.EngineOpened("a", 2))
        self.handle(e.RefreshAsked())

    def teardown(self):
        """P1: with healthy workers every job ends, whatever happened before."""
        if not self.sound:
            return
        self.recover()
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
            if self.workers.get(worker.number) is not worker:
                continue
            if worker.leaving or self.s.pool.workers[worker.number].stage is Stage.STOPPING:
                self.heard(e.WorkerLost(worker.number, None, None, "left"))
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


def run(examples, steps, machine=SchedulerMachine):
    profile = hypothesis.settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=CALM
    )
    run_machine(machine, settings=profile)


def test_random_events():
    run(250, 50)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_random_events_thoroughly():
    run(5_000, 80)
