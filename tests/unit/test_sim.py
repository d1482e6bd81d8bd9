"""The scheduler at work in simulated time: how long things take, who is charged, what is told, what it costs."""

from __future__ import annotations

import doctest
import heapq
import random
import time
import tracemalloc

import pytest

from jupyter_dsage import settings
from jupyter_dsage.core import events as e
from jupyter_dsage.core.scheduler import Scheduler
from jupyter_dsage.testing import Sim, clock, sim

START = 0.2
"""Seconds a simulated worker takes to start."""


def constant(seconds):
    return lambda _batch, _job: seconds


def length(*runs):
    return sum(stop - first for first, stop in runs)


def assert_one_attempt_each(batch, but=()):
    wrong = {job: n for job, n in enumerate(batch.attempts) if n != 1 and job not in but}
    assert not wrong, f"attempts: {wrong}; {[(job, batch.story(job)) for job in list(wrong)[:3]]}"


@pytest.mark.parametrize("module", [clock, sim])
def test_its_examples_are_true(module):
    assert doctest.testmod(module).failed == 0


# --- how much it can do ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.001, 0.00001])
def test_a_million_jobs_on_a_hundred_workers(seconds):
    began = time.perf_counter()
    sim = Sim(100, constant(seconds), check=False)
    batch = sim.open(1_000_000)
    sim.run()
    real = time.perf_counter() - began
    assert len(batch.finished) == 1_000_000
    assert_one_attempt_each(batch)
    ideal = 1_000_000 * seconds / 100
    assert sim.clock.now() - START < 1.05 * ideal
    assert sim.events < 160_000
    assert real < 60, f"it took {real:.1f} s"


@pytest.mark.parametrize("count", [4_000, 40_000])
def test_jobs_that_wait_cost_no_memory(count):
    scheduler = Scheduler()
    scheduler.handle(e.BatchOpened(1, "many"), 0.0)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for segment in range(1, 251):
            scheduler.handle(e.JobsAdded(1, segment, "f", count), 0.0)
        growth = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert scheduler.snapshot().batches[0].queued == 250 * count
    assert growth < 200_000, f"{250 * count} waiting jobs take {growth} bytes"


def test_what_failed_jobs_are_charged_with_is_forgotten_when_they_end():
    sim = Sim(20, constant(0.00001), fails=lambda _batch, job, _attempt: job % 2 == 0, check=False)
    batch = sim.open(100_000, retries=1)
    sim.run()
    assert (len(batch.failed), len(batch.finished)) == (50_000, 50_000)
    assert list(batch.attempts) == [2, 1] * 50_000
    inside = sim.scheduler.batches[batch.number]
    assert not inside.failures
    assert not inside.losses


# --- how long it takes -------------------------------------------------------------------------------------


def greedy(durations, slots):
    """Return when a schedule without any overhead ends that takes the jobs in order."""
    free = [0.0] * slots
    for seconds in durations:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def test_ten_jobs_of_an_hour_go_one_by_one():
    sim = Sim(2, constant(3600.0))
    batch = sim.open(10)
    sim.run(until=2 * 3600 + 1)
    assert [runs for _, _, runs in batch.log] == [((0, 1),), ((1, 2),), ((2, 3),), ((3, 4),)]
    sim.run()
    assert batch.ended_at == pytest.approx(5 * 3600 + START, rel=1e-5)
    assert_one_attempt_each(batch)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("jobs", "median", "slots"), [(20_000, 0.002, 16), (2_000, 0.1, 8), (300, 5.0, 20)])
def test_lengths_that_vary_wildly_end_within_5_percent_of_a_schedule_without_overhead(jobs, median, slots, seed):
    draw = random.Random(seed)
    lengths = [median * draw.lognormvariate(0, 1.5) for _ in range(jobs)]
    sim = Sim(slots, lambda _batch, job: lengths[job], check=False)
    batch = sim.open(jobs)
    sim.run()
    assert batch.done
    assert_one_attempt_each(batch)
    assert batch.ended_at - START < 1.05 * greedy(lengths, slots), f"seed {seed}"


@pytest.mark.parametrize("long", [0, 17, 5_000, 9_990, 9_999])
@pytest.mark.parametrize("limit", [None, 2])
def test_nobody_waits_behind_a_long_job_while_a_worker_idles(long, limit):
    sim = Sim(4, lambda _batch, job: 10.0 if job == long else 0.001, check=False)
    batch = sim.open(10_000, limit=limit)
    sim.run()
    others = max(at for at, _, runs in batch.log if runs != ((long, long + 1),))
    busy = (limit or 4) - 1
    assert others - START < 10 / busy + 0.2
    assert batch.ended_at < START + 10 + others
    assert_one_attempt_each(batch)


