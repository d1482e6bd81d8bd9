"""Dask's futures on a local cluster."""

from __future__ import annotations

from tests.benchmarks import jobs
from tests.benchmarks.peers.peer import Peer


class Dask(Peer):
    """distributed: a scheduler and workers with one thread each."""

    how = (
        "`LocalCluster(threads_per_worker=1)` without dashboard, `client.map(batch_size=…)` and `gather`, "
        "`scatter(broadcast=True)` for shared data (Dask, *Futures*)."
    )
    package, module = "distributed", "distributed"
    most_mapped, most_single = 5_000, 5_000

    def start(self, workers):
        self.workers = workers
        self._cluster = self.library.LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=50
        )
        self._client = self.library.Client(self._cluster)

    def stop(self):
        self._client.close()
        self._cluster.close()

    def begin_map(self, fn, items):
        return self._client.map(fn, items, pure=False, batch_size=1000)

    def begin_single(self, fn, items):
        submit = self._client.submit
        return [submit(fn, item, pure=False) for item in items]

    def gather(self, begun):
        return self._client.gather(begun)

    def one(self, fn, x):
        return self._client.submit(fn, x, pure=False).result()

    def cancel(self, begun):
        self._client.cancel(begun)

    def settle(self, begun):
        self.library.wait(begun, timeout=120)

    def share(self, array, count):
        future = self._client.scatter(array, broadcast=True)
        submit = self._client.submit
        return self._client.gather([submit(jobs.pick, future, i, pure=False) for i in range(count)])
