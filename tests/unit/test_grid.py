"""The grid: a run-length string of cells that says the same as the job table, folded where jobs are many."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from jupyter_dsage.core.job_table import JobTable
from jupyter_dsage.core.snapshot import grid
from jupyter_dsage.core.states import State

NEXT = {
    "Q": [],
    "R": [State.RUNNING],
    "F": [State.RUNNING, State.FINISHED],
    "X": [State.RUNNING, State.FAILED],
    "L": [State.RUNNING, State.LOST],
    "C": [State.CANCELLED],
}


def table(letters):
    jobs = JobTable()
    jobs.append(len(letters))
    for number, letter in enumerate(letters):
        at = State.QUEUED
        for state in NEXT[letter]:
            jobs.move(number, number + 1, at, state)
            at = state
    return jobs


def unfold(text):
    return "".join(letter * int(count) for letter, count in re.findall(r"([A-Za-z])(\d+)", text))


def cell(letters):
    """What a cell shows, said plainly."""
    for letter in "XLR":
        if letter in letters:
            return letter
    if "Q" not in letters:
        return "F" if "F" in letters else "C"
    tenths = 10 * letters.count("F") // len(letters)
    return "Qabcdefghi"[tenths]


@given(st.text("QRFXLC", max_size=60), st.integers(0, 10))
def test_one_cell_each(letters, more):
    per, text = grid(table(letters), len(letters) + more, 1000, 1000)
    assert per == 1
    assert unfold(text) == letters + "Q" * more


@given(st.text("QRFXLC", min_size=1, max_size=90), st.integers(0, 10), st.integers(1, 12))
def test_folded(letters, more, most):
    per, text = grid(table(letters), len(letters) + more, most, 1000)
    whole = letters + "Q" * more
    assert -(-len(whole) // per) <= most
    assert unfold(text) == "".join(cell(whole[at : at + per]) for at in range(0, len(whole), per))


@given(st.text("FX", min_size=50, max_size=90))
def test_folds_until_it_is_short(letters):
    _, text = grid(table(letters), len(letters), 1000, 20)
    assert len(text) <= 20


def test_leased_jobs_that_have_not_begun_are_shown_as_queued():
    assert grid(table("FFRRRRQ"), 7, 100, 100, {3}) == (1, "F2Q1R1Q3")
    assert grid(table("RR"), 2, 100, 100, set()) == (1, "Q2")


def test_a_million_jobs():
    jobs = JobTable()
    jobs.append(1_000_000)
    jobs.move(0, 500_050, State.QUEUED, State.RUNNING)
    jobs.move(0, 500_000, State.RUNNING, State.FINISHED)
    assert grid(jobs, 1_000_000, 10_000, 12_000) == (100, "F5000R1Q4999")
