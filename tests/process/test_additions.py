"""*Add jobs*: somebody who is no kernel brings jobs, and both sides number them alike, whatever the kernel does."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import pytest

import jupyter_dsage as dsage
from jupyter_dsage.wire import messages as m
from tests.process import jobs
from tests.process.operator import Operator
from tests.process.scripts import Client
from tests.until import until


def slow(x):
    time.sleep(0.01)
    return x


@pytest.fixture(autouse=True)
def own_sessions(tmp_path, monkeypatch, nothing_left):  # noqa: ARG001
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    yield
    for info in dsage.sessions():
        if info.alive:
            dsage.attach(info.id, look=True).die()


def counts(operator, number):
    view = json.loads(operator.ask(lambda ask: m.LookBatch(ask, number)).text)
    return view["batch"]["counts"]


# --- the kernel is there -------------------------------------------------------------------------------------


def test_names_of_the_function_are_known_and_results_stand_at_their_index(session):
    captured = 7
    batch = session.map(lambda x: (x, captured), range(3), name="grown")
    assert batch.add_expression("range(captured, captured + 2)") == "2 jobs added"
    assert batch.results(timeout=20) == [(x, 7) for x in (0, 1, 2, 7, 8)]
    pairs = session.scatter(jobs.square, [((2,), {})], name="pairs")
    assert pairs.add_expression("[((3,), {}), (4,), 5]") == "3 jobs added"
    assert pairs.results(timeout=20) == [4, 9, 16, 25]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1/0", "ZeroDivisionError: division by zero"),
        ("3", "TypeError: 'int' object is not iterable"),
        ("[x for x in", "SyntaxError"),
        ("[lambda: 1, __import__('threading').Lock()]", "cannot pickle|cannot be pickled"),
        ("__import__('os')._exit(3)", "ended without an answer"),
        ("__import__('itertools').count()", "more than 1,000,000 jobs"),
    ],
)
def test_what_is_wrong_with_an_expression_is_told_and_nothing_is_added(session, text, sentence):
    batch = session.map(jobs.square, [1], name="one")
    with pytest.raises(dsage.EngineError, match=sentence):
        batch.add_expression(text)
    assert batch.results(timeout=20) == [1]


def test_who_adds_at_the_same_time_counts_alike(session):
    batch = session.map(jobs.square, [], name="both")
    stop = threading.Event()

    def add_from_here():
        for at in range(200):
            batch.add(range(at * 10, at * 10 + 10))
        stop.set()

    thread = threading.Thread(target=add_from_here)
    thread.start()
    added = 0
    with Operator(session.id) as operator:
        while not stop.is_set() or added < 20:
            assert operator.add(batch.number, f"range({-added - 5}, {-added})") == "5 jobs added"
            added += 5
        thread.join()
        assert batch.wait(30)
        total = len(batch)
        assert total == 2000 + added
        until(lambda: counts(operator, batch.number)["finished"] == total)
        details = [operator.ask(lambda ask, job=job: m.DescribeJob(ask, batch.number, job)) for job in (0, total - 1)]
    values = batch.results()
    assert [value for value in values if value in {x * x for x in range(2000)}] != []
    assert sorted(values) == sorted([x * x for x in range(2000)] + [x * x for x in range(1, added + 1)])
    assert [json.loads(detail.text)["state"] for detail in details] == ["finished", "finished"]


def test_jobs_that_have_a_number_keep_it(session, tmp_path):
    """A list is being drawn: its jobs are numbered, though not sent, and what is added comes behind them."""
    gate = tmp_path / "gate"
    batch = session.scatter(jobs.wait_for, [((str(gate), "x" * 4_000_000), {})] * 40, name="drawn")
    last = batch[39]
    with Operator(session.id) as operator:
        operator.say(m.AddExpression(1, batch.number, f"[({str(gate)!r}, 'added')] * 2"))
        gate.touch()
        assert last.result(30) == "x" * 4_000_000
        until(lambda: len(batch) == 42)
    assert batch.wait(30)
    assert [batch[at].result() for at in (40, 41)] == ["added", "added"]


def test_a_batch_that_is_drawn_for_ever_can_be_added_to(session):
    def for_ever():
        number = 0
        while True:
            yield number
            number += 1

    batch = session.map(slow, for_ever(), name="endless")
    until(lambda: batch.counts["finished"] > 10)
    with Operator(session.id) as operator:
        assert operator.add(batch.number, "[-1] * 3") == "3 jobs added"
    until(lambda: sum(job.done() and job.result() == -1 for job in batch) == 3)
    batch.cancel()


# --- the kernel is busy, stopped, dead -----------------------------------------------------------------------


SPAWNED = """
session = dsage.spawn("local:?slots=1", name="owned", on_kernel_exit="stay")
batch = session.map(jobs.square, range(4), name="squares")
batch.wait(20)
print(session.id, batch.number, session.pid, flush=True)
"""


def test_a_busy_kernel_numbers_what_is_added(tmp_path):
    out = tmp_path / "out"
    busy = f"""
    import time
    end = time.monotonic() + 60
    while time.monotonic() < end and len(batch) < 7:
        pass
    batch.add([10])
    open({str(out)!r}, "w").write(repr(batch.results(timeout=20)))
    """
    with Client(SPAWNED.replace("\n", "\n    ") + busy) as client, Operator(client.words[0]) as operator:
        assert operator.add(int(client.words[1]), "range(4, 7)") == "3 jobs added"
        until(out.exists)
        until(lambda: out.read_text() == repr([x * x for x in (*range(7), 10)]))


@pytest.mark.parametrize("then", ["goes on", "is killed"])
def test_a_stopped_kernel_numbers_later_or_the_child_does(then):
    with Client(SPAWNED) as client, Operator(client.words[0]) as operator:
        number = int(client.words[1])
        os.kill(client.process.pid, signal.SIGSTOP)
        assert operator.add(number, "range(4, 7)").startswith("3 jobs are ready; the kernel")
        assert counts(operator, number)["finished"] == 4
        if then == "is killed":
            client.kill()
        else:
            os.kill(client.process.pid, signal.SIGCONT)
        until(lambda: counts(operator, number)["finished"] == 7)
        assert operator.add(number, "[7]") == "1 job added"
        client.kill()
        session = dsage.attach("owned")
        assert session.batches["squares"].results(timeout=20) == [x * x for x in range(8)]
        session.die()


def test_a_child_that_follows_waits_for_the_kernel_that_comes_back():
    """Its kernel is stopped when the child is killed: the next child must not number what the kernel may number."""
    with Client(SPAWNED) as client:
        number, child = int(client.words[1]), int(client.words[2])
        os.kill(client.process.pid, signal.SIGSTOP)
        os.kill(child, signal.SIGKILL)
        looking = dsage.attach("owned", look=True)  # it revives
        with Operator(client.words[0]) as operator:
            assert operator.add(number, "range(4, 7)").startswith("3 jobs are ready; the kernel")
            assert counts(operator, number)["finished"] == 4
            os.kill(client.process.pid, signal.SIGCONT)
            until(lambda: counts(operator, number)["finished"] == 7)
            assert operator.add(number, "[7]") == "1 job added"
        client.kill()
        looking.detach()
        session = dsage.attach("owned")
        assert session.batches["squares"].results(timeout=20) == [x * x for x in range(8)]
        session.die()


# --- the role ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "frames"),
    [
        (m.OpenBatch(77, "x", 0, None), ()),
        (m.Function("f"), (b"pickle",)),
        (m.Service("service:/x", "/x"), ()),
        (m.AddJobs(1, "f", 1), (b"pickle",)),
        (m.SkipJobs(1, 1), ()),
        (m.Cancel(1, None), ()),
        (m.Sync(), ()),
        (m.Adopt(1, 1), ()),
        (m.Settle(1), ()),
        (m.Expect(1, 10, drawing=True), ()),
    ],
    ids=lambda part: type(part).__name__ if isinstance(part, m.Message) else "",
)
def test_an_operator_has_no_other_words(session, message, frames):
    with Operator(session.id) as operator:
        operator.say(message, *frames)
        refused = operator.hear()
        assert isinstance(refused, m.Refused)
        assert refused.reason.startswith(f"An operator has no {type(message).__name__} message")
        operator.say(m.Hello(3, "", "", 1))
        assert operator.hear() == m.Refused("A client says hello once.")
        assert "there is nothing" in operator.ask(lambda ask: m.Order(ask, "cancel")).text
    assert session.map(jobs.square, [2]).results(timeout=20) == [4]


def test_an_operator_is_none_of_those_for_whom_the_child_stays():
    spawned = "session = dsage.spawn('local:?slots=1'); print(session.id)"
    with Client(spawned) as client, Operator(client.words[0]) as operator:
        answer = operator.ask(lambda ask: m.Order(ask, "explode"))
        assert answer.failed
        assert answer.text == "There is no order 'explode'; there is pause, resume, cancel, retry."
        client.kill()
        until(lambda: isinstance(operator.hear(), m.Leaving))
