"""Engines in the scheduler: added, silent and back, scaled, removed; who may run what, and how much each gets."""

from __future__ import annotations

import pytest

from jupyter_dsage import settings
from jupyter_dsage.core import commands as c
from jupyter_dsage.core import events as e
from jupyter_dsage.core.pool import Abilities
from jupyter_dsage.core.states import State
from tests.unit.test_scheduler import Desk

CALLER = Abilities(functions=False, services=frozenset({"s"}))
BOTH = Abilities(services=frozenset({"s"}))


class Hosts(Desk):
    """Engine "a" with worker 1, and more engines as they are added, whose workers join at once."""

    def host(self, name, slots=1, **what):
        self.tell(e.EngineOpened(name, slots, **what))
        started = [order.worker for order in self.told(c.StartWorker)]
        orders = []
        for worker in started:
            orders += self.tell(e.WorkerJoined(worker))
        self.orders = orders
        return started

    def sent(self):
        return [(order.worker, order.lease, order.first, order.stop) for order in self.told(c.SendLease)]

    def call(self, segment, count, service):
        return self.tell(e.JobsAdded(1, segment, f"f{segment}", count, service))

    def states(self):
        jobs = self.s.batches[1].jobs
        return {state.value: list(jobs[state].numbers()) for state in State if jobs[state]}


def two_hosts(count=4):
    """Worker 1 at "a" runs job 0 (lease 1), worker 2 at "b" runs job 1 (lease 2)."""
    desk = Hosts()
    desk.host("b")
    desk.open(count)
    assert {lease.worker for lease in desk.s.leases.values()} == {1, 2}
    return desk


# --- silence -----------------------------------------------------------------------------------------------


def test_silence_moves_jobs_and_charges_nobody():
    desk = two_hosts(2)
    desk.tell(e.EngineAway("a"))
    assert desk.states() == {"queued": [0], "running": [1]}
    desk.report(2, 1, 2, worker=2)
    assert desk.sent() == [(2, 3, 0, 1)]
    assert desk.s.batches[1].losses == {}
    assert desk.s.snapshot().engines[0].state == "away"


def test_nothing_is_started_or_granted_at_a_silent_host():
    desk = Hosts(2)
    desk.lose(2)
    desk.tell(e.EngineAway("a"))
    desk.open(5)
    desk.lose(1)
    desk.now = 1000.0
    assert desk.tell(e.TimePassed()) == []
    assert desk.s.next_deadline() is None
    assert desk.counts().queued == 5, "they wait until it is back or given up"


def test_who_is_back_before_anything_began_elsewhere_goes_on_as_if_nothing_was():
    desk = Hosts()
    desk.open(9)
    desk.report(1, 0, 1)
    before = desk.states()
    desk.tell(e.EngineAway("a"))
    assert desk.states()["queued"] == list(range(1, 9))
    desk.tell(e.EngineBack("a"))
    assert desk.states() == before
    assert [type(order) for order in desk.orders] == [c.TellPool]
    desk.report(2, 1, desk.s.leases[2].stop)
    assert desk.s.dropped == 0


def shadowed():
    """Job 0 runs at worker 1, whose host was silent for a while, and at worker 2 (lease 3), which got it meanwhile."""
    desk = two_hosts(2)
    desk.tell(e.EngineAway("a"))
    desk.report(2, 1, 2, worker=2)
    desk.tell(e.EngineBack("a"))
    assert desk.told(c.EndJob) == []
    assert desk.s.shadowed == {1}
    return desk


def test_back_while_it_runs_elsewhere_the_one_that_was_silent_tells_first():
    desk = shadowed()
    desk.report(1, 0, 1)
    assert desk.told(c.TellOutcomes) == [c.TellOutcomes(1, ((0, 1),), ())]
    assert desk.told(c.EndJob) == [c.EndJob("b", 2, 3, 0, 1)]
    desk.report(3, 0, 1, worker=2)
    assert desk.told(c.TellOutcomes) == []
    assert desk.s.dropped == 1


