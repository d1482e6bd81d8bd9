"""joblib, with its own batches."""

from __future__ import annotations

from tests.benchmarks import jobs
from tests.benchmarks.peers.peer import CannotError, Peer


class Joblib(Peer):
    """`Parallel` blocks until all has ended; there is no handle of a job."""

    how = (
        "One `Parallel(n_jobs=2)` reused in a `with` block, auto-batching, arrays memory-mapped by itself "
        "(joblib, *Embarrassingly parallel for loops*)."
    )
    package, module = "joblib", "joblib"
    most_mapped = 1_000_000
    sends_once = True

    def start(self, workers):
        self.workers = workers
        self._parallel = self.library.Parallel(n_jobs=workers)
        self._parallel.__enter__()

    def stop(self):
        self._parallel.__exit__(None, None, None)
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown(wait=True, kill_workers=True)

    def begin_map(self, fn, items):
        raise CannotError("`Parallel` blocks until all jobs have ended.")

    def begin_single(self, fn, items):
        raise CannotError("`Parallel` gives no handle of a single job.")

    def map_many(self, fn, items):
        delayed = self.library.delayed(fn)
        return self._parallel(delayed(item) for item in items)

    def one(self, fn, x):
        return self._parallel([self.library.delayed(fn)(x)])[0]

    def share(self, array, count):
        pick = self.library.delayed(jobs.pick)
        return self._parallel(pick(array, i) for i in range(count))
