"""The scheduler event by event: small stories that the random ones reach seldom."""

from __future__ import annotations

from itertools import pairwise

import pytest

from jupyter_dsage import settings
from jupyter_dsage.core import commands as c
from jupyter_dsage.core import events as e
from jupyter_dsage.core.batch import Batch
from jupyter_dsage.core.pool import Worker
from jupyter_dsage.core.scheduler import Scheduler


class Desk:
    """A scheduler with one engine, and the orders of the last event at hand."""

    def __init__(self, slots=1, *, join=True):
        self.s = Scheduler()
        self.now = 0.0
        self.orders = []
        self.tell(e.EngineOpened("a", slots))
        for order in self.orders:
            if join and isinstance(order, c.StartWorker):
                self.tell(e.WorkerJoined(order.worker))

    def tell(self, event):
        self.orders = self.s.handle(event, self.now)
        self.s.check()
        return self.orders

    def open(self, count, *, segment=1, **options):
        """Open a batch with one segment of jobs; both get the segment's number."""
        self.tell(e.BatchOpened(segment, "", **options))
        return self.tell(e.JobsAdded(segment, segment, f"f{segment}", count))

    def told(self, kind):
        return [order for order in self.orders if isinstance(order, kind)]

    def report(self, lease, first, stop, failed=(), *, worker=1, seconds=0.001, ended=True):
        return self.tell(e.RunReported(worker, lease, first, stop, failed, seconds * (stop - first), ended))

    def lose(self, worker, lease=None, job=None):
        return self.tell(e.WorkerLost(worker, lease, job, "a story"))

    def counts(self, batch=1):
        return next(counts for counts in self.s.snapshot().batches if counts.batch == batch)

    def replace(self):
        """Let the worker that is started for a lost one join; return its number."""
        self.now += 10
        self.tell(e.TimePassed())
        (number,) = self.s.pool.starting
        self.tell(e.WorkerJoined(number))
        return number


def learned(count=200, **options):
    """A desk with one worker and a batch of 1 ms jobs, of which the first is done; leases 2 and 3 are out."""
    desk = Desk()
    desk.open(count, **options)
    desk.report(1, 0, 1)
    return desk


def lease(number, first, stop, *, brings):
    """Return the order that sends jobs of segment 1 to worker 1, with or without what they need."""
    return c.SendLease(1, number, 1, "f1", 1, 0, first, stop, with_function=brings, with_segment=brings, drop=())


# --- what an event costs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ended", [3, 300])
def test_an_event_looks_at_no_batch_that_has_ended(monkeypatch, ended):
    desk = Desk()
    monkeypatch.setattr(desk.s, "check", lambda: None)  # it looks at all
    for number in range(1, ended + 1):
        desk.open(1, segment=number)
        desk.report(number, 0, 1, (0,))
    looked = []
    for name in ("hungry", "ended"):
        method = getattr(Batch, name)
        monkeypatch.setattr(Batch, name, lambda batch, method=method: (looked.append(batch.number), method(batch))[1])
    desk.open(1, segment=1000)
    desk.report(ended + 1, 0, 1)
    assert set(looked) == {1000}
    desk.tell(e.RetryAsked(2, ((0, 1),)))
    assert [order.segment for order in desk.told(c.SendLease)] == [2], "one that is retried is looked at again"


# --- granting ----------------------------------------------------------------------------------------------


def test_the_first_lease_is_one_job_with_all_it_needs():
    desk = Desk()
    assert desk.open(200) == [lease(1, 0, 1, brings=True)]


def test_then_leases_grow_and_bring_nothing_twice():
    desk = learned()
    assert desk.orders == [
        c.TellOutcomes(1, ((0, 1),), ()),
        lease(2, 1, 9, brings=False),
        lease(3, 9, 17, brings=False),
    ]


def test_a_worker_that_is_overdue_gets_nothing_more_to_hold():
    desk = learned(9)
    desk.report(2, 1, 5, ended=False)
    desk.now = 1.0
    desk.tell(e.JobsAdded(1, 2, "f1", 100))
    assert [(o.first, o.stop) for o in desk.told(c.SendLease)] == []


