"""*Add jobs*: an expression that somebody typed becomes jobs of a batch, whoever the batch belongs to.

A spare evaluates it. The jobs then go to the client that adds to the batch (`Offered`), which numbers them behind what
it has numbered and sends them back as `AddJobs` like its own, so that one side alone numbers. Where there is no such
client the child numbers them itself. A client that is stopped, or holds its interpreter lock, numbers them when it can;
if it ends before that, the child does.
"""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.child.recorder import Entry
from jupyter_dsage.errors import DsageError, MissingError, UsageError
from jupyter_dsage.wire import codec, spare
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.child.clients import Clients
    from jupyter_dsage.child.payloads import Payloads
    from jupyter_dsage.child.recorder import Recorder
    from jupyter_dsage.child.spares import Found, Spares
    from jupyter_dsage.net.transport import Peer
    from jupyter_dsage.wire.codec import Frame
    from jupyter_dsage.wire.setup import ChildSetup

    Request = Callable[[int, m.Message, list[Frame], Frame], None]

LATE = (
    "{} jobs are ready; the kernel that adds to this batch does not answer at the moment, or is drawing other jobs: "
    "they are added when it does."
)


@dataclass(slots=True)
class _Addition:
    """The jobs of one expression. `asker`: who typed it, and the number of the question; `client`: its number."""

    batch: int
    function: str
    asker: tuple[Peer, int]
    client: int
    count: int
    segments: dict[int, tuple[int, Frame]] = field(default_factory=dict)
    """Offer -> jobs and payload, of those that have not been added."""
    offered: bool = False
    """Whether they went to the client that is to number them."""
    late: float = 0.0
    """When to tell the asker that it takes long (monotonic seconds); 0: it was told."""


class Additions:
    """One child's. `request`: carries out a client's request and has it written down (see `desk`)."""

    def __init__(
        self,
        setup: ChildSetup,
        payloads: Payloads,
        clients: Clients,
        recorder: Recorder,
        spares: Spares,
        request: Request,
    ) -> None:
        self._setup = setup
        self._payloads = payloads
        self._clients = clients
        self._recorder = recorder
        self._spares = spares
        self._additions: dict[int, _Addition] = {}
        """Offer -> the addition that it is a part of."""
        first = int.from_bytes(os.urandom(6), "big")  # those of an earlier child mean nothing here
        self._offers = itertools.count(first)
        self._request = request

    def add(self, peer: Peer, question: m.AddExpression, opened: m.OpenBatch) -> None:
        """Have an expression evaluated, and its jobs added; the question is answered later."""
        if not opened.function:
            raise UsageError(f"Batch {opened.name!r} grows by session.submit, not by an expression.")
        if not self._payloads.knows(opened.function):
            raise MissingError(f"The function of batch {opened.name!r} is not known any more.")
        message, frames = self._payloads.function(opened.function)
        plain = isinstance(message, m.Service)
        place = self._payloads.place_of(opened.function) or (self._setup.cwd, self._setup.path)
        asked = spare.Evaluate(question.text, opened.bare, plain, *place)
        client = self._clients[peer].number
        self._spares.ask(
            asked, frames, lambda found, error: self._evaluated((peer, question.ask), client, opened, found, error)
        )

    def _evaluated(self, asker: tuple[Peer, int], client: int, opened: m.OpenBatch, found: Found, error: str) -> None:
        parts = [(part.count, frames[0]) for part, frames in found if isinstance(part, spare.Segment)]
        if error or not parts:
            self._answer(asker, error or "The expression stands for no jobs.", failed=bool(error))
            return
        count = sum(part[0] for part in parts)
        addition = _Addition(opened.batch, opened.function, asker, client, count)
        addition.segments = {next(self._offers): part for part in parts}
        addition.late = time.monotonic() + settings.OFFER_SECONDS
        self._additions.update(dict.fromkeys(addition.segments, addition))
        self._have_numbered(addition)

    def _have_numbered(self, addition: _Addition) -> None:
        """Offer an addition to the client that adds to its batch, once it is here; where there is none, add it here."""
        owner = self._clients.owner(addition.batch)
        if owner is not None and not addition.offered:
            addition.offered = True
            for offer, (count, data) in addition.segments.items():
                self._clients.send(owner, m.Offered(addition.batch, addition.function, count, offer), data)
        elif not self._clients.has_owner(addition.batch):
            self._add_here(addition)

    def _add_here(self, addition: _Addition) -> None:
        """Number what is left of an addition: nobody else does."""
        for offer, (count, data) in list(addition.segments.items()):
            message = m.AddJobs(addition.batch, addition.function, count, offer)
            self._request(addition.client, message, [data], codec.encode(message, data)[0])

    def came(self, offer: int) -> None:
        """Note that offered jobs were added; an offer of an earlier child is unknown, and no matter."""
        addition = self._additions.pop(offer, None)
        if addition is None:
            return
        del addition.segments[offer]
        if not addition.segments and addition.late:
            text = f"{addition.count:,} job{'' if addition.count == 1 else 's'} added"
            told = lambda: self._answer(addition.asker, text, failed=False)  # noqa: E731  (once it is written down)
            self._recorder.put(Entry(0, b"", done=told))

    def look_after(self, now: float) -> None:
        """Tell who waits for long; number the jobs that were offered to a client that is gone."""
        for addition in {id(one): one for one in self._additions.values()}.values():
            self._have_numbered(addition)
            if addition.segments and addition.late and now >= addition.late:
                addition.late = 0.0
                self._answer(addition.asker, LATE.format(f"{addition.count:,}"), failed=False)

    def next_due(self) -> float | None:
        """Return when to look after somebody (monotonic seconds), or None; clients are looked at once a second."""
        return min((one.late for one in self._additions.values() if one.late), default=None)

    def _answer(self, asker: tuple[Peer, int], text: str, *, failed: bool) -> None:
        peer, ask = asker
        if peer in self._clients:
            self._clients.send(peer, m.Answer(ask, text, failed))


def refused(error: DsageError, ask: int) -> m.Answer:
    """Return the answer to a question that cannot be answered otherwise."""
    return m.Answer(ask, str(error), failed=True, missing=isinstance(error, MissingError))
