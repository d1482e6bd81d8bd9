"""One batch over hosts of different speed and distance, in simulated time; links that are cut and mended at random."""

from __future__ import annotations

import random

import pytest

from jupyter_dsage import settings
from jupyter_dsage.core.pool import Abilities
from jupyter_dsage.testing import Sim

START = 0.2
"""Seconds a simulated worker takes to start."""


def mixed(jobs, seconds, *, slow=4.0, near=2, far=2, latency=None):
    """Run a batch over `near` workers and `far` ones that are `slow` times slower; return the sim and the batch."""
    sim = Sim(near, lambda _batch, _job: seconds, check=False)
    sim.host("far", far, slowness=slow, latency=latency)
    sim.run(until=2.0)
    batch = sim.open(jobs)
    sim.run()
    assert len(batch.finished) == jobs
    return sim, batch


def took(batch):
    return batch.ended_at - 2.0


# --- shares ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("jobs", "seconds"), [(400_000, 0.0001), (20_000, 0.002), (2_000, 0.02), (500, 0.5)])
@pytest.mark.parametrize("slow", [2.0, 4.0, 10.0])
def test_two_fast_and_two_slow_workers_end_within_10_percent_of_the_ideal(jobs, seconds, slow):
    _, batch = mixed(jobs, seconds, slow=slow)
    ideal = jobs * seconds / (2 + 2 / slow)
    assert took(batch) < 1.1 * ideal + slow * seconds, f"{took(batch) / ideal:.3f} of the ideal"


def test_a_hundred_slow_workers_and_two_fast_ones():
    _, batch = mixed(50_000, 0.005, far=100)
    assert took(batch) < 1.1 * 250 / (2 + 100 / 4)


@pytest.mark.parametrize("slots", [1, 4])
def test_an_engine_300_ms_away_is_busy_85_percent_of_the_time(slots):
    sim = Sim(0, check=False)
    sim.host("far", slots, latency=0.15)
    sim.run(until=2.0)
    batch = sim.open(30_000 * slots)
    sim.run()
    assert 30.0 / took(batch) > 0.85, f"{30 / took(batch):.3f}"
    assert set(batch.attempts) == {1}


def test_near_and_far_workers_share_short_jobs():
    _, batch = mixed(40_000, 0.001, slow=1.0, latency=0.15)
    assert took(batch) < 1.15 * 10.0, f"{took(batch):.2f} s instead of 10"


def test_a_far_engine_does_not_slow_down_what_near_ones_can_do_alone():
    _, batch = mixed(200, 0.001, slow=1.0, latency=0.15)
    assert took(batch) < 0.8, "a few round trips at most"


# --- what befalls links ------------------------------------------------------------------------------------


def test_a_short_silence_moves_nothing_and_runs_nothing_twice():
    sim = Sim(2, lambda _batch, _job: 0.01)
    host = sim.host("far", 2)
    batch = sim.open(2_000)
    sim.at(3.0, host.cut)
    sim.at(3.0 + settings.AWAY_SECONDS / 2, host.mend)
    sim.run()
    assert len(batch.finished) == 2_000
    assert set(batch.attempts) == {1}
    assert sim.scheduler.dropped == 0


def test_a_long_silence_moves_jobs_and_what_was_done_meanwhile_is_not_told_twice():
    sim = Sim(2, lambda _batch, _job: 0.05)
    host = sim.host("far", 2)
    batch = sim.open(2_000)
    sim.at(3.0, host.cut)
    sim.at(40.0, host.mend)
    sim.run()
    assert len(batch.finished) == 2_000
    again = sum(batch.attempts) - 2_000
    assert again == sim.scheduler.dropped > 0
    assert again <= 8, "no more than the leases that were out"
    assert batch.ended_at < START + 3 + 37 + (2_000 - 40 * 20 * 2 - 3 * 20 * 2) * 0.05 / 4 + 2