def test_a_segment_is_let_go_when_none_of_its_jobs_can_run_again():
    desk = Desk()
    desk.open(2)
    desk.report(1, 0, 1)
    assert desk.told(c.DropSegment) == []
    desk.report(2, 1, 2, (1,))
    assert desk.told(c.DropSegment) == [], "a failed job may be retried"
    desk.tell(e.RetryAsked(1, ((0, 2),)))
    desk.report(3, 1, 2)
    assert desk.told(c.DropSegment) == [c.DropSegment(1)]


def test_a_worker_drops_the_segment_it_used_longest_ago(monkeypatch):
    monkeypatch.setattr(settings, "SEGMENTS_HELD", 2)
    desk = Desk()
    desk.tell(e.BatchOpened(1, ""))
    sent = []
    for number in range(1, 5):
        desk.tell(e.JobsAdded(1, number, "f", 2))
        while leases := desk.told(c.SendLease):
            sent += leases
            desk.report(leases[0].lease, leases[0].first, leases[0].stop)
    assert [(order.segment, order.drop) for order in sent if order.with_segment] == [
        (1, ()), (2, ()), (3, (1,)), (4, (2,)),
    ]  # fmt: skip
    assert [order for order in sent if order.drop and not order.with_segment] == []
    assert [order.segment for order in sent if order.with_function] == [1]


def test_a_worker_keeps_the_segment_it_comes_back_to(monkeypatch):
    monkeypatch.setattr(settings, "SEGMENTS_HELD", 2)
    worker = Worker(1, "a", due=0.0)
    used = [worker.holds(segment, lone=False, leased=[segment]) for segment in (1, 2, 1, 3, 2)]
    assert used == [(False, ()), (False, ()), (True, ()), (False, (2,)), (False, (1,))]


def test_a_worker_drops_a_segment_of_one_job_with_the_lease_after_it():
    desk = Desk()
    desk.tell(e.BatchOpened(1, ""))
    sent = []
    for number in range(1, 4):
        desk.tell(e.JobsAdded(1, number, "f", 1))
        sent += desk.told(c.SendLease)
        desk.report(number, number - 1, number)
    assert [(order.segment, order.with_segment, order.drop) for order in sent] == [
        (1, True, ()), (2, True, (1,)), (3, True, (2,)),
    ]  # fmt: skip


def test_a_worker_keeps_the_segment_of_one_job_that_it_may_still_be_running():
    worker = Worker(1, "a", due=0.0)
    assert worker.holds(1, lone=True, leased=[1]) == (False, ())
    assert worker.holds(2, lone=True, leased=[1, 2]) == (False, ())
    worker.held = [1]
    assert worker.holds(3, lone=True, leased=[3]) == (False, ())
    worker.held = []
    assert worker.holds(4, lone=True, leased=[4]) == (False, (1, 2, 3))


def test_very_short_jobs_stay_in_their_segment_at_each_worker():
    desk = Desk(2)
    desk.tell(e.BatchOpened(1, ""))
    for number in range(1, 5):
        desk.tell(e.JobsAdded(1, number, "f", 1_000))
    place = {}
    at = [(lease.number, lease.worker, lease.first, lease.stop) for lease in desk.s.leases.values()]
    while at:
        number, worker, first, stop = at.pop(0)
        desk.report(number, first, stop, worker=worker, seconds=0.00001)
        for order in desk.told(c.SendLease):
            at.append((order.lease, order.worker, order.first, order.stop))
            place.setdefault(order.worker, []).append(order.segment)
    assert desk.counts().finished == 4_000
    switches = sum(a != b for segments in place.values() for a, b in pairwise(segments))
    assert switches <= 5


def test_a_worker_at_the_end_of_the_last_segment_goes_back_to_what_waits_before():
    desk = Desk()
    desk.open(1, retries=1)
    desk.report(1, 0, 1, (0,), seconds=0.0)
    assert [(order.first, order.stop) for order in desk.told(c.SendLease)] == [(0, 1)]


# --- handing back ------------------------------------------------------------------------------------------


