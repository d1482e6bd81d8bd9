"""All that there is to see of a child, in one place: views of batches and of the session, jobs in words, output.

The loop makes it, and has it looked after at each step; the desk asks it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dsage.child.details import Details
from jupyter_dsage.child.looks import Edits, Looks
from jupyter_dsage.child.session_view import SessionViews
from jupyter_dsage.child.spares import Spares
from jupyter_dsage.child.view import Views

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from jupyter_dsage.child.clients import Clients
    from jupyter_dsage.child.engines.engine import Engine
    from jupyter_dsage.child.payloads import Payloads
    from jupyter_dsage.core.scheduler import Scheduler
    from jupyter_dsage.net.transport import Peer, Poller, Source
    from jupyter_dsage.wire.setup import ChildSetup


class Sights:
    """One child's. `here`: tells of an engine's name whether its workers are processes of this host."""

    def __init__(
        self,
        setup: ChildSetup,
        scheduler: Scheduler,
        payloads: Payloads,
        clients: Clients,
        engines: Mapping[str, Engine],
        poller: Poller,
        here: Callable[[str], bool],
    ) -> None:
        self._clients = clients
        self.edits = Edits(scheduler)
        self.views = Views(scheduler, (setup.session, setup.name or setup.session), engines, self.edits)
        self.session = SessionViews(scheduler, self.views, engines, here)
        self.looks = Looks(scheduler, engines)
        self.spares = Spares(poller, setup.folder)
        self.details = Details(setup, scheduler, payloads, clients, self.views, self.looks, self.spares)

    def read(self, ready: Collection[Source], now: float) -> None:
        """Take in what spares tell; called at each step of the loop, and at `next_due`."""
        self.spares.read(ready, now)
        self.details.look_after(now)

    def forget(self, peer: Peer) -> None:
        """Show nothing more to a client that is gone."""
        self.views.forget(peer)
        self.session.watch(peer, on=False)

    def dues(self) -> list[float | None]:
        """Return when there is something to do (monotonic seconds), each None if never."""
        return [self.views.next_due(), self.session.next_due(), self.spares.next_due(), self.details.next_due()]
