"""Views: at most five a second, at most 20 KB, whatever the batch and however many workers there are."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from jupyter_dsage import settings
from jupyter_dsage.child.looks import Edits
from jupyter_dsage.child.view import Views
from jupyter_dsage.core import commands as c
from jupyter_dsage.core import events as e
from jupyter_dsage.core.pool import Abilities
from jupyter_dsage.core.scheduler import Scheduler
from jupyter_dsage.wire import messages as m

PEER = b"somebody"


@dataclass
class Place:
    """What a view asks an engine for."""

    host: str = ""
    note: str = ""

    def pid(self, worker):
        return 1000 + worker


class Shell:
    """What the child's loop does with scheduler and views, without sockets."""

    def __init__(self, slots=2):
        self.scheduler = Scheduler()
        self.places = {}
        self.views = Views(self.scheduler, ("id", "session"), self.places, Edits(self.scheduler))
        self.leases = []
        self.add(e.EngineOpened("local", slots), Place("here"))
        self.handle(e.BatchOpened(1, "b" * 200))
        self.views.opened(1, 0.0)
        self.views.watch(m.Watch(1, on=True), PEER)

    def add(self, event, place):
        """Add an engine, all of its workers at work."""
        self.places[event.engine] = place
        self.handle(event)
        for worker in list(self.scheduler.pool.starting):
            self.handle(e.WorkerJoined(worker))

    def handle(self, event, now=0.0):
        for order in self.scheduler.handle(event, now):
            if isinstance(order, c.SendLease):
                self.leases.append(order)
                self.views.leased(order.worker, now)
            elif isinstance(order, c.TellOutcomes):
                self.views.told(event.worker, order.batch, order.runs, order.failed)
        self.views.changed()

    def report(self, fails, now, error="E: " + "x" * 240):
        """Have every lease that is out end, with the failures that `fails` names."""
        out, self.leases = self.leases, []
        for lease in out:
            failed = tuple(job for job in range(lease.first, lease.stop) if fails(job))
            report = m.Report(
                lease.lease, lease.first, lease.stop, failed, (error,) * len(failed[:20]), 0.001, ended=True
            )
            self.views.reported(lease.worker, 1, report, now)
            told = (lease.worker, lease.lease, lease.first, lease.stop, failed, 0.001)
            self.handle(e.RunReported(*told, ended=True), now)

    def view(self, now=1.0):
        data = self.views.make(1, now)
        assert len(data) <= settings.VIEW_BYTES
        return json.loads(data)

    def engine(self, name, now=1.0):
        [found] = [engine for engine in self.view(now)["engines"] if engine["name"] == name]
        return found


def story(ending, output=""):
    return m.Story(0, "somewhere", 0, ending, 0.0, 0, output)


def test_first_view_is_due_at_once_and_the_next_a_fifth_of_a_second_later():
    shell = Shell()
    assert len(shell.views.due(10.0)) == 1
    assert shell.views.due(10.0) == []
    shell.views.changed()
    assert shell.views.due(10.19) == []
    assert shell.views.next_due() == pytest.approx(10.2)
    assert len(shell.views.due(10.2)) == 1


def test_five_a_second_however_much_happens():
    shell = Shell()
    shell.handle(e.JobsAdded(1, 1, "f", 100_000))
    sent = 0
    for millisecond in range(2000):
        shell.report(lambda _: False, millisecond / 1000)
        sent += len(shell.views.due(millisecond / 1000))
    assert sent <= 10


def test_nothing_is_sent_when_a_batch_has_ended_and_nothing_happens():
    shell = Shell()
    shell.handle(e.JobsAdded(1, 1, "f", 2))
    while shell.leases:
        shell.report(lambda _: False, 1.0)
    assert len(shell.views.due(2.0)) == 1
    assert shell.views.due(3.0) == []
    assert shell.views.next_due() is None


def test_nothing_is_sent_when_nobody_watches():
    shell = Shell()
    shell.views.watch(m.Watch(1, on=False), PEER)
    assert shell.views.due(5.0) == []
    shell.views.watch(m.Watch(1, on=True), PEER)
    shell.views.forget(PEER)
    assert shell.views.due(6.0) == []


def test_the_worst_batch_on_many_workers_fits():
    shell = Shell(slots=300)
    shell.handle(e.JobsAdded(1, 1, "f", 30_000))
    now = 0.0
    while shell.leases:
        now += 0.01
        shell.report(lambda job: job % 3 == 1, now)
    view = shell.view(now)
    assert view["failures"]["total"] == 10_000
    assert len(view["failures"]["rows"]) == settings.FAILURES_SHOWN
    assert view["more_workers"] + len(view["workers"]) == 300


def test_a_million_waiting_jobs_fit_and_say_so():
    shell = Shell()
    shell.views.expect(m.Expect(1, 1_000_000, drawing=True))
    shell.handle(e.JobsAdded(1, 1, "f", 4096))
    view = shell.view()
    assert view["batch"]["total"] == 1_000_000
    assert view["batch"]["drawing"] is True
    assert view["batch"]["counts"]["queued"] == 999_998
    assert view["batch"]["counts"]["running"] == 2
    assert view["grid"]["per"] == 100


# --- engines -------------------------------------------------------------------------------------------------