def test_back_while_it_runs_elsewhere_the_other_tells_first():
    desk = shadowed()
    desk.report(3, 0, 1, worker=2)
    assert desk.told(c.TellOutcomes) == [c.TellOutcomes(1, ((0, 1),), ())]
    assert desk.told(c.EndJob) == [c.EndJob("a", 1, 1, 0, 1)]
    desk.report(1, 0, 1)
    assert desk.told(c.TellOutcomes) == []
    assert desk.s.dropped == 1


def test_cancel_ends_both_attempts():
    desk = shadowed()
    desk.tell(e.CancelAsked(1, ((0, 1),)))
    assert {(order.worker, order.lease) for order in desk.told(c.EndJob)} == {(1, 1), (2, 3)}


def test_a_job_that_is_lost_elsewhere_is_ended_at_the_host_that_was_silent(monkeypatch):
    monkeypatch.setattr(settings, "LOSS_ATTEMPTS", 1)
    desk = shadowed()
    desk.lose(2, 3, 0)
    assert [order.runs for order in desk.told(c.TellLost)] == [((0, 1),)]
    assert desk.told(c.EndJob) == [c.EndJob("a", 1, 1, 0, 1)]


def test_a_worker_that_had_two_attempts_at_a_job_may_die_of_it(monkeypatch):
    monkeypatch.setattr(settings, "LOSS_ATTEMPTS", 1)
    desk = two_hosts()
    desk.report(1, 0, 1, seconds=0.0001)
    desk.tell(e.EngineAway("a"))
    desk.report(2, 1, 2, worker=2, seconds=1.0)
    desk.tell(e.EngineBack("a"))
    desk.lose(2)
    assert desk.sent() == [(1, 5, 2, 3)], "it is granted to whom runs it already, in lease 3"
    desk.tell(e.EngineAway("a"))
    desk.tell(e.EngineBack("a"))
    desk.lose(1, 3, 2)
    assert [order.runs for order in desk.told(c.TellLost)] == [((2, 3),)]


def test_back_when_it_is_done_elsewhere_the_attempt_is_ended_and_the_rest_recalled():
    desk = two_hosts(2)
    desk.tell(e.EngineAway("a"))
    desk.report(2, 1, 2, worker=2)
    desk.report(3, 0, 1, worker=2)
    assert desk.counts().finished == 2
    desk.tell(e.EngineBack("a"))
    assert desk.told(c.RecallLease) == [c.RecallLease("a", 1, 1, 0, 1)]
    assert desk.told(c.EndJob) == [c.EndJob("a", 1, 1, 0, 1)]


def test_what_was_cancelled_before_the_silence_still_keeps_its_worker_busy_after_it():
    desk = Hosts()
    desk.open(1)
    desk.tell(e.CancelAsked(1))
    desk.tell(e.EngineAway("a"))
    desk.tell(e.RefreshAsked())
    desk.tell(e.EngineBack("a"))
    assert desk.told(c.StopWorker) == [], "it has not told the end of its lease yet"
    desk.report(1, 0, 1, (0,))
    assert desk.told(c.StopWorker) == [c.StopWorker("a", 1)]


def test_a_worker_that_was_starting_when_new_ones_were_asked_for_leaves_as_it_joins():
    desk = Desk()
    desk.open(1)
    desk.tell(e.EngineOpened("b", 1))
    (started,) = desk.told(c.StartWorker)
    desk.tell(e.RefreshAsked())
    desk.tell(e.WorkerJoined(started.worker))
    assert desk.told(c.StopWorker) == [c.StopWorker("b", started.worker)]
    desk.lose(started.worker)
    (started,) = desk.told(c.StartWorker)
    desk.tell(e.WorkerJoined(started.worker))
    assert desk.told(c.StopWorker) == []


@pytest.mark.parametrize("job", [None, 0])
def test_a_worker_that_died_meanwhile_is_charged_by_its_page_alone(job):
    desk = Hosts()
    desk.open(3)
    desk.tell(e.EngineAway("a"))
    desk.tell(e.EngineBack("a"))
    desk.lose(1, 1, job)
    assert desk.s.batches[1].losses == ({} if job is None else {job: 1})


