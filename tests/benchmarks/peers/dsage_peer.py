"""Ours, by its public interface only: with the journal, as everybody gets it, and without."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from tests.benchmarks import jobs
from tests.benchmarks.peers.peer import CannotError, Peer

if TYPE_CHECKING:
    from collections.abc import Iterable


class Dsage(Peer):
    """`session.map` and `session.submit`."""

    how = "`session.map` for many, `session.submit` for one, with the journal; nothing is tuned (README)."
    module = "jupyter_dsage"
    most_mapped = 1_000_000
    lazy = True
    sends_once = True
    journal: ClassVar[bool] = True

    @classmethod
    def version(cls):
        import jupyter_dsage

        return jupyter_dsage.__version__

    def start(self, workers):
        self.workers = workers
        self.session = self.library.spawn(f"local:?slots={workers}", journal=self.journal)

    def stop(self):
        self.session.die()

    def ready(self):
        assert self.session.wait_for_workers(30)

    def worker_pids(self):
        return {worker.pid for worker in self.session.workers}

    def begin_map(self, fn, items):
        return self.session.map(fn, items)

    def begin_scatter(self, fn, calls: Iterable[Any]):
        """Begin jobs given as (args, kwargs) pairs."""
        return self.session.scatter(fn, calls)

    def begin_single(self, fn, items):
        submit = self.session.submit
        return [submit(fn, item) for item in items]

    def gather(self, begun):
        return [job.result() for job in begun] if isinstance(begun, list) else begun.results()

    def one(self, fn, x):
        return self.session.submit(fn, x).result()

    def cancel(self, begun):
        begun.cancel()

    def settle(self, begun):
        assert begun.wait(120)

    def share(self, array, count):
        raise CannotError("has nothing to declare.")

    def share_undeclared(self, array, count):
        return self.session.map(partial(jobs.pick, array), range(count)).results()


class DsageNoJournal(Dsage):
    """The same, writing nothing down."""

    how = "The same with `spawn(journal=False)`."
    journal = False
