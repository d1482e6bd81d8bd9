"""Ray's tasks, and its Pool for many small jobs."""

from __future__ import annotations

import os
from functools import partial

from tests.benchmarks import jobs
from tests.benchmarks.peers.peer import CannotError, Peer

_STORE_BYTES = 2 * 1024**3


def _call(fn, x):
    return fn(x)


class Ray(Peer):
    """One task a job: what gives a handle of each."""

    how = (
        "`fn.remote` and one `ray.get` for all; large and shared data by `ray.put`; no dashboard (Ray, "
        "*Tasks*, *Objects*, and the anti-pattern *Passing the same large argument by value repeatedly*)."
    )
    package, module = "ray", "ray"
    most_mapped, most_single = 5_000, 5_000

    def __init__(self) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
        super().__init__()

    def start(self, workers):
        self.workers = workers
        self.library.init(
            num_cpus=workers,
            include_dashboard=False,
            object_store_memory=_STORE_BYTES,
            log_to_driver=False,
            logging_level=40,
        )
        self._tasks = {}

    def stop(self):
        self.library.shutdown()

    def begin_map(self, fn, items):
        return self.begin_single(fn, items)

    def begin_single(self, fn, items):
        if isinstance(fn, partial):  # ray takes functions only
            call = self._task(_call)
            return [call.remote(fn, item) for item in items]
        task = self._task(fn)
        return [task.remote(item) for item in items]

    def _task(self, fn):
        if fn not in self._tasks:
            self._tasks[fn] = self.library.remote(fn)
        return self._tasks[fn]

    def gather(self, begun):
        return self.library.get(begun)

    def cancel(self, begun):
        for ref in begun:
            self.library.cancel(ref)

    def settle(self, begun):
        self.library.wait(begun, num_returns=len(begun), timeout=120, fetch_local=False)

    def share(self, array, count):
        ref = self.library.put(array)
        task = self._task(jobs.pick)
        return self.library.get([task.remote(ref, i) for i in range(count)])


class RayPool(Ray):
    """Ray for many small jobs."""

    how = (
        "`ray.util.multiprocessing.Pool.map`, which sends batches, as the anti-pattern *Over-parallelizing "
        "with too fine-grained tasks* recommends (Ray, *Distributed multiprocessing.Pool*)."
    )
    most_mapped, most_single = 100_000, 5_000

    def start(self, workers):
        super().start(workers)
        from ray.util.multiprocessing import Pool

        self._pool = Pool(workers)

    def stop(self):
        self._pool.terminate()
        super().stop()

    def begin_map(self, fn, items):
        return self._pool.map_async(fn, items)

    def begin_single(self, fn, items):
        raise CannotError("is measured as `ray`.")

    def gather(self, begun):
        return begun.get()

    def one(self, fn, x):
        return self._pool.apply(fn, (x,))

    def run_each(self, fn, items):
        return self._pool.map(fn, items, chunksize=1)

    def settle(self, begun):
        begun.wait(120)
