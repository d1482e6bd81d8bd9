"""Ten thousand histories of a session in which everything fails, in simulated time; the seed is printed on failure.

`make test` runs the first quarter of them, `make test-all` all.
"""

from __future__ import annotations

import logging
import os
from collections import Counter

import pytest

from tests.chaos.simulated import storm

RUNS = 10_000
PARTS = 20
CALM = 25
"""Every so many-th run is without faults: then each job starts exactly once."""


@pytest.fixture(autouse=True)
def quiet():
    logging.disable(logging.CRITICAL)  # every death would be told
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(
    "part", [pytest.param(part, marks=pytest.mark.slow if part >= PARTS // 4 else ()) for part in range(PARTS)]
)
def test_whatever_fails_each_job_has_one_outcome(part):
    first = int(os.environ.get("DSAGE_SEED", "0")) + part * RUNS // PARTS
    lives, seen = 0, Counter()
    for seed in range(first, first + RUNS // PARTS):
        made = storm(seed, calm=seed % CALM == 0)
        lives += made.lives
        seen.update(made.seen)
    assert lives > 1.5 * RUNS / PARTS  # children were killed, and revived
    assert min(seen[fault] for fault in ("loading", "refused", "supervisor")) > 0.1 * RUNS / PARTS, seen


def test_checker_sees_a_second_start():
    made = storm(0, calm=True)
    made.note(1, 0, "start 9")
    with pytest.raises(AssertionError, match=r"(?s)seed 0, batch 1, job 0: .*start"):
        made.check_job(1, made.client.batches[1], 0)


def test_checker_sees_a_second_outcome_and_a_wrong_one():
    made = storm(25, calm=True)
    made.note(1, 0, "outcome finished")
    with pytest.raises(AssertionError, match="2 outcomes in 1 rounds"):
        made.check_job(1, made.client.batches[1], 0)
    made = storm(25, calm=True)
    made.story[1, 0][-1] = (0.0, "outcome lost")
    with pytest.raises(AssertionError, match="seed 25"):
        made.check_job(1, made.client.batches[1], 0)


def test_same_seed_is_the_same_history():
    assert storm(7).story == storm(7).story
