"""Spares: what they find, how long they may take, and that nothing of them stays."""

from __future__ import annotations

import json
import os
import time

import psutil
import pytest

import jupyter_dsage as dsage
from jupyter_dsage import settings
from jupyter_dsage.testing.fake_session import FakeSession
from jupyter_dsage.wire import messages as m
from tests.process import jobs
from tests.process.operator import Operator
from tests.until import until

SLEEPER = "[__import__('subprocess').run(['sleep', '600'])]"


class Odd:
    """A class whose repr fails, and whose instances travel by value."""

    def __repr__(self):
        raise RuntimeError("no repr")


def sleepers():
    return [p for p in psutil.Process().children(recursive=True) if p.name() == "sleep" and "600" in p.cmdline()]


def described(operator, batch, job):
    answer = operator.ask(lambda ask: m.DescribeJob(ask, batch.number, job))
    assert not answer.failed, answer.text
    return json.loads(answer.text)


def test_an_expression_that_takes_too_long_is_ended_with_what_it_started(monkeypatch):
    monkeypatch.setattr(settings, "SPARE_SECONDS", 1.0)
    with FakeSession() as session:
        batch = session.map(jobs.square, [1], name="one")
        with pytest.raises(dsage.EngineError, match="took more than 1 s, and was given up"):
            batch.add_expression(SLEEPER)
        until(lambda: not sleepers())
        assert batch.add_expression("[2]") == "1 job added"


def test_many_expressions_wait_for_their_turn_and_end_with_the_session(session):
    batch = session.map(jobs.square, [1], name="one")
    with Operator(session.id) as operator:
        for ask in range(100, 100 + settings.SPARES + 3):
            operator.say(m.AddExpression(ask, batch.number, SLEEPER))
        until(lambda: len(sleepers()) == settings.SPARES)
        began = time.monotonic()
        assert batch.results(timeout=20) == [1]
        assert operator.ask(lambda ask: m.LookBatch(ask, batch.number), seconds=5).text
        assert time.monotonic() - began < 5
    session.die()
    until(lambda: not sleepers())


def test_ends_are_read_in_the_journal_the_newest_first(session, tmp_path):
    crash = session.scatter(jobs.kill_once, [((str(tmp_path), 0, 0), {})], name="crash")
    services = session.scatter("/all_series", [([10], {"distribution": "none"})], name="service")
    odd = session.map(type, [Odd()], name="odd")
    exits = session.map(os._exit, [3], name="exits", at_most_once=True)
    for batch in (crash, services, odd, exits):
        batch.wait(30)
    with Operator(session.id) as operator:
        assert described(operator, crash, 0)["attempt"] == 2
        told = described(operator, services, 0)
        assert told["state"] == "failed"
        assert "none" in told["args"]
        assert described(operator, odd, 0)["state"] == "finished"
        told = described(operator, exits, 0)
        assert (told["state"], told["attempt"]) == ("lost", 1)
        assert told["error"].startswith("WorkerLost: Job 0 of batch 'exits' took its worker with it once")
        assert operator.ask(lambda ask: m.DescribeJob(ask, 999, 0)).missing


def test_without_a_journal_what_is_known_is_told():
    with dsage.spawn("local:?slots=1", journal=False) as session:
        batch = session.map(len, [3, [1]], name="plain")
        batch.wait(20)

        def ask(job):
            return json.loads(session._ask(lambda ask: m.DescribeJob(ask, batch.number, job)).result(20))

        assert (ask(0)["state"], ask(0)["error"]) == ("failed", "TypeError: object of type 'int' has no len()")
        assert (ask(1)["state"], ask(1)["output"]) == ("finished", None)
