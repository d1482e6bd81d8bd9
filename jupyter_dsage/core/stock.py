"""What is free of the engines' resources: counted from the leases when asked, and kept up to date for one event."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from jupyter_dsage.core.wants import NOTHING

if TYPE_CHECKING:
    from jupyter_dsage.core.batch import Batch
    from jupyter_dsage.core.pool import Engine, Worker
    from jupyter_dsage.core.scheduler import Scheduler
    from jupyter_dsage.core.wants import Wants


class Stock:
    """A worker runs one job at a time, so it takes what the most demanding of its leases does, not their sum."""

    def __init__(self, s: Scheduler) -> None:
        self._s = s
        self._free: dict[str, Counter[str]] = {}
        self.suspicion = any(batch.suspects for batch in s.unended())
        """Whether any job is suspected of having ended a supervisor."""

    def taken(self, worker: Worker) -> Counter[str]:
        """Return what a worker takes, also where its host is silent and its leases have lapsed."""
        out: Counter[str] = Counter()
        for number in (*worker.leases, *worker.held):
            lease = self._s.leases.get(number) or self._s.lapsed.get(number)
            if lease is not None:
                out |= Counter(dict(self._s.batches[lease.batch].wants.resources))
        return out

    def free(self, engine: Engine) -> Counter[str]:
        """Return what is free of an engine's resources."""
        if engine.name not in self._free:
            free = Counter(engine.resources)
            for worker in self._s.pool.of(engine.name) if engine.resources else ():
                free.subtract(self.taken(worker))
            self._free[engine.name] = free
        return self._free[engine.name]

    def times(self, engine: Engine, batch: Batch) -> int:
        """Return for how many jobs more of a batch, one a worker, an engine has enough; at most its slots."""
        return batch.wants.times(self.free(engine), engine.slots) if batch.wants.name(engine.name) else 0

    def serves(self, engine: Engine, worker: Worker, batch: Batch) -> bool:
        """Tell whether a worker may be given jobs of a batch.

        Behind what it runs now it gets only what takes no more than that, so that nothing is reserved for later.
        """
        if batch.wants is NOTHING:
            return True
        if not batch.wants.name(engine.name):
            return False
        if not worker.leases:
            return batch.wants.times(self.free(engine), 1) > 0
        running = self._s.batches[self._s.leases[worker.leases[0]].batch].wants.resources
        return batch.wants.times(dict(running), 1) > 0

    def runs_alone(self, engine: Engine) -> bool:
        """Tell whether a job runs at an engine beside which nothing may."""
        return any(self._s.leases[number].alone for worker in self._s.pool.of(engine.name) for number in worker.leases)

    def is_idle(self, engine: Engine) -> bool:
        """Tell whether nothing runs at an engine."""
        return not any(worker.leases for worker in self._s.pool.of(engine.name))

    def tries(self, engine: Engine) -> bool:
        """Tell whether a suspect runs at an engine (see `Lease.trial`)."""
        return any(self._s.leases[number].trial for worker in self._s.pool.of(engine.name) for number in worker.leases)

    def enough(self, engine: Engine, worker: Worker, batch: Batch) -> bool:
        """Tell whether a worker could be given jobs of a batch now, or when what it runs has ended."""
        return self.serves(engine, worker, batch) or self.times(engine, batch) > 0

    def granted(self, worker: Worker, wants: Wants) -> None:
        """Note that an idle worker has been given jobs that want this."""
        if worker.engine in self._free:
            self._free[worker.engine].subtract(dict(wants.resources))
