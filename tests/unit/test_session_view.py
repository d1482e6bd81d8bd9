"""Views of a session: at most two a second, only what is new, and within 20 KB whatever there is."""

from __future__ import annotations

import json
import os

import pytest

from jupyter_dsage import settings
from jupyter_dsage.child.session_view import SessionViews
from jupyter_dsage.core import events as e
from jupyter_dsage.core.pool import Abilities
from jupyter_dsage.wire import messages as m
from tests.unit.test_view import PEER, Place, Shell


class Clients(dict):
    """Notes what is sent to whom."""

    def __init__(self):
        super().__init__({PEER: None})
        self.sent = []

    def send(self, peer, message, data):
        assert isinstance(message, m.SessionView)
        self.sent.append((peer, json.loads(data)))


class Here(Place):
    """An engine whose only worker's process is this one."""

    def pid(self, worker):  # noqa: ARG002
        return os.getpid()


def made(shell, here=lambda _: False):
    views = SessionViews(shell.scheduler, shell.views, shell.places, here)
    views.watch(PEER, on=True)
    return views, Clients()


def test_two_a_second_and_only_when_something_is_new():
    shell = Shell()
    views, clients = made(shell)
    views.send(clients, 10.0)
    assert len(clients.sent) == 1
    views.send(clients, 10.4)
    assert views.next_due() == pytest.approx(11.0)  # nothing happened: the next look is for the processes
    views.send(clients, 11.0)
    assert len(clients.sent) == 1
    shell.handle(e.JobsAdded(1, 1, "f", 4))
    assert views.next_due() == pytest.approx(11.5)
    for at in range(400):
        shell.report(lambda _: False, 11 + at / 100)
        views.send(clients, 11 + at / 100)
    assert 2 <= len(clients.sent) <= 9
    assert clients.sent[-1][1]["counts"]["finished"] == 4


def test_who_watches_no_more_or_is_gone_gets_nothing():
    shell = Shell()
    views, clients = made(shell)
    clients.clear()
    views.send(clients, 1.0)
    assert views.next_due() is None
    assert clients.sent == []


def test_the_largest_session_fits_and_says_what_is_left_out():
    shell = Shell(slots=300)
    for number in range(2, 400):
        shell.handle(e.BatchOpened(number, f"a batch with quite a long name, number {number}"))
        shell.views.opened(number, 0.0)
    for number in range(20):
        name = f"dsage://a-host-with-a-long-name-{number}.example.org:12345"
        shell.add(e.EngineOpened(name, 2, Abilities()), Place(f"a-host-with-a-long-name-{number}", "n" * 200))
    shell.handle(e.JobsAdded(1, 1, "f", 30_000))
    views, _ = made(shell)
    data = views.make(1.0)
    assert len(data) <= settings.VIEW_BYTES
    view = json.loads(data)
    assert len(view["workers"]) + view["more_workers"] == 340
    assert len(view["batches"]) + view["more_batches"] == 399
    assert len(view["engines"]) + view["more_engines"] == 21
    assert min(len(view[rows]) for rows in ("workers", "batches", "engines")) >= 8
    assert view["counts"]["running"] == 340
    assert view["counts"]["queued"] == 30_000 - 340


def test_processor_and_memory_of_workers_of_this_host():
    shell = Shell(slots=1)
    shell.places["local"] = Here()
    views, _ = made(shell, here=lambda engine: engine == "local")
    shell.add(e.EngineOpened("dsage://far:1", 1, Abilities()), Place("far"))
    local, far = json.loads(views.make(1.0))["workers"]
    assert (local["cpu"], far["cpu"], far["memory"]) == (None, None, None)
    assert local["memory"] > 1_000_000
    local = json.loads(views.make(2.5))["workers"][0]
    assert local["cpu"] >= 0
