"""What clients want to see of workers: what a running job has printed, and which modules were edited since.

Neither concerns the scheduler, which is only asked who runs what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dsage.errors import PeerGoneError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jupyter_dsage.child.engines.engine import Engine, ModulesEdited, OutputSeen
    from jupyter_dsage.core.pool import Worker
    from jupyter_dsage.core.scheduler import Scheduler


class Looks:
    """Asks engines what running jobs have printed, and passes the answers on."""

    def __init__(self, scheduler: Scheduler, engines: Mapping[str, Engine]) -> None:
        self._scheduler = scheduler
        self._engines = engines
        self._asked: dict[int, Callable[[str], None]] = {}
        self._next = 1

    def look(self, batch: int, job: int, told: Callable[[str], None]) -> None:
        """Ask for what a job has printed; a job that does not run has printed nothing that is not told already."""
        found = self._worker(batch, job)
        if found is None:
            told("")
            return
        ask, self._next = self._next, self._next + 1
        self._asked[ask] = told
        try:
            self._engines[found.engine].look(ask, found.number, found.leases[0], job)
        except PeerGoneError:
            self._asked.pop(ask)("")

    def seen(self, news: OutputSeen) -> None:
        """Pass an answer on."""
        told = self._asked.pop(news.ask, None)
        if told is not None:
            told(news.text)

    def _worker(self, batch: int, job: int) -> Worker | None:
        """Return the worker whose running lease has a job that has not ended."""
        for worker in self._scheduler.pool.workers.values():
            lease = self._scheduler.leases[worker.leases[0]] if worker.leases else None
            if lease is not None and lease.batch == batch and job in lease.left:
                return worker
        return None


class Edits:
    """Remembers which workers have imported modules that were edited since."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._edited: dict[int, dict[str, str]] = {}
        """Worker -> module -> its file."""

    def seen(self, news: ModulesEdited) -> None:
        """Note what a worker has found."""
        self._edited.setdefault(news.worker, {}).update(news.modules)

    def note(self, engine: str | None = None) -> str:
        """Return the sentence for people about one engine, or all; empty while workers have what is on disk."""
        workers = self._scheduler.pool.workers
        for worker in [worker for worker in self._edited if worker not in workers]:
            del self._edited[worker]
        mine = [self._edited[w] for w in self._edited if engine in (None, workers[w].engine)]
        found = sorted({module for modules in mine for module in modules})
        if not found:
            return ""
        what = f"module {found[0]} was" if len(found) == 1 else f"modules {', '.join(found[:5])} were"
        return f"{what} edited after workers imported {'it' if len(found) == 1 else 'them'}: refresh loads what is new"
