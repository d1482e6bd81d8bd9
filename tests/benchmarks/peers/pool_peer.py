"""`multiprocessing.Pool`, with its own chunks."""

from __future__ import annotations

import multiprocessing

from tests.benchmarks import jobs
from tests.benchmarks.peers.peer import Peer


class Pool(Peer):
    """The fastest of the standard library for many small jobs: its map gives no handle of a single one."""

    how = (
        "`map` with the chunks it takes by itself, `apply_async` for single jobs (Python library, "
        "*multiprocessing*, Pool)."
    )
    module = "multiprocessing.pool"
    most_mapped = 1_000_000

    def start(self, workers):
        self.workers = workers
        self.pool = multiprocessing.Pool(workers)

    def stop(self):
        self.pool.terminate()
        self.pool.join()

    def begin_map(self, fn, items):
        return self.pool.map_async(fn, items)

    def begin_single(self, fn, items):
        submit = self.pool.apply_async
        return [submit(fn, (item,)) for item in items]

    def gather(self, begun):
        return [result.get() for result in begun] if isinstance(begun, list) else begun.get()

    def one(self, fn, x):
        return self.pool.apply(fn, (x,))

    def map_many(self, fn, items):
        return self.pool.map(fn, items)

    def run_each(self, fn, items):
        return self.pool.map(fn, items, chunksize=1)

    def settle(self, begun):
        begun.wait(120)

    def share(self, array, count):
        self.stop()
        self.pool = multiprocessing.Pool(self.workers, initializer=jobs.keep, initargs=(array,))
        return self.run_each(jobs.pick_kept, range(count))
