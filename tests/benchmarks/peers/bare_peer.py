"""No scheduling at all: two processes that do every other job each. Nobody can beat it: the ceiling of the others."""

from __future__ import annotations

import importlib
import multiprocessing

from tests.benchmarks.peers.peer import CannotError, Peer


def _do(fn, items):
    for item in items:
        fn(item)


class Bare(Peer):
    """Gives no values back."""

    how = "Two forked processes, every other job each, no values sent back: the ceiling."

    def start(self, workers):
        self.workers = workers
        importlib.import_module("numpy")  # as the others' workers have it when they are measured
        self._context = multiprocessing.get_context("fork")

    def stop(self):
        pass

    def ready(self):
        pass

    def begin_map(self, fn, items):
        items = list(items)
        processes = [
            self._context.Process(target=_do, args=(fn, items[at :: self.workers])) for at in range(self.workers)
        ]
        for process in processes:
            process.start()
        return processes

    def gather(self, begun):
        for process in begun:
            process.join()
        return []

    def begin_single(self, fn, items):
        raise CannotError("takes no single job.")
