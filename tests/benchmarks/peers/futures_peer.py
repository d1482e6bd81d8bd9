"""Peers with the interface of `concurrent.futures`: ProcessPoolExecutor in three ways, loky, executorlib."""

from __future__ import annotations

import multiprocessing
from functools import partial
from typing import Any

from tests.benchmarks import jobs
from tests.benchmarks.peers.peer import Peer


class Futures(Peer):
    """Anything with `submit` and `map`. `pool`: the executor."""

    pool: Any

    def make(self, **options: Any) -> Any:
        """Return a new executor."""
        raise NotImplementedError

    def start(self, workers):
        self.workers = workers
        self.pool = self.make()

    def stop(self):
        self.pool.shutdown()

    def begin_map(self, fn, items):
        return self.pool.map(fn, items)

    def begin_single(self, fn, items):
        submit = self.pool.submit
        return [submit(fn, item) for item in items]

    def gather(self, begun):
        return [future.result() for future in begun] if isinstance(begun, list) else list(begun)

    def one(self, fn, x):
        return self.pool.submit(fn, x).result()

    def share(self, array, count):
        self.stop()
        self.pool = self.make(initializer=jobs.keep, initargs=(array,))
        return self.run_each(jobs.pick_kept, range(count))


class PPE(Futures):
    """One message a job, so that each can be told apart: what most people write."""

    how = (
        "`map(chunksize=1)`, which is the default, and `submit`; shared data by `initializer` (Python "
        "library, *concurrent.futures*)."
    )
    module = "concurrent.futures.process"
    context: str | None = None

    def make(self, **options: Any):
        context = multiprocessing.get_context(self.context)
        return self.library.ProcessPoolExecutor(self.workers, mp_context=context, **options)


class PPEChunked(PPE):
    """What its documentation recommends for very long iterables."""

    how = "`map` with a large `chunksize`, that of Pool.map (Python library, *concurrent.futures*, Executor.map)."
    most_mapped = 1_000_000

    def begin_map(self, fn, items):
        return self.pool.map(fn, items, chunksize=self.chunk(items))


class PPESpawn(PPE):
    """Safe in a process with threads, as a kernel is."""

    how = "The same with `mp_context` *spawn*, which is safe in a process that has threads, as a kernel has."
    context = "spawn"


class Loky(Futures):
    """The executor behind joblib."""

    how = "`get_reusable_executor`, `map` with a large `chunksize`, `submit` (loky, *API Reference*)."
    package, module = "loky", "loky"
    most_mapped, most_single = 1_000_000, 50_000

    def make(self, **options: Any):
        return self.library.get_reusable_executor(max_workers=self.workers, timeout=None, **options)

    def stop(self):
        self.pool.shutdown(wait=True, kill_workers=True)

    def begin_map(self, fn, items):
        return self.pool.map(fn, items, chunksize=self.chunk(items))

    def run_each(self, fn, items):
        return list(self.pool.map(fn, items))


class Executorlib(Futures):
    """Executors for HPC, on one node."""

    how = (
        "`SingleNodeExecutor(block_allocation=True, restart_limit=1)`, `submit`; shared data by "
        "`init_function` (executorlib, *Single Node Executor*, Block Allocation)."
    )
    package, module = "executorlib", "executorlib"
    most_mapped, most_single = 20_000, 20_000

    def make(self, **options: Any):
        return self.library.SingleNodeExecutor(
            max_workers=self.workers, block_allocation=True, restart_limit=1, **options
        )

    def begin_map(self, fn, items):
        return self.begin_single(fn, items)

    def share(self, array, count):
        self.stop()
        self.pool = self.make(init_function=partial(_as_arguments, array))
        submit = self.pool.submit
        return [future.result() for future in [submit(jobs.pick, i=i) for i in range(count)]]


def _as_arguments(array):
    """Return what executorlib adds to the arguments of every job, by name."""
    return {"array": array}