def test_an_engine_is_shown_with_its_host_state_slots_and_its_part_of_the_batch():
    shell = Shell()
    shell.add(e.EngineOpened("dsage://far:1", 1, Abilities(interrupt=False)), Place("far", "a note"))
    shell.handle(e.JobsAdded(1, 1, "f", 3))
    far = {lease.worker for lease in shell.leases} & {w.number for w in shell.scheduler.pool.of("dsage://far:1")}
    assert len(far) == 1
    assert shell.engine("dsage://far:1") == {
        "name": "dsage://far:1",
        "host": "far",
        "state": "open",
        "slots": 1,
        "workers": 1,
        "running": 1,
        "finished": 0,
        "failed": 0,
        "note": "a note",
        "cannot": ["interrupt"],
    }
    shell.report(lambda job: job == 0, 1.0)
    assert shell.engine("local")["cannot"] == []
    for part in ("finished", "failed"):
        assert sum(engine[part] for engine in shell.view()["engines"]) == {"finished": 2, "failed": 1}[part]
    assert shell.engine("dsage://far:1")["running"] == 0


def test_each_worker_says_whose_it_is_and_its_engine_without_the_scheme_is_in_its_name():
    shell = Shell()
    shell.add(e.EngineOpened("dsage://far:1", 1), Place("far"))
    shown = [(worker["name"], worker["engine"]) for worker in shell.view()["workers"]]
    assert shown == [("local/1", "local"), ("local/2", "local"), ("far:1/3", "dsage://far:1")]


@pytest.mark.parametrize("lack", ["interrupt", "functions", "scale"])
def test_what_an_engine_cannot_do_is_said(lack):
    shell = Shell()
    shell.add(e.EngineOpened("dsage://far:1", 1, Abilities(**{lack: False})), Place())
    assert shell.engine("dsage://far:1")["cannot"] == [lack]


def test_an_engine_that_is_being_connected_to_away_failed_or_leaving_says_so():
    shell = Shell()
    place = Place("far", "dialling")
    shell.add(e.EngineAdded("dsage://far:1"), place)
    assert shell.engine("dsage://far:1")["state"] == "connecting"
    assert shell.engine("dsage://far:1")["note"] == "dialling"
    shell.add(e.EngineOpened("dsage://far:1", 1), place)
    shell.handle(e.EngineAway("dsage://far:1"))
    assert shell.engine("dsage://far:1")["state"] == "away"
    shell.handle(e.EngineBack("dsage://far:1"))
    assert shell.engine("dsage://far:1")["state"] == "open"
    shell.handle(e.WorkerLost(3, None, None, story("the end")))
    shell.handle(e.EngineFailed("dsage://far:1", story("it cannot be reached")))
    assert shell.engine("dsage://far:1")["state"] == "failed"
    assert shell.engine("dsage://far:1")["note"] == "it cannot be reached"
    assert shell.view()["session"]["note"] == "dsage://far:1: it cannot be reached"
    shell.handle(e.JobsAdded(1, 1, "f", 2))
    shell.handle(e.RemovalAsked("local", now=False))
    assert shell.engine("local")["state"] == "leaving"


def test_what_was_cancelled_while_it_ran_counts_at_no_engine():
    shell = Shell()
    shell.handle(e.JobsAdded(1, 1, "f", 2))
    shell.handle(e.CancelAsked(1))
    shell.report(lambda _job: True, 0.5)  # the interrupted jobs are reported as failed
    [engine] = shell.view()["engines"]
    assert (engine["finished"], engine["failed"]) == (0, 0)
    assert shell.view()["batch"]["counts"]["cancelled"] == 2


def test_64_engines_with_long_names_and_notes_fit_and_those_in_trouble_are_shown():
    shell = Shell(slots=16)
    long = "n" * 250
    for number in range(64):
        name = f"dsage://{long}{number}:12345"
        shell.add(e.EngineOpened(name, 1), Place(long, "note " * 1000))
    sick = f"dsage://{long}63:12345"
    [worker] = shell.scheduler.pool.of(sick)
    shell.handle(e.WorkerLost(worker.number, None, None, story("the end")))
    shell.handle(e.EngineFailed(sick, story("x" * 10_000)))
    shell.handle(e.JobsAdded(1, 1, "f", 100_000))
    now = 0.0
    while shell.leases:
        now += 0.01
        shell.report(lambda job: job % 3 == 1, now)
    view = shell.view(now)
    assert len(view["engines"]) + view["more_engines"] == 65
    assert 1 <= len(view["engines"]) <= settings.ENGINES_SHOWN
    assert view["workers"] or view["more_workers"]


def test_engines_in_trouble_are_shown_before_those_that_are_well():
    shell = Shell()
    for number in range(40):
        shell.add(e.EngineAdded(f"dsage://far:{number}") if number == 39 else e.EngineOpened(f"e{number}", 1), Place())
    view = shell.view()
    names = [engine["name"] for engine in view["engines"]]
    assert names == ["local", *(f"e{number}" for number in range(settings.ENGINES_SHOWN - 2)), "dsage://far:39"]
    assert view["more_engines"] == 41 - settings.ENGINES_SHOWN


def test_errors_in_wide_characters_fit():
    shell = Shell()
    shell.handle(e.JobsAdded(1, 1, "f", 30_000))
    now = 0.0
    while shell.leases:
        now += 0.01
        shell.report(lambda job: job % 3 == 1, now, error="\N{SNAKE}" * 250)
    view = shell.view(now)
    assert view["failures"]["total"] == 10_000
    assert view["failures"]["rows"]