def test_a_host_that_is_back_ends_what_was_done_elsewhere():
    sim = Sim(1, lambda _batch, _job: 30.0)
    host = sim.host("far", 1, slowness=100.0)
    batch = sim.open(2)
    sim.at(1.0, host.cut)
    sim.at(70.0, host.mend)
    sim.run(until=80.0)
    assert len(batch.finished) == 2
    assert not batch.running, "the attempt of 3,000 s was ended"


def test_a_host_that_never_comes_back_costs_its_leases_and_no_more():
    sim = Sim(2, lambda _batch, _job: 0.05)
    batch = sim.open(400)
    host = sim.host("far", 2)
    sim.at(1.0, host.cut)
    sim.at(30.0, sim.remove, host)
    sim.run()
    assert len(batch.finished) == 400
    assert not sim.scheduler.batches[1].losses
    assert list(sim.hosts) == ["sim:"]


def test_a_server_started_anew_gets_new_workers():
    sim = Sim(1, lambda _batch, _job: 0.05)
    batch = sim.open(400)
    host = sim.host("far", 3)
    sim.at(2.0, host.restart)
    sim.run()
    assert len(batch.finished) == 400
    assert sim.started == 7
    assert not sim.scheduler.batches[1].losses


# --- at random ---------------------------------------------------------------------------------------------


def something_happens(sim, draw, hosts):
    """Let one thing befall one host."""
    host = draw.choice(hosts)
    match draw.choice(["cut", "cut", "cut", "mend", "mend", "scale", "kill", "restart", "remove"]):
        case "scale":
            if not host.down:
                sim.scale(host, draw.randint(1, 3))
        case "kill":
            if workers := [n for n, worker in sim.workers.items() if worker.host is host and worker.alive]:
                sim.kill(draw.choice(workers))
        case "remove":
            if len(hosts) > 1:
                hosts.remove(host)
                sim.remove(host, now=draw.choice([True, False]))
        case what:
            getattr(host, what)()


@pytest.mark.parametrize("ten", range(30))
def test_whatever_befalls_hosts_nothing_is_lost_and_nothing_is_told_twice(ten, monkeypatch):
    """Ten seeds each: `SimBatch` raises for a job that is told twice, `Sim` checks every invariant."""
    monkeypatch.setattr(settings, "AWAY_SECONDS", 0.3)
    for seed in range(10 * ten, 10 * ten + 10):
        draw = random.Random(seed)
        lengths = [draw.expovariate(1 / draw.choice([0.001, 0.02, 0.3])) for _ in range(120)]
        sim = Sim(draw.randint(0, 2), lambda _batch, job, lengths=lengths: lengths[job])
        hosts = [
            sim.host(f"host {n}", draw.randint(1, 2), slowness=draw.choice([0.5, 1, 5]), latency=draw.random() / 10)
            for n in range(draw.randint(1, 3))
        ]
        batch = sim.open(120, segment=draw.choice([7, 40, 4096]))
        for _ in range(12):
            sim.run(until=sim.clock.now() + draw.expovariate(5))
            something_happens(sim, draw, hosts)
        for host in list(sim.hosts.values()):
            host.mend()
        sim.run()
        assert len(batch.finished) == 120, f"seed {seed}: {sim.scheduler.snapshot()}"


@pytest.mark.parametrize("seed", range(20))
def test_services_and_functions_over_hosts_that_come_and_go(seed, monkeypatch):
    monkeypatch.setattr(settings, "AWAY_SECONDS", 0.3)
    draw = random.Random(seed)
    sim = Sim(1, lambda _batch, job: 0.002 * (1 + job % 5))
    both = Abilities(services=frozenset({"s"}))
    caller = Abilities(functions=False, services=frozenset({"s"}))
    hosts = [sim.host("both", 1, can=both), sim.host("caller", 2, can=caller, latency=0.05)]
    batch = sim.open()
    for n in range(12):
        sim.add(batch, 20, service="s" if n % 2 else None)
    for _ in range(8):
        sim.run(until=sim.clock.now() + draw.expovariate(10))
        getattr(draw.choice(hosts), draw.choice(["cut", "mend"]))()
    for host in hosts:
        host.mend()
    sim.run()
    assert len(batch.finished) == 240