def test_several_long_jobs_among_short_ones_do_not_add_up():
    long = {1_000, 1_001, 1_003, 4_000, 9_999}
    sim = Sim(8, lambda _batch, job: 5.0 if job in long else 0.001, check=False)
    batch = sim.open(10_000)
    sim.run()
    assert batch.ended_at < START + 5 + 3.5
    assert_one_attempt_each(batch)


def test_a_batch_of_one_does_not_wait_for_a_million():
    sim = Sim(8, constant(0.001), check=False)
    sim.open(1_000_000)
    sim.run(until=1.0)
    one = sim.open(1)
    sim.run(until=2.0)
    assert one.done
    assert one.ended_at - 1.0 < 5 * settings.CHUNK_SECONDS


def test_three_batches_of_different_lengths_of_job_get_equal_shares():
    lengths = {1: 0.0001, 2: 0.003, 3: 0.2}
    sim = Sim(6, lambda batch, _job: lengths[batch], check=False)
    batches = [sim.open(1_000_000 // n) for n in (1, 30, 2000)]
    sim.run(until=20.0)
    seconds = [len(batch.finished) * lengths[batch.number] for batch in batches]
    assert min(seconds) > 0.8 * max(seconds), seconds


# --- what people ask for -----------------------------------------------------------------------------------


def test_a_limit_is_kept_and_can_be_changed():
    sim = Sim(8, constant(0.01))
    batch = sim.open(1_000, limit=2)
    sim.run(until=1.0)
    assert batch.peak == 2
    sim.limit(batch, 5)
    sim.run(until=2.0)
    assert batch.peak == 5
    sim.limit(batch, 1)
    sim.run(until=2.1)
    assert len(batch.running) == 1
    sim.limit(batch, None)
    sim.run()
    assert batch.peak == 8
    assert len(batch.finished) == 1_000
    assert_one_attempt_each(batch)


def test_pause_lets_running_jobs_end_and_resume_goes_on():
    sim = Sim(4, constant(0.05))
    batch = sim.open(1_000)
    sim.run(until=1.0)
    sim.pause(batch)
    sim.run(until=1.2)
    ended = len(batch.told)
    assert not batch.running
    sim.run(until=5.0)
    assert len(batch.told) == ended
    sim.resume(batch)
    sim.run()
    assert len(batch.finished) == 1_000
    assert_one_attempt_each(batch)


def test_cancel_ends_what_waits_at_once_and_what_runs_soon():
    sim = Sim(4, constant(100.0))
    batch, other = sim.open(50), sim.open(2)
    sim.run(until=1.0)
    sim.cancel(batch)
    assert batch.done
    assert len(batch.cancelled) == 50
    sim.run()
    assert sim.clock.now() < 1.1 + 100
    assert len(other.finished) == 2
    assert sum(batch.attempts) <= 4


def test_cancel_of_some_jobs_leaves_their_neighbours_alone():
    sim = Sim(2, constant(0.001))
    batch = sim.open(2_000)
    sim.run(until=START + 0.5)
    told = len(batch.told)
    sim.cancel(batch, (0, 3), (told, told + 20), (1_990, 2_000))
    sim.run()
    assert batch.done
    assert len(batch.cancelled) + len(batch.finished) == 2_000
    assert batch.finished.covers(0, told - 20)
    assert batch.finished.covers(told + 20, 1_990)
    assert_one_attempt_each(batch, but=set(batch.cancelled.numbers()))


def test_retries_are_spent_and_the_last_exception_is_told():
    sim = Sim(3, constant(0.001), fails=lambda _batch, job, attempt: job % 10 == 0 and attempt <= job // 10)
    batch = sim.open(50, retries=2)
    sim.run()
    assert [batch.attempts[job] for job in range(0, 50, 10)] == [1, 2, 3, 3, 3]
    assert list(batch.failed.numbers()) == [30, 40]
    assert len(batch.finished) == 48


def test_retry_by_the_user_runs_only_what_failed():
    sim = Sim(3, constant(0.001), fails=lambda _batch, job, attempt: job % 10 == 0 and attempt == 1)
    batch = sim.open(500)
    sim.run()
    assert len(batch.failed) == 50
    sim.retry(batch)
    assert not batch.done
    sim.run()
    assert len(batch.finished) == 500
    assert_one_attempt_each(batch, but=range(0, 500, 10))
    assert set(batch.attempts[::10]) == {2}


# --- what befalls workers ----------------------------------------------------------------------------------


def test_only_the_job_on_the_page_is_charged_when_a_worker_dies():
    sim = Sim(4, constant(0.001), kills=lambda _batch, job, attempt: job in {100, 777} and attempt == 1)
    batch = sim.open(2_000)
    sim.run()
    assert len(batch.finished) == 2_000
    assert batch.attempts[100] == batch.attempts[777] == 2
    again = [job for job, n in enumerate(batch.attempts) if n > 1 and job not in {100, 777}]
    assert len(again) * 0.001 <= 2 * 1.5 * settings.FLUSH_SECONDS, "only what was not flushed runs again"
    assert sim.started == 6
    assert not sim.scheduler.batches[batch.number].losses


def test_poison_is_lost_after_three_attempts_and_its_neighbours_finish():
    poison = {0, 500, 501, 999}
    sim = Sim(4, constant(0.001), kills=lambda _batch, job, _attempt: job in poison)
    batch = sim.open(1_000)
    sim.run()
    assert set(batch.lost.numbers()) == poison
    assert len(batch.finished) == 996
    assert [batch.attempts[job] for job in sorted(poison)] == [settings.LOSS_ATTEMPTS] * 4
    assert sim.started == 4 + 4 * settings.LOSS_ATTEMPTS
    assert sim.scheduler.snapshot().engines[0].failure is None
    sim.kills = lambda *_: False
    sim.retry(batch)
    sim.run()
    assert len(batch.finished) == 1_000


def test_a_function_that_ends_workers_that_load_it_ends_its_batch_and_neighbours_go_on_at_once():
    sim = Sim(4, constant(0.001), poisons=lambda function: function == "function-1")
    poison, neighbour = sim.open(10_000), sim.open(1_000)
    sim.run()
    assert len(poison.lost) == 10_000
    assert len(neighbour.finished) == 1_000
    assert max(neighbour.attempts) == 1, "no neighbour is charged, none had begun"
    assert sim.started <= 4 + settings.LOSS_ATTEMPTS + 3, "four may load it at once"
    assert sim.clock.now() < 3
    sim.add(poison, 5)
    sim.run()
    assert len(poison.lost) == 10_005
    sim.poisons = lambda _: False
    sim.retry(poison)
    sim.run()
    assert len(poison.finished) == 10_005


def test_jobs_that_kill_their_supervisor_are_lost_and_nobody_else():
    poison = {(1, 0), (1, 3), (1, 4), (1, 150), (2, 70)}
    sim = Sim(
        4,
        lambda batch, job: 0.5 if batch == 2 and job % 10 == 0 else 0.01,
        kills=lambda batch, job, _attempt: (batch, job) in poison,
        ends_all=lambda _batch, _job: True,
    )
    first, second = sim.open(200), sim.open(100)
    sim.run()
    assert {(batch.number, job) for batch in (first, second) for job in batch.lost.numbers()} == poison
    assert len(first.finished) + len(second.finished) == 295
    assert sim.started <= 4 * (1 + len(poison) * settings.LOSS_ATTEMPTS)
    assert not any(batch.suspects for batch in sim.scheduler.batches.values())


def test_a_worker_killed_from_outside_takes_no_outcome_with_it_that_was_told():
    sim = Sim(4, constant(0.001), check=False)
    batch = sim.open(20_000)
    for n in range(10):
        sim.at(0.5 + n / 4, lambda: sim.kill(min(sim.workers)))
    sim.run()
    assert len(batch.finished) == 20_000
    assert sum(batch.attempts) - 20_000 <= 10 * (1 + 1.5 * settings.FLUSH_SECONDS / 0.001)
    assert max(batch.attempts) <= 3


def test_births_that_fail_five_times_fail_the_engine_and_nothing_hangs():
    sim = Sim(2, stillborn=lambda _worker: True)
    batch = sim.open(100)
    sim.run()
    assert sim.started >= settings.BIRTH_ATTEMPTS
    assert len(batch.lost) == 100
    assert sim.scheduler.snapshot().engines[0].failure == f"worker {settings.BIRTH_ATTEMPTS} died"
    sim.add(batch, 3)
    assert len(batch.lost) == 103, "an engine that has failed lets nobody wait"
    late = sim.open(3)
    sim.run()
    assert len(late.lost) == 3, "a new batch is another chance, and no more than that"
    sim.stillborn = lambda _worker: False
    sim.refresh()
    sim.retry(batch)
    sim.run()
    assert len(batch.finished) == 103


def test_back_off_doubles_between_births():
    sim = Sim(1, stillborn=lambda worker: worker < settings.BIRTH_ATTEMPTS)
    batch = sim.open(1)
    sim.run()
    assert len(batch.finished) == 1
    waits = sum(settings.BIRTH_BACKOFF_SECONDS * 2**n for n in range(settings.BIRTH_ATTEMPTS - 1))
    assert batch.ended_at == pytest.approx(settings.BIRTH_ATTEMPTS * START + waits, abs=0.02)


def test_many_that_die_at_birth_at_once_do_not_stop_the_rest():
    sim = Sim(20, constant(0.01), stillborn=lambda worker: worker <= 10)
    batch = sim.open(1_000)
    sim.run()
    assert len(batch.finished) == 1_000
    snapshot = sim.scheduler.snapshot()
    assert snapshot.engines[0].failure is None
    assert [worker.stage for worker in snapshot.workers] == ["ready"] * 20


def test_refresh_replaces_idle_and_busy_workers():
    sim = Sim(3, constant(1.0))
    batch = sim.open(4)
    sim.run(until=1.5)
    before = set(sim.workers)
    sim.refresh()
    sim.run(until=1.5 + START + 0.1)
    assert len(before & set(sim.workers)) == 1, "the busy one finishes first"
    sim.run()
    assert not before & set(sim.workers)
    assert [worker.stage for worker in sim.scheduler.snapshot().workers] == ["ready"] * 3
    assert_one_attempt_each(batch)


def test_a_late_first_outcome_is_taken_and_the_second_attempt_ended():
    sim = Sim(2, constant(2.0))
    batch = sim.open(2)
    sim.run(until=1.0)
    sim.lose(min(sim.workers))
    sim.run()
    assert len(batch.finished) == 2
    assert sorted(batch.attempts) == [1, 2]
    assert batch.ended_at < START + 2.1, "it did not wait for the second attempt"
    assert sim.scheduler.dropped >= 0


def test_late_outcomes_are_taken_once_whatever_comes_first():
    draw = random.Random(5)
    sim = Sim(6, lambda _batch, job: 0.0005 * (1 + job % 7), check=False)
    batch = sim.open(20_000)

    def lose_one():
        if busy := [number for number, worker in sorted(sim.workers.items()) if worker.queue]:
            sim.lose(draw.choice(busy))

    for n in range(30):
        sim.at(START + 0.1 + n * 0.05, lose_one)
    sim.run()
    assert len(batch.finished) == 20_000  # SimBatch raises when a job is told twice
    assert sim.started == 36


@pytest.mark.parametrize("seed", range(12))
def test_everything_at_once(seed):
    draw = random.Random(seed)
    lengths = [draw.expovariate(1 / draw.choice([0.0001, 0.002, 0.05])) for _ in range(3_000)]
    sim = Sim(
        draw.randint(1, 8),
        lambda _batch, job: lengths[job],
        fails=lambda batch, job, attempt: hash((batch, job, attempt)) % 50 == 0,
        kills=lambda batch, job, attempt: hash((batch, job, attempt, 1)) % 400 == 0,
    )
    batches = [
        sim.open(draw.randint(1, 1_000), segment=draw.choice([10, 100, 4096]), retries=draw.randint(0, 2))
        for _ in range(3)
    ]
    for _ in range(20):
        sim.run(until=sim.clock.now() + draw.random() / 5)
        something_happens(sim, draw, draw.choice(batches))
    for batch in batches:
        sim.resume(batch)
        sim.limit(batch, None)
    sim.refresh()
    sim.run()
    assert all(batch.done for batch in batches), sim.scheduler.snapshot()


def something_happens(sim, draw, batch):
    first = draw.randrange(batch.total)
    match draw.choice(["lose", "kill", "cancel", "add", "pause", "resume", "limit", "retry", "refresh"]):
        case "lose" | "kill" as what:
            if sim.workers:
                getattr(sim, what)(draw.choice(sorted(sim.workers)))
        case "cancel":
            sim.cancel(batch, (first, first + draw.randint(1, 30)))
        case "add":
            sim.add(batch, draw.randint(1, 50))
        case "limit":
            sim.limit(batch, draw.choice([None, 1, 3]))
        case "refresh":
            sim.refresh()
        case what:
            getattr(sim, what)(batch)
