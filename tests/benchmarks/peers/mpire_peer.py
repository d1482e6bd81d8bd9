"""mpire's WorkerPool."""

from __future__ import annotations

from tests.benchmarks import jobs
from tests.benchmarks.peers.peer import Peer


class Mpire(Peer):
    """A faster Pool with worker state and shared objects."""

    how = (
        "`WorkerPool(keep_alive=True).map` with its own chunks (mpire, *Task chunking*), `apply_async`, "
        "`shared_objects`."
    )
    package, module = "mpire", "mpire"
    most_single = 50_000
    sends_once = True

    def start(self, workers):
        self.workers = workers
        self.pool = self.library.WorkerPool(n_jobs=workers, keep_alive=True)

    def stop(self):
        self.pool.terminate()

    def begin_map(self, fn, items):
        return self.begin_single(fn, items)  # its map blocks

    def begin_single(self, fn, items):
        submit = self.pool.apply_async
        return [submit(fn, (item,)) for item in items]

    def gather(self, begun):
        return [result.get() for result in begun]

    def one(self, fn, x):
        return self.pool.apply(fn, (x,))

    def map_many(self, fn, items):
        return self.pool.map(fn, items)

    def run_each(self, fn, items):
        return self.pool.map(fn, items, chunk_size=1, concatenate_numpy_output=False)

    def share(self, array, count):
        with self.library.WorkerPool(n_jobs=self.workers, shared_objects=array) as pool:
            return pool.map(jobs.pick, range(count), chunk_size=1)
