"""The scheduler under random events of several hosts: added, opened, failed, silent and back, scaled, removed.

Workers of a silent host live on in the machine: they run, end, die, and what they say waits until the host is back.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from jupyter_dsage import settings
from jupyter_dsage.core import commands as c
from jupyter_dsage.core import events as e
from jupyter_dsage.core.pool import Abilities, Stage
from jupyter_dsage.core.wants import NOTHING, Wants
from tests.unit.test_scheduler_machine import SchedulerMachine, run

ABILITIES = [
    Abilities(),
    Abilities(),
    Abilities(services=frozenset({"s"})),
    Abilities(functions=False, services=frozenset({"s"})),
]
abilities = st.sampled_from(ABILITIES)
WANTS = [
    Wants(resources=(("gpu", 1),)),
    Wants(resources=(("gpu", 2),)),
    Wants(("engine 1", "engine 3")),
    Wants(("engine 2",), (("gpu", 1), ("licence", 1))),
]
RESOURCES = [(), (("gpu", 1),), (("gpu", 2),), (("gpu", 2), ("licence", 1))]


@dataclass
class Host:
    """`state`: connecting, open, away or failed. `outbox`: what its workers said while nobody heard them."""

    name: str
    state: str
    slots: int
    can: Abilities
    resources: dict = field(default_factory=dict)
    outbox: list = field(default_factory=list)
    reopening: bool = False


class HostsMachine(SchedulerMachine):
    def __init__(self):
        super().__init__()
        self.named = 0
        self.hosts: dict[str, Host] = {}
        self.kinds = {}
        """Segment -> the service that it calls."""

    # --- the shell -----------------------------------------------------------------------------------------

    def say(self, worker, event):
        host = self.hosts.get(worker.engine)
        if host is not None and host.state == "away":
            host.outbox.append(event)
        elif host is not None:
            self.heard(event)

    def at_work(self):
        return [worker for worker in self.workers.values() if self.hosts[worker.engine].state != "away"]

    def service(self, count):
        """Mix functions with a service that some engines have, and now and then one that nobody has."""
        kind = "nobody's" if count % 13 == 0 else "s" if count % 3 == 0 else None
        self.kinds[self.segments_made] = kind
        return kind

    def wants(self, count):
        """Have one batch in two want something of its engines, now and then what nobody has."""
        return WANTS[count // 2 % len(WANTS)] if count % 2 else NOTHING

    def carry_out(self, command, event):
        super().carry_out(command, event)
        match command:
            case c.StartWorker(name, _):
                assert self.hosts[name].state == "open"
            case c.SendLease():
                host = self.hosts[self.workers[command.worker].engine]
                assert host.state == "open"
                assert host.can.take(self.kinds[command.segment])
                self.gives_what_it_has(host, self.batches[command.batch].wants)
            case c.ReopenEngine(name):
                assert self.hosts[name].state == "failed"
                self.hosts[name].reopening = True
            case c.CloseEngine(name):
                self.closed(name)

    def gives_what_it_has(self, host, wants):
        """Jobs run where they are wanted, and together take no more than there is: each worker runs one at a time."""
        assert not wants.engines or host.name in wants.engines
        taken = Counter()
        for worker in self.workers.values():
            if worker.engine == host.name and not worker.gone:
                most = Counter()
                for lease in worker.leases:
                    most |= Counter(dict(self.batches[lease.batch].wants.resources))
                taken += most
        assert all(amount <= host.resources.get(name, 0) for name, amount in taken.items())

    def closed(self, name):
        """Hear nothing more of an engine."""
        del self.hosts[name]
        self.workers = {n: worker for n, worker in self.workers.items() if worker.engine != name}
        self.ghosts = [ghost for ghost in self.ghosts if ghost.engine != name]

    def given_up(self, told):
        """Jobs are only given up if each engine that could run them has failed, and none of its workers is left."""
        jobs = {job for run in told.runs for job in range(*run)}
        kinds = {self.kinds[n] for n, (batch, *run) in self.segments.items()
                 if batch.number == told.batch and jobs & set(range(*run))}  # fmt: skip
        (kind,) = kinds
        wants = self.batches[told.batch].wants
        suited = [
            host
            for host in self.hosts.values()
            if (not wants.engines or host.name in wants.engines)
            and all(host.resources.get(name, 0) >= amount for name, amount in wants.resources)
        ]
        able = [host for host in suited if host.state == "failed" or host.can.take(kind)]
        able += [host for host in suited if host.state == "connecting"]
        assert self.hosts
        assert all(self.s.pool.engines[host.name].failure is not None for host in able)
        assert not [worker for worker in self.workers.values() if self.hosts[worker.engine] in able]
        assert (told.story == c.NoEngine(kind, wants)) == (not able)

    # --- hosts ---------------------------------------------------------------------------------------------

    @initialize(
        slots=st.integers(1, 3),
        others=st.lists(abilities, min_size=1, max_size=2),
        retries=st.integers(0, 1),
        resources=st.sampled_from(RESOURCES),
        idle=st.sampled_from([0.0, 0.5]),
    )
    def begin(self, slots, others, retries, resources, idle):
        for can in (Abilities(), *others):
            self.add_host(can, slots, opened=True, resources=resources, idle=idle)
        for number in list(self.workers):
            self.join(number)
        self.open(retries, None, 40)

    @precondition(lambda self: len(self.hosts) < 4)
    @rule(
        can=abilities,
        slots=st.integers(1, 2),
        opened=st.booleans(),
        resources=st.sampled_from(RESOURCES),
        idle=st.sampled_from([0.0, 0.0, 0.05, 2.0]),
    )
    def add_host(self, can, slots, opened, resources=(), idle=0.0):
        self.named += 1
        name = f"engine {self.named}"
        self.hosts[name] = Host(name, "connecting", slots, can, dict(resources))
        self.handle(e.EngineAdded(name, resources, idle))
        if opened:
            self.connected(self.hosts[name], opens=True)

    @rule(event=st.sampled_from([e.RefreshAsked(), e.TimePassed()]))
    def engines_change(self, event):
        """Replace what the base does to engines: here they are hosts."""
        self.handle(event)

    def some(self, data, *states):
        return self.hosts[
            data.draw(st.sampled_from([h.name for h in self.hosts.values() if h.state in states]), "host")
        ]

    @precondition(lambda self: self.has("open"))
    @rule(data=st.data())
    def falls_silent(self, data):
        host = self.some(data, "open")
        host.state = "away"
        self.handle(e.EngineAway(host.name))

    @precondition(lambda self: self.has("away"))
    @rule(data=st.data())
    def comes_back(self, data):
        self.back(self.some(data, "away"))

    @precondition(lambda self: any(self.hosts[w.engine].state == "open" for w in self.busy()))
    @rule(
        data=st.data(),
        elsewhere=st.lists(st.sampled_from([1, 1000, 1000]), max_size=3),
        inside=st.lists(st.sampled_from([1, 1, 1000]), max_size=2),
        returns=st.sampled_from([True, True, False]),
    )
    def is_silent_while_others_work(self, data, elsewhere, inside, returns):
        """What was moved begins, or ends, elsewhere; it goes on, or ends, at the silent host too."""
        for worker in [worker for worker in self.alive() if not worker.joined]:
            self.join(worker.number)
        busy = [w.engine for w in self.busy() if self.hosts[w.engine].state == "open"]
        host = self.hosts[data.draw(st.sampled_from(sorted(set(busy))), "host")]
        host.state = "away"
        self.handle(e.EngineAway(host.name))
        for count in elsewhere:
            for worker in [w for w in self.busy() if w.engine != host.name]:
                self.report(worker, count, (), 0.001)
        for count in inside:
            for worker in [w for w in self.busy() if w.engine == host.name]:
                self.report(worker, count, data.draw(st.just(()) | st.sets(st.integers(0, 40), max_size=9)), 0.001)
        if returns:
            self.back(host)

    is_silent_again = is_silent_while_others_work

    def back(self, host):
        host.state = "open"
        self.handle(e.EngineBack(host.name))
        outbox, host.outbox = host.outbox, []
        for event in outbox:
            if self.hosts.get(host.name) is host:
                self.heard(event)

    @precondition(lambda self: self.has("open", "away"))
    @rule(data=st.data(), opens=st.booleans())
    def is_given_up(self, data, opens):
        """It was silent too long, or was started anew: its workers are lost, and nothing they said is heard."""
        host = self.some(data, "open", "away")
        host.outbox.clear()
        self.ghosts = [ghost for ghost in self.ghosts if ghost.engine != host.name]
        for worker in [worker for worker in self.workers.values() if worker.engine == host.name]:
            if worker.number in self.workers:
                self.heard(e.WorkerLost(worker.number, None, None, "silence"))
        if self.hosts.get(host.name) is host:
            self.connected(host, opens=opens)

    def connected(self, host, *, opens):
        host.state, host.reopening = "open" if opens else "failed", False
        opened = e.EngineOpened(host.name, host.slots, host.can)
        self.handle(opened if opens else e.EngineFailed(host.name, "a reason"))

    def waiting(self):
        return [host for host in self.hosts.values() if host.reopening or host.state == "connecting"]

    @precondition(lambda self: self.waiting())
    @rule(opens=st.booleans())
    def is_reached_or_not(self, opens):
        self.connected(self.waiting()[0], opens=opens)

    @precondition(lambda self: self.has("open"))
    @rule(data=st.data(), slots=st.integers(1, 3))
    def scale(self, data, slots):
        host = self.some(data, "open")
        host.slots = slots
        self.handle(e.EngineScaled(host.name, slots))

    @precondition(lambda self: len(self.hosts) > 1)
    @rule(data=st.data(), now=st.booleans())
    def remove(self, data, now):
        host = self.some(data, "open", "away", "failed", "connecting")
        self.handle(e.RemovalAsked(host.name, now))
        assert not now or host.name not in self.hosts
        if host.name in self.hosts:
            assert host.state == "open", "whoever cannot be asked is let go at once"

    @rule(data=st.data(), seconds=st.sampled_from([0.0, 0.01, 0.3, 3.0]))
    def distance_is_measured(self, data, seconds):
        self.handle(e.LatencyMeasured(data.draw(st.sampled_from([*self.hosts, "none"]), "host"), seconds))

    def has(self, *states):
        return any(host.state in states for host in self.hosts.values())

    # --- always --------------------------------------------------------------------------------------------

    @invariant()
    def hosts_stand_where_the_scheduler_thinks(self):
        assert set(self.s.pool.engines) == set(self.hosts)
        for name, host in self.hosts.items():
            engine = self.s.pool.engines[name]
            assert engine.away == (host.state == "away")
            assert engine.opened == (host.state in {"open", "away"})
            workers = self.s.pool.of(name)
            assert {w.number for w in workers} == {w.number for w in self.workers.values() if w.engine == name}
            staying = [w for w in workers if w.stage in {Stage.STARTING, Stage.READY}]
            assert len(staying) <= engine.slots
            if engine.at_work and not engine.due:
                assert len(workers) >= engine.slots - engine.resting, "a worker that is missing is never started"
            assert 0 <= engine.resting <= (engine.slots if engine.idle else 0)

    def recover(self):
        for host in list(self.hosts.values()):
            if host.state == "away":
                self.back(host)
        self.add_host(Abilities(), 2, opened=True)
        self.handle(e.RefreshAsked())
        for host in self.waiting():
            self.connected(host, opens=True)


@pytest.fixture(autouse=True)
def workers_hold_few_segments(monkeypatch):
    monkeypatch.setattr(settings, "SEGMENTS_HELD", 3)


def test_random_hosts():
    run(250, 50, HostsMachine)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_random_hosts_thoroughly():
    run(5_000, 80, HostsMachine)
