"""Limits of jobs in words, the same where a job was interrupted for one and where its worker was ended."""

from __future__ import annotations

from jupyter_dsage import settings


def time_limit(nanoseconds: int) -> str:
    """Return a time limit in words."""
    return f"its time limit of {nanoseconds / 1e9:g} s"


def load_limit(nanoseconds: int) -> int:
    """Return how long loading a function may take where jobs may take so long (both in ns)."""
    return max(nanoseconds, int(settings.LOAD_SECONDS * 1e9))


def load_time_limit(nanoseconds: int) -> str:
    """Return that in words."""
    return f"the {load_limit(nanoseconds) / 1e9:g} s in which its function is to be loaded, with all that it imports"


def memory_limit(limit: int, taken: int = 0) -> str:
    """Return a memory limit in words, and what was taken if that is known (bytes)."""
    took = f" (it took {taken / 1e6:,.0f} MB)" if taken else ""
    return f"its memory limit of {limit / 1e6:,.0f} MB{took}"
