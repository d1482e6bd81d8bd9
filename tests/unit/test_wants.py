"""Batches that want certain engines, or some of what these have; engines whose idle workers leave."""

from __future__ import annotations

import pytest

from jupyter_dsage.core import commands as c
from jupyter_dsage.core import events as e
from jupyter_dsage.core.pool import Abilities
from jupyter_dsage.core.scheduler import Scheduler
from jupyter_dsage.core.wants import Wants
from tests.unit.test_engines_core import Hosts

GPU = Wants(resources=(("gpu", 1),))


class Choosers(Hosts):
    """Engines that are told of with what they have; "a" has worker 1 and nothing else."""

    def add(self, name, slots=1, *, resources=(), idle=0.0, can=None):
        self.tell(e.EngineAdded(name, resources, idle))
        return self.host(name, slots, can=can or Abilities())

    def at(self):
        """Return the engines at which jobs run, one for each worker that does."""
        return sorted(worker.engine for worker in self.s.pool.workers.values() if worker.leases)

    def pass_time(self, seconds):
        self.now += seconds
        return self.tell(e.TimePassed())

    def started(self):
        return [order.engine for order in self.told(c.StartWorker)]


# --- by name -------------------------------------------------------------------------------------------------


def test_jobs_run_only_where_they_are_wanted():
    desk = Choosers()
    desk.add("b", 2)
    desk.open(9, wants=Wants(("b",)))
    assert desk.at() == ["b", "b"]
    desk.open(9, segment=2)
    assert desk.at() == ["a", "b", "b"], "who wants nothing goes where there is room"


def test_several_engines_may_be_wanted():
    desk = Choosers()
    desk.add("b")
    desk.add("c")
    desk.open(9, wants=Wants(("a", "c")))
    assert desk.at() == ["a", "c"]


@pytest.mark.parametrize("wants", [Wants(("b",)), GPU])
def test_jobs_that_can_run_nowhere_any_more_are_lost_and_say_what_they_want(wants):
    desk = Choosers()
    desk.add("b", resources=(("gpu", 1),))
    desk.open(3, wants=wants)
    desk.tell(e.RemovalAsked("b", now=True))
    assert desk.told(c.TellLost) == [c.TellLost(1, ((0, 3),), c.NoEngine(None, wants), 0)]


def test_jobs_whose_engine_failed_are_lost_with_its_reason():
    desk = Choosers()
    (worker,) = desk.add("b")
    desk.open(3, wants=Wants(("b",)))
    desk.lose(worker)
    desk.tell(e.EngineFailed("b", "no such host"))
    assert [order.story for order in desk.told(c.TellLost)] == ["no such host"]


def test_jobs_wait_for_an_engine_that_is_being_connected_to():
    desk = Choosers()
    desk.tell(e.EngineAdded("b", (("gpu", 1),)))
    desk.open(3, wants=GPU)
    assert desk.counts().queued == 3
    desk.host("b")
    assert desk.at() == ["b"]


def test_a_revived_batch_waits_for_the_last_of_the_engines_that_are_told_of():
    desk = Choosers.__new__(Choosers)
    desk.s, desk.now = Scheduler(), 0.0
    desk.open(3, wants=Wants(("b",)))
    desk.s.handle(e.EngineAdded("a"), 0.0)
    desk.tell(e.EngineAdded("b"))
    desk.host("a")
    assert desk.counts().queued == 3
    desk.host("b")
    assert desk.at() == ["b"]


def test_what_an_engine_has_is_known_whether_it_was_open_before_or_not():
    desk = Choosers()
    desk.add("b", resources=(("gpu", 1),), idle=5.0)
    desk.lose(2)
    desk.tell(e.EngineFailed("b", "gone"))
    desk.host("b")
    engine = desk.s.pool.engines["b"]
    assert (engine.resources, engine.idle) == ({"gpu": 1}, 5.0)


# --- by amounts ----------------------------------------------------------------------------------------------