def test_nobody_is_charged_for_a_host_that_never_comes_back():
    desk = two_hosts(2)
    desk.tell(e.EngineAway("a"))
    desk.lose(1)
    assert desk.told(c.StartWorker) == []
    desk.tell(e.EngineFailed("a", "silence"))
    assert desk.s.batches[1].losses == {}
    desk.report(2, 1, 2, worker=2)
    assert desk.sent() == [(2, 3, 0, 1)]


def test_a_host_that_has_forgotten_us_starts_workers_anew():
    desk = Hosts(2)
    desk.tell(e.EngineAway("a"))
    desk.lose(1)
    desk.lose(2)
    desk.tell(e.EngineOpened("a", 1))
    assert desk.told(c.StartWorker) == [c.StartWorker("a", 3)]


# --- scale and removal -------------------------------------------------------------------------------------


def test_more_slots_more_workers():
    desk = Hosts()
    desk.tell(e.EngineScaled("a", 3))
    assert desk.told(c.StartWorker) == [c.StartWorker("a", 2), c.StartWorker("a", 3)]


def test_fewer_slots_idle_workers_leave_first_and_busy_ones_finish():
    desk = Hosts(3)
    desk.open(1)
    desk.tell(e.EngineScaled("a", 1))
    assert desk.told(c.StopWorker) == [c.StopWorker("a", 3), c.StopWorker("a", 2)]
    desk.tell(e.JobsAdded(1, 2, "f", 9))
    desk.tell(e.EngineOpened("b", 0))
    desk.tell(e.EngineScaled("a", 0))
    assert desk.told(c.StopWorker) == []
    desk.report(1, 0, 1)
    assert desk.told(c.StopWorker) == [c.StopWorker("a", 1)]
    assert desk.sent() == []


def test_scaling_twice_counts_those_that_are_leaving_already():
    desk = Hosts(3)
    desk.tell(e.EngineScaled("a", 2))
    desk.tell(e.EngineScaled("a", 1))
    assert desk.told(c.StopWorker) == [c.StopWorker("a", 2)]
    desk.tell(e.EngineScaled("a", 2))
    assert desk.told(c.StartWorker) == []
    desk.lose(3)
    assert desk.told(c.StartWorker) == [], "one is leaving still"
    desk.lose(2)
    assert desk.told(c.StartWorker) == [c.StartWorker("a", 4)]


def test_removal_lets_the_running_job_end_and_recalls_the_rest():
    desk = two_hosts(40)
    desk.report(1, 0, 1)
    held = [number for number, lease in desk.s.leases.items() if lease.worker == 1]
    first = desk.s.leases[held[0]]
    desk.tell(e.RemovalAsked("a", now=False))
    assert [order.lease for order in desk.told(c.RecallLease)] == held
    for number in held[1:]:
        desk.tell(e.LeaseRecalled(1, number, 0))
    desk.tell(e.LeaseRecalled(1, held[0], first.first + 1))
    assert desk.tell(e.RemovalAsked("a", now=False)) == [c.TellPool()], "to ask again moves nothing"
    assert desk.states()["running"] == [1, 2], "job 2 is to end at a"
    desk.report(held[0], first.first, first.first + 1)
    for number in held[1:]:
        desk.report(number, desk.s.leases[number].first, desk.s.leases[number].first)
    assert desk.told(c.StopWorker) == [c.StopWorker("a", 1)]
    desk.lose(1)
    assert desk.told(c.CloseEngine) == [c.CloseEngine("a")]
    assert desk.told(c.StartWorker) == []


def test_removal_at_once_moves_what_runs_uncharged():
    desk = two_hosts(2)
    desk.tell(e.RemovalAsked("a", now=True))
    assert desk.told(c.CloseEngine) == [c.CloseEngine("a")]
    assert desk.states() == {"queued": [0], "running": [1]}
    assert desk.s.batches[1].losses == {}
    assert [worker.worker for worker in desk.s.snapshot().workers] == [2]


@pytest.mark.parametrize("fact", [e.EngineAdded("b"), e.EngineFailed("b", "no such host"), e.EngineOpened("b", 0)])
def test_an_engine_without_workers_is_removed_at_once(fact):
    desk = Hosts()
    desk.tell(fact)
    desk.tell(e.RemovalAsked("b", now=False))
    assert desk.told(c.CloseEngine) == [c.CloseEngine("b")]