def test_what_has_not_started_is_handed_back_when_another_worker_idles():
    desk = learned(15)
    desk.tell(e.CancelAsked(1, ((12, 15),)))
    desk.tell(e.EngineOpened("b", 1))
    (start,) = desk.told(c.StartWorker)
    desk.tell(e.WorkerJoined(start.worker))
    assert desk.told(c.RecallLease) == []
    desk.now = desk.s.next_deadline()
    desk.tell(e.TimePassed())
    assert [(order.lease, order.first, order.stop) for order in desk.told(c.RecallLease)] == [(2, 1, 8), (3, 8, 12)]
    desk.tell(e.LeaseRecalled(1, 3, 8))
    assert [(order.worker, order.first) for order in desk.told(c.SendLease)] == [(2, 8), (2, 10)]
    desk.tell(e.LeaseRecalled(1, 2, 4))
    desk.report(2, 1, 4)
    assert desk.told(c.TellOutcomes) == [c.TellOutcomes(1, ((1, 4),), ())]


def test_a_recall_that_comes_too_late_changes_nothing():
    desk = learned()
    assert desk.tell(e.LeaseRecalled(1, 2, 8)) == []
    desk.report(2, 1, 8)
    assert desk.tell(e.LeaseRecalled(1, 2, 3)) == []
    assert desk.tell(e.LeaseRecalled(7, 3, 9)) == []


def test_nothing_is_handed_back_where_the_limit_lets_nobody_else_take_it():
    desk = Desk(2)
    desk.open(3, limit=1)
    desk.report(1, 0, 1)
    desk.now = 10.0
    assert desk.tell(e.TimePassed()) == []


# --- losses ------------------------------------------------------------------------------------------------


def test_the_job_on_the_page_is_charged_and_leased_alone_from_then_on():
    desk = learned()
    desk.lose(1, 2, 3)
    assert desk.s.batches[1].losses == {3: 1}
    desk.replace()
    assert [(order.first, order.stop) for order in desk.told(c.SendLease)] == [(1, 3), (3, 4)]
    desk.report(4, 1, 3, worker=2)
    desk.report(5, 3, 4, worker=2)
    assert desk.s.batches[1].losses == {}


def test_a_page_that_names_another_lease_charges_nobody():
    desk = learned()
    desk.lose(1, 1, 3)
    assert desk.s.batches[1].losses == {}


def test_the_third_loss_ends_it_with_its_story():
    desk = Desk()
    desk.open(3)
    worker = 1
    for lease in (1, 2):
        desk.lose(worker, lease, 0)
        assert desk.told(c.TellLost) == []
        worker = desk.replace()
    desk.lose(worker, 3, 0)
    assert desk.told(c.TellLost) == [c.TellLost(1, ((0, 1),), "a story", settings.LOSS_ATTEMPTS)]
    assert (desk.counts().lost, desk.counts().queued) == (1, 2)


def test_a_late_outcome_ends_the_second_attempt_started_or_not():
    desk = learned(15)
    desk.lose(1, 2, 1)
    worker = desk.replace()
    desk.report(4, 1, 2, worker=worker)  # the suspect, alone; then come 2 to 15 in two leases
    running = [(lease.number, lease.first, lease.stop) for lease in desk.s.leases.values()]
    desk.tell(e.RunReported(1, 2, 1, 8, (5,), 0.007, ended=True))
    assert desk.told(c.TellOutcomes) == [c.TellOutcomes(1, ((2, 8),), (5,))]
    assert desk.s.dropped == 1
    number, first, stop = running[0]
    assert c.RecallLease("a", worker, number, first, stop) in desk.orders
    assert c.EndJob("a", worker, number, first, min(stop, 8)) in desk.orders


def test_a_late_exception_is_retried_where_retries_are_left():
    desk = Desk()
    desk.open(2, retries=1)
    desk.lose(1, 1, 0)
    desk.tell(e.RunReported(1, 1, 0, 1, (0,), 0.1, ended=True))
    assert desk.told(c.TellOutcomes) == []
    assert desk.counts().queued == 2


