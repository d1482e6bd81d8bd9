"""A simulated host: how fast its workers are, how far away, and a link that can be cut and mended.

Used by `testing.sim`. What is under way when the link is cut, or said while it is down, arrives when it is mended, in
order: what `net.conversation` promises. A host that is silent for `AWAY_SECONDS` is told to be away.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from jupyter_dsage import settings
from jupyter_dsage.core import events as e

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.core.pool import Abilities
    from jupyter_dsage.testing.sim import Sim

    Held = deque[tuple[Callable[..., None], tuple[Any, ...]]]


class SimHost:
    """The host of one engine of a `Sim`.

    `slowness`: how much longer jobs take there; `latency`: seconds one message takes, each way.
    """

    def __init__(self, sim: Sim, name: str, slots: int, slowness: float, latency: float, can: Abilities) -> None:
        self.sim, self.name, self.slots, self.slowness, self.latency = sim, name, slots, slowness, latency
        self.can = can
        self.down = False
        """Whether its link is cut."""
        self.away = False
        """Whether the scheduler has been told so."""
        self._cuts = 0
        self._life = 0
        """Counts how often it was started: what an earlier life said is heard no more."""
        self._told: Held = deque()
        self._ordered: Held = deque()

    def open(self) -> None:
        """Have it opened, with nothing on it."""
        self.sim.handle(e.EngineOpened(self.name, self.slots, self.can, 2 * self.latency))

    # --- messages ------------------------------------------------------------------------------------------

    def tell(self, event: e.Event) -> None:
        """Send the child what a worker has to say."""
        self.sim.after(self.latency, self._arrive, self._life, self._told, self.sim.handle, event)

    def order(self, act: Callable[..., None], *arguments: Any) -> None:
        """Send a worker an order of the child."""
        self.sim.after(self.latency, self._arrive, self._life, self._ordered, act, *arguments)

    def _arrive(self, life: int, held: Held, act: Callable[..., None], *arguments: Any) -> None:
        if life != self._life:
            return
        if self.down:
            held.append((act, arguments))
        else:
            act(*arguments)

    # --- what befalls it -----------------------------------------------------------------------------------

    def cut(self) -> None:
        """Cut its link."""
        if not self.down:
            self.down = True
            self._cuts += 1
            self.sim.after(settings.AWAY_SECONDS, self._notice, self._cuts)

    def _notice(self, cut: int) -> None:
        if self.down and cut == self._cuts:
            self.away = True
            self.sim.handle(e.EngineAway(self.name))

    def mend(self) -> None:
        """Mend its link: both sides hear what was said meanwhile."""
        if not self.down:
            return
        self.down, life = False, self._life
        if self.away:
            self.away = False
            self.sim.handle(e.EngineBack(self.name))
        for held in (self._told, self._ordered):
            while held and life == self._life:
                act, arguments = held.popleft()
                act(*arguments)

    def vanish(self) -> None:
        """End its workers, and all that they have said and was not heard."""
        self._life += 1
        self._cuts += 1
        self._told.clear()
        self._ordered.clear()
        self.down = self.away = False
        for worker in self.sim.workers.values():
            if worker.host is self:
                worker.vanish()

    def end_all(self) -> None:
        """Have its supervisor killed: all its workers die with it, and their pages are read."""
        for worker in list(self.sim.workers.values()):
            if worker.host is self:
                worker.die(known=False)

    def restart(self) -> None:
        """Start it anew: it knows nothing of the child any more."""
        self.vanish()
        for number in [number for number, worker in self.sim.workers.items() if worker.host is self]:
            self.sim.handle(e.WorkerLost(number, None, None, f"{self.name} was started anew"))
        self.open()