def test_a_silent_host_is_removed_at_once():
    desk = two_hosts(2)
    desk.tell(e.EngineAway("a"))
    desk.tell(e.RemovalAsked("a", now=False))
    assert desk.told(c.CloseEngine) == [c.CloseEngine("a")]


def test_an_engine_whose_starts_fail_lets_its_running_jobs_end_when_it_is_removed():
    desk = Hosts(2)
    desk.open(1)
    for _ in range(settings.BIRTH_ATTEMPTS):
        desk.lose(max(desk.s.pool.workers))
        desk.now += 10
        desk.tell(e.TimePassed())
    desk.lose(max(desk.s.pool.workers))
    assert desk.s.pool.engines["a"].failure == "a story"
    desk.tell(e.RemovalAsked("a", now=False))
    assert desk.told(c.CloseEngine) == []
    desk.report(1, 0, 1)
    assert desk.counts().finished == 1


def test_facts_about_an_engine_that_is_not_there_change_nothing():
    desk = Hosts()
    for fact in (e.EngineAway("x"), e.EngineBack("x"), e.EngineScaled("x", 5), e.RemovalAsked("x", now=True)):
        assert desk.tell(fact) == [c.TellPool()]
    assert desk.tell(e.LatencyMeasured("x", 1.0)) == []


# --- who can run what --------------------------------------------------------------------------------------


def test_a_server_for_callers_gets_its_services_and_no_function():
    desk = Hosts()
    (caller,) = desk.host("b", can=CALLER)
    desk.tell(e.BatchOpened(1, ""))
    desk.call(1, 2, None)
    desk.call(2, 2, "s")
    assert [(order.worker, order.segment) for order in desk.told(c.SendLease)] == [(caller, 2)]
    assert {lease.worker: lease.segment for lease in desk.s.leases.values()} == {1: 1, caller: 2}


def test_of_mixed_kinds_in_one_batch_none_starves():
    desk = Hosts()
    desk.host("b", can=CALLER)
    desk.host("c", can=BOTH)
    desk.tell(e.BatchOpened(1, ""))
    for segment in range(1, 21):
        desk.call(segment, 10, "s" if segment % 2 else None)
    kinds = {"a": set(), "b": set(), "c": set()}
    while desk.s.leases:
        lease = next(iter(desk.s.leases.values()))
        service = desk.s.batches[1].segment_of(lease.first).service
        kinds[desk.s.pool.workers[lease.worker].engine].add(service)
        desk.report(lease.number, lease.first, lease.stop, worker=lease.worker)
    assert desk.counts().finished == 200
    assert kinds == {"a": {None}, "b": {"s"}, "c": {None, "s"}}


def test_idle_workers_that_cannot_run_it_are_no_reason_to_hand_it_back():
    desk = Hosts()
    desk.open(15)
    desk.report(1, 0, 1)
    desk.host("b", can=CALLER)
    assert desk.s.next_deadline() is None
    desk.now = 100.0
    assert desk.tell(e.TimePassed()) == []


def test_jobs_that_no_engine_can_run_end_with_that_story():
    desk = Hosts()
    desk.tell(e.BatchOpened(1, ""))
    desk.call(1, 3, "s")
    assert desk.told(c.TellLost) == [c.TellLost(1, ((0, 3),), c.NoEngine("s"), 0)]
    desk.host("b", can=BOTH)
    desk.tell(e.RetryAsked(1, ((0, 3),)))
    assert len(desk.sent()) == 1
    desk.tell(e.RemovalAsked("b", now=True))
    assert desk.told(c.TellLost) == [c.TellLost(1, ((0, 3),), c.NoEngine("s"), 0)]


def test_where_one_that_could_has_failed_its_reason_is_the_story():
    desk = Hosts()
    desk.tell(e.EngineAdded("b"))
    desk.tell(e.BatchOpened(1, ""))
    desk.call(1, 1, "s")
    assert desk.orders == [], "b may have the service"
    desk.tell(e.EngineFailed("b", "no route"))
    assert desk.told(c.TellLost) == [c.TellLost(1, ((0, 1),), "no route", 0)]


