"""Waiting for a fact, with a deadline."""

from __future__ import annotations

import time


def until(fact, seconds=30.0):
    """Wait for a fact; return what made it true."""
    deadline = time.monotonic() + seconds
    while not (found := fact()):
        assert time.monotonic() < deadline, "the fact did not come"
        time.sleep(0.005)
    return found
