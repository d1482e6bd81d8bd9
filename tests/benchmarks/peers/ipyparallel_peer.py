"""ipyparallel: engines under a controller, asked through views."""

from __future__ import annotations

from tests.benchmarks import jobs
from tests.benchmarks.peers.peer import Peer


class IPyParallel(Peer):
    """The other one that was made for notebooks."""

    how = (
        "`DirectView.map` for many small jobs, which sends each engine its part as one (ipyparallel, "
        "*IPython's Direct interface*, Parallel map); a load-balanced view for others (*The IPython task "
        "interface*)."
    )
    package, module = "ipyparallel", "ipyparallel"
    most_single = 1_000

    def start(self, workers):
        self.workers = workers
        self._cluster = self.library.Cluster(n=workers, log_level=40)
        self._client = self._cluster.start_and_connect_sync(activate=False)
        self._direct = self._client[:]
        self._balanced = self._client.load_balanced_view()

    def stop(self):
        self._client.close()
        self._cluster.stop_cluster_sync()

    def begin_map(self, fn, items):
        return self._direct.map_async(fn, items)

    def begin_single(self, fn, items):
        submit = self._balanced.apply_async
        return [submit(fn, item) for item in items]

    def gather(self, begun):
        return [result.get() for result in begun] if isinstance(begun, list) else list(begun.get())

    def one(self, fn, x):
        return self._balanced.apply_sync(fn, x)

    def run_each(self, fn, items):
        return self._balanced.map_sync(fn, items)

    def settle(self, begun):
        begun.wait(120)

    def share(self, array, count):
        self._direct.apply_sync(jobs.keep, array)
        return self._balanced.map_sync(jobs.pick_kept, range(count))