def test_jobs_wait_for_an_engine_that_is_being_connected_and_end_when_it_fails():
    desk = Hosts(0)
    desk.tell(e.RemovalAsked("a", now=True))
    desk.tell(e.EngineAdded("b"))
    desk.open(2)
    assert desk.orders == []
    desk.tell(e.EngineFailed("b", "no route"))
    assert desk.told(c.TellLost) == [c.TellLost(1, ((0, 2),), "no route", 0)]
    desk.tell(e.RetryAsked(1, ((0, 2),)))
    assert desk.told(c.ReopenEngine) == [c.ReopenEngine("b")]
    assert desk.states() == {"queued": [0, 1]}
    desk.host("b")
    assert [(first, stop) for _, _, first, stop in desk.sent()] == [(0, 1)]


def test_a_worker_ordered_while_its_engine_failed_keeps_nobody_waiting():
    desk = Hosts()
    desk.open(3)
    desk.report(1, 0, 1)
    desk.lose(1)
    assert desk.told(c.StartWorker) == [c.StartWorker("a", 2)]
    desk.tell(e.EngineFailed("a", "refused"))
    assert desk.told(c.TellLost) == [c.TellLost(1, ((1, 3),), "refused", 0)]
    assert desk.s.snapshot().workers == ()


def test_an_engine_that_failed_and_is_back_among_the_silent_starts_nobody():
    desk = Hosts(join=False)
    for _ in range(settings.BIRTH_ATTEMPTS):
        desk.lose(max(desk.s.pool.workers))
        desk.now += 10
        desk.tell(e.TimePassed())
    desk.tell(e.EngineAway("a"))
    desk.tell(e.EngineBack("a"))
    assert desk.told(c.StartWorker) == []
    assert desk.s.pool.engines["a"].state == "failed"


# --- how much each gets ------------------------------------------------------------------------------------


def measured(count, speeds, **latency):
    """Hosts "a" and "b" of one worker each, whose jobs took so long; return the sizes of their next leases."""
    desk = Hosts()
    desk.host("b", **latency)
    desk.open(count)
    desk.tell(e.PauseAsked(1))
    for number, name in ((1, "a"), (2, "b")):
        desk.report(number, number - 1, number, worker=number, seconds=speeds[name])
    batch = desk.s.batches[1]
    batch.largest = 10_000
    desk.tell(e.ResumeAsked(1))
    return {order.worker: order.stop - order.first for order in reversed(desk.told(c.SendLease))}


def test_near_the_end_an_engine_four_times_slower_gets_a_quarter_as_many():
    sizes = measured(102, {"a": 0.0001, "b": 0.0004})
    assert sizes[1] == 40, "of 100 jobs, over twice the slots of its speed: 1 + 1/4"
    assert sizes[2] == 6, "of 60 jobs, over twice 4 + 1: a quarter of what the other would get"


def test_a_lease_outlasts_the_way_to_its_worker_and_another_waits_behind_it():
    near = measured(4000, {"a": 0.001, "b": 0.001})
    far = measured(4000, {"a": 0.001, "b": 0.001}, latency=0.3)
    assert near[2] * 0.001 <= settings.CHUNK_SECONDS
    assert far[2] * 0.001 == pytest.approx(0.3, abs=0.002)


@pytest.mark.parametrize(("latency", "leases"), [(0.0, 1), (0.3, 2)])
def test_a_worker_far_away_gets_its_second_lease_though_the_first_takes_long(latency, leases):
    desk = Hosts(0)
    desk.host("b", latency=latency)
    desk.open(400)
    desk.report(1, 0, 1, seconds=0.2)
    assert len(desk.s.leases) == leases


def test_what_is_measured_counts_from_then_on():
    desk = Hosts()
    desk.tell(e.LatencyMeasured("a", 0.5))
    desk.open(9)
    (lease,) = desk.s.leases.values()
    assert lease.latency == 0.5
    assert lease.due == desk.now + settings.PATIENCE_SECONDS + 1.0