def test_a_late_outcome_of_an_earlier_round_does_not_count():
    desk = Desk()
    desk.open(1)
    desk.lose(1, 1, 0)
    worker = desk.replace()
    desk.report(2, 0, 1, (0,), worker=worker)
    assert desk.counts().failed == 1
    desk.tell(e.RetryAsked(1, ((0, 1),)))
    desk.report(1, 0, 1)
    assert desk.told(c.TellOutcomes) == []
    assert desk.s.dropped == 1


@pytest.mark.parametrize("lost", [False, True])
def test_a_report_on_the_lease_of_another_worker_is_dropped(lost):
    desk = learned()
    if lost:
        desk.lose(1, 2, 1)
    desk.report(2, 1, 8, worker=5)
    assert desk.told(c.TellOutcomes) == []
    assert desk.s.dropped == 7


def test_the_outcome_tells_how_many_attempts_it_took():
    desk = Desk()
    desk.open(2, retries=1)
    desk.lose(1, 1, 0)
    worker = desk.replace()
    desk.report(2, 0, 1, (0,), worker=worker)
    assert desk.told(c.TellOutcomes) == []
    desk.report(3, 0, 1, (0,), worker=worker)
    assert desk.told(c.TellOutcomes) == [c.TellOutcomes(1, ((0, 1),), (0,), attempts=((0, 3),))]
    desk.report(4, 1, 2, worker=worker)
    assert desk.told(c.TellOutcomes) == [c.TellOutcomes(1, ((1, 2),), ())]


# --- births and engines ------------------------------------------------------------------------------------


def test_a_worker_that_does_not_join_in_time_is_killed():
    desk = Desk(join=False)
    assert desk.s.next_deadline() == settings.JOIN_SECONDS
    desk.now = settings.JOIN_SECONDS
    assert desk.tell(e.TimePassed()) == [c.KillWorker("a", 1)]
    assert desk.s.next_deadline() > desk.now


def test_workers_that_join_and_die_over_their_first_lease_fail_the_engine_too():
    desk = Desk()
    desk.open(5)
    worker = 1
    for _ in range(settings.BIRTH_ATTEMPTS - 1):
        desk.lose(worker)
        worker = desk.replace()
    desk.lose(worker)
    assert desk.told(c.TellLost) == [c.TellLost(1, ((0, 5),), "a story", 0)]


def test_idle_workers_that_are_killed_do_not_fail_their_engine():
    desk = Desk()
    worker = 1
    for _ in range(2 * settings.BIRTH_ATTEMPTS):
        desk.lose(worker)
        worker = desk.replace()
    assert desk.s.pool.engines["a"].failure is None


def test_an_engine_that_opens_again_starts_only_what_is_missing():
    desk = Desk(3)
    desk.lose(2)
    desk.tell(e.EngineFailed("a", "the link is down"))
    desk.lose(4)
    desk.tell(e.EngineOpened("a", 3))
    assert desk.told(c.StartWorker) == [c.StartWorker("a", 5)]


def test_an_engine_that_never_opened_may_fail_and_the_rest_goes_on():
    desk = Desk()
    desk.tell(e.EngineFailed("b", "no such host"))
    desk.open(1)
    desk.report(1, 0, 1)
    assert desk.counts().finished == 1


def test_when_no_engine_is_left_all_that_waits_is_told_lost_at_once():
    desk = learned(100)
    desk.tell(e.EngineFailed("a", "it burnt"))
    assert desk.told(c.TellLost) == [], "its worker still works"
    desk.lose(1)
    assert desk.told(c.TellLost) == [c.TellLost(1, ((1, 100),), "it burnt", 0)]


# --- clients -----------------------------------------------------------------------------------------------


def test_jobs_cancelled_before_they_were_sent_keep_their_numbers():
    desk = learned(2)
    desk.tell(e.JobsSkipped(1, 3))
    assert desk.told(c.TellCancelled) == [c.TellCancelled(1, ((2, 5),))]
    desk.tell(e.JobsAdded(1, 2, "f", 1))
    assert (desk.counts().cancelled, desk.s.batches[1].jobs.total) == (3, 6)