def test_no_more_jobs_run_at_once_than_the_amounts_allow():
    desk = Choosers()
    first, *_ = desk.add("b", 4, resources=(("gpu", 2),))
    desk.open(9, wants=GPU)
    assert desk.at() == ["b", "b"]
    lease = desk.s.pool.workers[first].leases[0]
    desk.report(lease, 0, 1, worker=first)
    assert desk.at() == ["b", "b"], "what is free again is given away again"


def test_what_a_job_takes_is_free_when_its_worker_is_lost():
    desk = Choosers()
    desk.add("b", 2, resources=(("gpu", 3),))
    desk.open(2, wants=Wants(resources=(("gpu", 2),)))
    (busy,) = [worker.number for worker in desk.s.pool.workers.values() if worker.leases]
    desk.lose(busy)
    assert desk.at() == ["b"]
    assert desk.counts().running == 1


def test_a_cancelled_job_takes_what_it_does_until_it_has_ended():
    desk = Choosers()
    worker, _ = desk.add("b", 2, resources=(("gpu", 1),))
    desk.open(2, wants=GPU)
    (lease,) = desk.s.leases
    desk.tell(e.CancelAsked(1, ((0, 1),)))
    assert desk.told(c.SendLease) == []
    desk.tell(e.RunReported(worker, lease, 0, 1, (0,), 0.1, ended=True))
    assert [order.first for order in desk.told(c.SendLease)] == [1]


def test_amounts_stay_taken_while_a_host_is_silent():
    desk = Choosers()
    desk.add("b", 2, resources=(("gpu", 1),))
    desk.open(2, wants=GPU)
    desk.tell(e.EngineAway("b"))
    desk.tell(e.EngineBack("b"))
    assert desk.at() == ["b"]


def test_behind_a_job_that_takes_nothing_waits_none_that_takes_something():
    desk = Choosers()
    (worker,) = desk.add("b", resources=(("gpu", 1),))
    desk.open(99, wants=Wants(("b",)))
    desk.report(1, 0, 1, worker=worker)
    desk.open(99, segment=2, wants=GPU, priority=1)
    held = [desk.s.leases[number].batch for number in desk.s.pool.workers[worker].leases]
    assert held == [1, 1]


def test_who_takes_something_is_not_kept_waiting_by_a_long_batch_that_takes_nothing():
    desk = Choosers()
    (worker,) = desk.add("b", resources=(("gpu", 1),))
    desk.open(9999, wants=Wants(("b",)))
    desk.report(1, 0, 1, worker=worker)
    desk.open(99, segment=2, wants=GPU)
    for _ in range(2):  # what it holds: nothing of the long batch comes behind that
        lease = desk.s.leases[desk.s.pool.workers[worker].leases[0]]
        desk.report(lease.number, lease.first, lease.stop, worker=worker)
    held = [desk.s.leases[number].batch for number in desk.s.pool.workers[worker].leases]
    assert held[0] == 2


def test_leases_are_sized_for_those_that_can_take_the_jobs():
    desk = Choosers()
    desk.add("b", 40)
    wants = Wants(("a",))
    desk.open(100, wants=wants)
    assert (desk.s.pool.slots(), desk.s.pool.slots(wants), desk.s.pool.slots(GPU)) == (41, 1, 0)


# --- idle workers --------------------------------------------------------------------------------------------


def resting(slots=2, **options):
    """Engine "b", whose workers have left after 5 s without work."""
    desk = Choosers()
    desk.add("b", slots, idle=5.0, **options)
    assert desk.s.next_deadline() == desk.now + 5
    desk.pass_time(5)
    for order in desk.told(c.StopWorker):
        desk.lose(order.worker)
    assert desk.s.pool.of("b") == []
    return desk


def test_idle_workers_leave_after_their_time_and_the_slots_stay():
    desk = resting()
    state = desk.s.snapshot().engines[1]
    assert (state.slots, state.resting, state.state) == (2, 2, "open")
    assert desk.s.next_deadline() is None
    assert desk.pass_time(1000) == []


