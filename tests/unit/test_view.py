"""Views: at most five a second, at most 20 KB, whatever the batch and however many workers there are."""

from __future__ import annotations

import json

import pytest

from jupyter_dsage import settings
from jupyter_dsage.child.view import Views
from jupyter_dsage.core import commands as c
from jupyter_dsage.core import events as e
from jupyter_dsage.core.scheduler import Scheduler
from jupyter_dsage.wire import messages as m

PEER = b"somebody"


class Shell:
    """What the child's loop does with scheduler and views, without sockets."""

    def __init__(self, slots=2):
        self.scheduler = Scheduler()
        self.views = Views(self.scheduler, "session")
        self.leases = []
        self.handle(e.EngineOpened("local", slots))
        for worker in list(self.scheduler.pool.workers):
            self.views.joined(worker, 1000 + worker)
            self.handle(e.WorkerJoined(worker))
        self.handle(e.BatchOpened(1, "b" * 200))
        self.views.opened(1, 0.0)
        self.views.watch(m.Watch(1, on=True), PEER)

    def handle(self, event, now=0.0):
        for order in self.scheduler.handle(event, now):
            if isinstance(order, c.SendLease):
                self.leases.append(order)
                self.views.leased(order.worker, now)
        self.views.changed()

    def report(self, fails, now):
        """Have every lease that is out end, with the failures that `fails` names."""
        out, self.leases = self.leases, []
        for lease in out:
            failed = tuple(job for job in range(lease.first, lease.stop) if fails(job))
            report = m.Report(
                lease.lease, lease.first, lease.stop, failed, ("E: " + "x" * 240,) * len(failed[:20]), 0.001, ended=True
            )
            self.views.reported(lease.worker, 1, report, now)
            told = (lease.worker, lease.lease, lease.first, lease.stop, failed, 0.001)
            self.handle(e.RunReported(*told, ended=True), now)

    def view(self, now=1.0):
        data = self.views.make(1, now)
        assert len(data) <= settings.VIEW_BYTES
        return json.loads(data)


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
