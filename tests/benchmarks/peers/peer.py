"""What a peer offers to be measured. An adapter is as short as the peer's own documentation makes it, and no shorter.

A peer that has no way to do a workload raises CannotError with the reason, which the report shows.
"""

from __future__ import annotations

import platform
from functools import partial
from importlib import import_module, metadata
from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar

from tests.benchmarks import jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Function = Callable[[Any], Any]


class CannotError(Exception):
    """The peer has no way to do what was asked; the sentence says why."""


class Peer:
    """One way to run jobs in parallel. Made when its library is to be imported; started by `start`."""

    how: ClassVar[str]
    """How it is used here, and the page of its documentation that recommends it."""
    package: ClassVar[str] = ""
    """The distribution whose version is told; empty for the standard library."""
    module: ClassVar[str] = ""
    """What its users import."""
    most_mapped: ClassVar[int] = 100_000
    """Jobs of one map at most: more would take longer than half a minute and tell nothing new."""
    most_single: ClassVar[int] = 100_000
    """Single submits at most, for the same reason."""
    lazy: ClassVar[bool] = False
    """Whether a map draws from an endless iterable as needed."""

    sends_once: ClassVar[bool] = False
    """Whether what a function holds goes along once, and not with each job."""

    workers: int = 2

    def __init__(self) -> None:
        self.library: Any = import_module(self.module) if self.module else None
        """Imported before anything is timed."""

    @classmethod
    def version(cls) -> str:
        """Return the version of what is measured; of the standard library, Python's."""
        return metadata.version(cls.package) if cls.package else platform.python_version()

    # --- life ----------------------------------------------------------------------------------------------

    def start(self, workers: int) -> None:
        """Start; need not wait for the workers."""
        raise NotImplementedError

    def stop(self) -> None:
        """End every process that was started."""
        raise NotImplementedError

    def ready(self) -> None:
        """Return when all workers can take jobs."""
        self.worker_pids()

    def worker_pids(self) -> set[int]:
        """Return the processes that run the jobs."""
        return set(self.run_each(jobs.pid, [0.1] * self.workers * 2))

    # --- jobs ----------------------------------------------------------------------------------------------

    def begin_map(self, fn: Function, items: Iterable[Any]) -> Any:
        """Begin many small jobs in one call, and return without waiting for them."""
        raise NotImplementedError

    def gather(self, begun: Any) -> list[Any]:
        """Wait for what was begun and return the values, in order."""
        raise NotImplementedError

    def begin_single(self, fn: Function, items: Iterable[Any]) -> Any:
        """Submit each job by a call of its own, and keep a handle of each."""
        raise NotImplementedError

    def one(self, fn: Function, x: Any) -> Any:
        """Run one job and return its value."""
        return self.gather(self.begin_single(fn, [x]))[0]

    def map_many(self, fn: Function, items: Iterable[Any]) -> list[Any]:
        """Run many small jobs the way that the documentation recommends for them."""
        return self.gather(self.begin_map(fn, items))

    def run_each(self, fn: Function, items: Iterable[Any]) -> list[Any]:
        """Run jobs that are long enough to be handed out one by one."""
        return self.map_many(fn, items)

    def cancel(self, begun: Any) -> None:
        """Cancel what was begun with `begin_map`."""
        raise CannotError("has no way to cancel a map as a whole.")

    def settle(self, begun: Any) -> None:
        """Wait until what was begun has ended, without taking the values."""
        self.run_each(jobs.noop, range(2 * self.workers))

    # --- data ----------------------------------------------------------------------------------------------

    def echo(self, array: Any) -> Any:
        """Send an array there and back."""
        return self.one(jobs.echo, array)

    def echo_many(self, arrays: Sequence[Any]) -> list[Any]:
        """Send arrays there and back, a job each."""
        return self.run_each(jobs.echo, arrays)

    def share(self, array: Any, count: int) -> list[Any]:
        """Run jobs that use one array, declared the way that the documentation recommends."""
        raise CannotError("documents no way to declare data that jobs share.")

    def share_undeclared(self, array: Any, count: int) -> list[Any]:
        """Run jobs whose function holds the array, and declare nothing."""
        return self.run_each(partial(jobs.pick, array), range(count))

    # --- for all -------------------------------------------------------------------------------------------

    def chunk(self, items: Any) -> int:
        """Return the size of chunk that `multiprocessing.Pool.map` takes by itself."""
        return max(1, ceil(len(items) / (4 * self.workers)))