def test_a_worker_leaves_when_it_has_been_idle_since_its_last_job():
    desk = Choosers()
    (worker,) = desk.add("b", idle=5.0)
    desk.now = 3.0
    desk.open(1, wants=Wants(("b",)))
    assert desk.s.next_deadline() is None
    desk.now = 60.0
    desk.report(1, 0, 1, worker=worker)
    assert desk.s.next_deadline() == 65.0
    desk.pass_time(4.9)
    assert desk.told(c.StopWorker) == []
    desk.pass_time(0.2)
    assert desk.told(c.StopWorker) == [c.StopWorker("b", worker)]


def test_workers_come_back_with_work_as_many_as_there_are_jobs():
    desk = resting(4)
    desk.open(3, wants=Wants(("b",)))
    assert desk.started() == ["b"] * 3
    desk.open(9, segment=2, wants=Wants(("b",)))
    assert desk.started() == ["b"]


@pytest.mark.parametrize(
    ("options", "started"),
    [({"limit": 1}, 1), ({"wants": Wants(("b",), (("gpu", 1),))}, 2), ({"wants": Wants(("a",))}, 0)],
)
def test_no_worker_comes_back_for_jobs_that_it_could_not_run(options, started):
    desk = resting(4, resources=(("gpu", 2),))
    desk.open(1, segment=2, wants=Wants(("a",)))
    desk.open(9, **options)
    assert len(desk.started()) == started


def test_a_paused_batch_wakes_nobody_until_it_is_resumed():
    desk = resting()
    desk.tell(e.BatchOpened(1, "", wants=Wants(("b",))))
    desk.tell(e.PauseAsked(1))
    desk.tell(e.JobsAdded(1, 1, "f1", 3))
    assert desk.started() == []
    desk.tell(e.ResumeAsked(1))
    assert desk.started() == ["b", "b"]


def test_work_that_comes_while_the_last_worker_leaves_has_a_new_one_started():
    desk = Choosers()
    (worker,) = desk.add("b", idle=5.0)
    desk.pass_time(5)
    desk.open(1, wants=Wants(("b",)))
    assert desk.started() == []
    desk.lose(worker)
    assert desk.started() == ["b"]


def test_one_job_that_comes_while_all_workers_leave_wakes_one():
    desk = Choosers()
    workers = desk.add("b", 3, idle=5.0)
    desk.pass_time(5)
    desk.open(1, wants=Wants(("b",)))
    desk.tell(e.TimePassed())
    started = []
    for worker in workers:
        desk.lose(worker)
        started += desk.started()
    assert started == ["b"]
    assert desk.s.pool.engines["b"].resting == 2


def test_an_engine_whose_workers_rest_can_be_scaled():
    desk = resting(4)
    desk.tell(e.EngineScaled("b", 2))
    assert desk.s.pool.engines["b"].resting == 2
    desk.tell(e.EngineScaled("b", 3))
    assert desk.started() == ["b"]


def test_what_waits_behind_a_long_job_goes_to_an_engine_whose_workers_rest():
    desk = resting(1)
    desk.open(1)
    desk.report(1, 0, 1, seconds=0.000001)
    desk.tell(e.JobsAdded(1, 2, "f1", 5))
    assert (desk.at(), desk.counts().queued, desk.started()) == (["a"], 0, [])
    desk.pass_time(60)
    recalled = desk.told(c.RecallLease)
    assert recalled
    assert {order.engine for order in recalled} == {"a"}
    desk.tell(e.LeaseRecalled(1, recalled[0].lease, recalled[0].first + 1))
    assert desk.started() == ["b"]


def test_an_engine_whose_workers_rest_is_removed_at_once():
    desk = resting()
    desk.tell(e.RemovalAsked("b", now=False))
    assert desk.told(c.CloseEngine) == [c.CloseEngine("b")]
