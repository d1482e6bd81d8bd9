"""Waiting for a fact, with a deadline: the one way in which tests do."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def until(fact: Callable[[], T], seconds: float = 30.0, what: str | Callable[[], str] = "the fact") -> T:
    """Wait until a fact holds, and return what made it true; `what`, or what it returns, tells of one that did not."""
    deadline = time.monotonic() + seconds
    while not (found := fact()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what if isinstance(what, str) else what()} did not come in {seconds:g} s")
        time.sleep(0.005)
    return found
