"""Parsl's HighThroughputExecutor on this machine."""

from __future__ import annotations

import tempfile

from tests.benchmarks.peers.peer import CannotError, Peer


class Parsl(Peer):
    """Apps on an interchange and a process pool."""

    how = (
        "`python_app` on a HighThroughputExecutor, one block, `strategy='none'`, unencrypted, "
        "`prefetch_capacity` above 0 as for short tasks, `retries=1` (Parsl, *Execution*, "
        "*HighThroughputExecutor*)."
    )
    package, module = "parsl", "parsl"
    most_mapped, most_single = 5_000, 5_000

    def __init__(self) -> None:
        super().__init__()
        self._apps = {}

    def start(self, workers):
        from parsl.config import Config
        from parsl.executors import HighThroughputExecutor
        from parsl.providers import LocalProvider

        self.workers = workers
        self._folder = tempfile.TemporaryDirectory()
        executor = HighThroughputExecutor(
            label="htex",
            address="127.0.0.1",
            max_workers_per_node=workers,
            prefetch_capacity=2 * workers,
            encrypted=False,
            provider=LocalProvider(init_blocks=1, max_blocks=1),
        )
        self._kernel = self.library.load(
            Config(executors=[executor], strategy="none", retries=1, run_dir=self._folder.name)
        )

    def stop(self):
        self._kernel.cleanup()
        self.library.clear()
        self._folder.cleanup()

    def begin_map(self, fn, items):
        return self.begin_single(fn, items)

    def begin_single(self, fn, items):
        if fn not in self._apps:
            self._apps[fn] = self.library.python_app(fn)
        app = self._apps[fn]
        return [app(item) for item in items]

    def share(self, array, count):
        raise CannotError("has files for data that jobs share, and nothing for what is in memory.")

    def gather(self, begun):
        return [future.result() for future in begun]