def test_cancel_recalls_what_waits_at_a_worker_and_ends_what_runs():
    desk = learned()
    desk.tell(e.CancelAsked(1, ((4, 6),)))
    assert desk.orders == [
        c.RecallLease("a", 1, 2, 4, 9), c.EndJob("a", 1, 2, 4, 6), c.TellCancelled(1, ((4, 6),)),
    ]  # fmt: skip
    desk.tell(e.LeaseRecalled(1, 2, 4))
    desk.report(2, 1, 4)
    assert desk.counts().finished == 4
    assert desk.counts().cancelled == 2


def test_retry_touches_only_what_failed_or_was_lost():
    desk = Desk()
    desk.open(3)
    desk.report(1, 0, 1, (0,))
    desk.tell(e.RetryAsked(1, ((0, 3), (-5, 900))))
    assert desk.counts().failed == 0
    assert desk.counts().running + desk.counts().queued == 3


def test_a_lower_limit_is_reached_as_leases_end():
    desk = Desk(3)
    desk.open(10)
    assert set(desk.s.batches[1].workers) == {1, 2, 3}
    desk.tell(e.LimitAsked(1, 1))
    desk.report(1, 0, 1, worker=1, seconds=1.0)
    assert desk.told(c.SendLease) == []
    desk.report(2, 1, 2, worker=2, seconds=1.0)
    assert desk.told(c.SendLease) == []
    desk.report(3, 2, 3, worker=3, seconds=1.0)
    assert len(desk.told(c.SendLease)) == 1


# --- reports that cannot be true ---------------------------------------------------------------------------


def test_a_refused_report_ends_its_worker_and_charges_the_first_job_without_an_outcome():
    desk = learned()
    desk.report(2, 1, 3, ended=False)
    assert desk.tell(e.ReportRefused(1, 2, "untrue")) == [c.KillWorker("a", 1)]
    assert desk.tell(e.ReportRefused(1, 2, "untrue")) == [], "once is enough"
    desk.lose(1, 2, 5)  # what its page shows when it is killed is not to blame
    assert desk.s.batches[1].losses == {3: 1}
    assert not desk.s.leases
    for _ in range(settings.LOSS_ATTEMPTS - 1):
        number = desk.replace()
        (granted, *_) = desk.s.pool.workers[number].leases
        assert (desk.s.leases[granted].first, desk.s.leases[granted].stop) == (3, 4), "it is leased alone"
        desk.tell(e.ReportRefused(number, granted, "untrue"))
        desk.lose(number)
    assert desk.told(c.TellLost) == [c.TellLost(1, ((3, 4),), "untrue", settings.LOSS_ATTEMPTS)]


def test_a_refused_report_on_a_lease_that_is_none_of_its_own_charges_what_it_runs():
    desk = learned()
    desk.tell(e.ReportRefused(1, 99, "untrue"))
    desk.lose(1)
    assert desk.s.batches[1].losses == {1: 1}
    assert desk.tell(e.ReportRefused(1, 99, "untrue")) == [], "it is gone"


# --- supervisors that are killed ---------------------------------------------------------------------------


def test_who_ran_when_a_supervisor_was_killed_runs_apart_from_the_others_until_the_culprit_is_found():
    desk = Desk(2)
    desk.open(3)  # job 0 kills its supervisor
    first = {lease.first: lease for lease in desk.s.leases.values()}
    assert set(first) == {0, 1}
    for job, lease in first.items():
        desk.tell(e.WorkerLost(lease.worker, lease.number, job, "killed", known=False))
    assert desk.s.batches[1].suspects == {0: 1, 1: 1}
    for times in (2, 3):
        desk.now += 1
        desk.tell(e.TimePassed())
        for number in list(desk.s.pool.starting):
            desk.tell(e.WorkerJoined(number))
        running = {lease.first: lease for lease in desk.s.leases.values()}
        assert 1 not in running, "one suspect at a time"
        assert running[0].stop == 1, "it is leased alone"
        for job, lease in running.items():
            desk.tell(e.WorkerLost(lease.worker, lease.number, job, "killed", known=False))
        assert desk.s.batches[1].suspects.get(0, 3) == times
    assert desk.counts().lost == 1
    assert 0 not in desk.s.batches[1].suspects
