"""Which workers leave for want of work, and when they are started again. Called by `Scheduler.handle`, at its end.

Only engines that were asked to (`Engine.idle`) let workers go, down to none; their slots stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dsage.core import commands as c
from jupyter_dsage.core import engines
from jupyter_dsage.core.placement import queued_for
from jupyter_dsage.core.pool import Stage
from jupyter_dsage.core.stock import Stock

if TYPE_CHECKING:
    from jupyter_dsage.core.pool import Engine
    from jupyter_dsage.core.scheduler import Scheduler


def handle(s: Scheduler, now: float) -> None:
    """Let workers go that have been idle for long, and start others where there is work again."""
    for engine in s.pool.engines.values():
        if engine.idle:
            _rest(s, engine, now)
        if engine.resting and engine.at_work:
            _wake(s, engine, now)


def dues(s: Scheduler) -> list[float]:
    """Return when workers will have been idle for long enough."""
    return [
        worker.idle_since + engine.idle
        for engine in s.pool.engines.values()
        if engine.idle
        for worker in s.pool.of(engine.name)
        if worker.idle_since is not None
    ]


def _rest(s: Scheduler, engine: Engine, now: float) -> None:
    for worker in s.pool.of(engine.name):
        if worker.stage is not Stage.READY or worker.leases or worker.held or not engine.at_work:
            worker.idle_since = None
        elif worker.idle_since is None:
            worker.idle_since = now
        elif worker.idle_since + engine.idle <= now:
            worker.idle_since = None
            engine.resting += 1
            engines.retire(s, worker)
            s.order(c.TellPool())


def _wake(s: Scheduler, engine: Engine, now: float) -> None:
    more = min(engine.resting, unmet(s, engine))
    if more > 0:
        engine.resting -= more
        engine.due += [now] * max(0, s.pool.missing(engine) - len(engine.due))
        engines.start_due(s, now)
        s.order(c.TellPool())


def unmet(s: Scheduler, engine: Engine) -> int:
    """Return how many jobs wait that workers of this engine could run at once, if it had more of them."""
    stock, count = Stock(s), 0
    for batch in s.unended():
        if batch.hungry() and engine.takes(batch):
            most = stock.times(engine, batch)
            if batch.limit is not None:
                most = min(most, batch.limit - len(batch.workers))
            count += max(0, min(most, queued_for(batch, engine.can)))
    here = sum(worker.stage in (Stage.READY, Stage.RETIRING) for worker in s.pool.of(engine.name))
    coming = max(0, engine.slots - engine.resting - here)  # those too that follow who is just leaving
    return count - coming
