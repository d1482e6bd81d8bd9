"""What stands in the child's line is committed and told in order; what may wait, with what comes next."""

from __future__ import annotations

import contextlib

import pytest

from jupyter_dsage import settings
from jupyter_dsage.child.recorder import Entry, Recorder
from jupyter_dsage.store.journal import Journal

LONG = 1.1 * settings.GROUP_SECONDS
BRIEF = LONG / 10
START = 1000.0


@pytest.fixture(params=["journal", "no journal"])
def recorder(request, tmp_path):
    journal = Journal(str(tmp_path)) if request.param == "journal" else None
    with contextlib.ExitStack() as stack:
        made = Recorder(journal, lambda: None)
        stack.callback(made.close)
        made.end = stack.close
        yield made


@pytest.fixture
def told():
    return []


def put(recorder, told, name, *, patient):
    recorder.put(Entry(0, name.encode(), done=lambda: told.append(name), patient=patient))


def test_what_may_wait_goes_with_the_first_flush_after_its_time(recorder, told):
    for number in range(5):
        put(recorder, told, f"first {number}", patient=True)
    recorder.flush_due(START)  # nothing was told for long
    assert told == [f"first {number}" for number in range(5)]
    put(recorder, told, "a", patient=True)
    recorder.flush_due(START + BRIEF)
    put(recorder, told, "b", patient=True)
    recorder.flush_due(START + 2 * BRIEF)
    assert len(told) == 5
    recorder.flush_due(START + LONG)
    assert told[5:] == ["a", "b"]


def test_what_may_not_wait_takes_along_what_stands_before_it(recorder, told):
    put(recorder, told, "a", patient=True)
    recorder.flush_due(START)
    put(recorder, told, "b", patient=True)
    put(recorder, told, "c", patient=False)
    put(recorder, told, "d", patient=True)
    recorder.flush_due(START + BRIEF)
    assert told == ["a", "b", "c", "d"]
    put(recorder, told, "e", patient=True)
    recorder.flush_due(START + BRIEF)  # the hurry was that of c
    assert told == ["a", "b", "c", "d"]


def test_it_says_when_it_wants_to_be_called_though_nothing_comes(recorder, told):
    assert recorder.next_due() is None
    put(recorder, told, "a", patient=True)
    recorder.flush_due(START)
    assert recorder.next_due() is None
    put(recorder, told, "b", patient=True)
    recorder.flush_due(START + BRIEF)
    assert recorder.next_due() == START + settings.GROUP_LATEST_SECONDS
    recorder.flush_due(recorder.next_due())
    assert told == ["a", "b"]
    assert recorder.next_due() is None


def test_calls_without_anything_in_the_line_put_nothing_off(recorder, told):
    put(recorder, told, "a", patient=True)
    recorder.flush_due(START)
    recorder.flush_due(START + LONG)
    put(recorder, told, "b", patient=True)
    recorder.flush_due(START + LONG + BRIEF)
    assert told == ["a", "b"]


def test_requests_are_counted_as_stored_only_where_there_is_a_journal(recorder, told):
    recorder.put(Entry(7, b"a request", done=lambda: told.append("a")))
    recorder.flush_due(START)
    assert told == ["a"]
    assert recorder.take_stored() == ({7: 1} if recorder.journal else {})


def test_flush_and_close_leave_nothing_in_the_line(recorder, told):
    put(recorder, told, "a", patient=True)
    recorder.flush_due(START)
    put(recorder, told, "b", patient=True)
    recorder.flush_due(START)
    assert told == ["a"]
    recorder.flush()
    assert told == ["a", "b"]
    put(recorder, told, "c", patient=True)
    recorder.end()
    assert told == ["a", "b", "c"]
    assert recorder.idle
