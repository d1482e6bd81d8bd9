"""Tells an exception of the user's code from one that a signal's handler raised while that ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class FailedTwiceError(Exception):
    """The code fails whenever it is run; the cause is what it raised."""


def twice(run: Callable[[], T]) -> T:
    """Return what `run` returns; raises FailedTwiceError if it raises, and does so again.

    What it raises only once did not come from it, but from a signal (an interrupt): that is raised as it is, and the
    next call may succeed. `run` must be one that may be run again: unpickling, a ``repr``.
    """
    try:
        return run()
    except BaseException as error:  # noqa: BLE001  (a user's class may raise anything)
        first = error
    try:
        run()
    except BaseException:  # noqa: BLE001  (the same)
        raise FailedTwiceError from first
    raise first
