"""The job table moves jobs as its transition table says; what is illegal raises and changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_dsage.core.job_table import JobTable
from jupyter_dsage.core.states import ENDED, MOVES, State
from jupyter_dsage.errors import IllegalMoveError

JOBS = 12
states = st.sampled_from(State)
moves = st.tuples(st.integers(0, JOBS), st.integers(0, JOBS), states, states)


def picture(table):
    return [table.state_of(job) for job in range(table.total)]


@given(st.lists(moves, max_size=40))
def test_it_agrees_with_a_plain_list(story):
    table, model = JobTable(), [State.QUEUED] * JOBS
    assert table.append(JOBS) == 0
    for first, stop, source, target in story:
        legal = (source, target) in MOVES and all(state is source for state in model[first:stop])
        if legal:
            table.move(first, stop, source, target)
            model[first:stop] = [target] * max(0, stop - first)
        else:
            with pytest.raises(IllegalMoveError):
                table.move(first, stop, source, target)
        assert picture(table) == model
    assert {state: table.count(state) for state in State} == {state: model.count(state) for state in State}


@pytest.mark.parametrize("source", State)
@pytest.mark.parametrize("target", State)
def test_each_move_is_in_the_table_or_raises_with_both_states_named(source, target):
    table = JobTable()
    table.append(3)
    table._by_state[State.QUEUED].remove(0, 3)
    table._by_state[source].add(0, 3)
    if (source, target) in MOVES:
        table.move(0, 3, source, target)
        assert picture(table) == [target] * 3
    else:
        with pytest.raises(IllegalMoveError, match=rf"jobs 0-2: no move leads from {source.value} to {target.value}"):
            table.move(0, 3, source, target)
        assert picture(table) == [source] * 3


def test_a_move_of_jobs_in_two_states_moves_none():
    table = JobTable()
    table.append(4)
    table.move(2, 3, State.QUEUED, State.RUNNING)
    with pytest.raises(IllegalMoveError, match="not all of them are queued"):
        table.move(0, 4, State.QUEUED, State.CANCELLED)
    assert table.count(State.QUEUED) == 3


def test_a_value_is_final_and_a_cancel_too():
    out = {move for move in MOVES if move[0] in {State.FINISHED, State.CANCELLED}}
    assert out == {(State.FINISHED, State.LOST)}  # a value that could not be stored was told to nobody
    assert {move for move in MOVES if set(move) <= ENDED} == {*out, (State.FAILED, State.LOST)}


def test_segments_follow_each_other_and_unknown_jobs_are_key_errors():
    table = JobTable()
    assert [table.append(5), table.append(0), table.append(2)] == [0, 5, 5]
    with pytest.raises(KeyError):
        table.state_of(7)
