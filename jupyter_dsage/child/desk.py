"""Where clients are served: what they ask is checked, written down, carried out and answered.

The loop gives it what arrives. What concerns engines it passes back.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import msgspec

from jupyter_dsage.child import intake, telling
from jupyter_dsage.child.additions import Additions, refused
from jupyter_dsage.child.orders import batch_of, requests_of
from jupyter_dsage.child.recorder import Entry
from jupyter_dsage.core import events as e
from jupyter_dsage.core.ranges import Ranges
from jupyter_dsage.core.states import State
from jupyter_dsage.errors import DsageError, ProtocolError, UsageError
from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from jupyter_dsage.child.clients import Clients
    from jupyter_dsage.child.payloads import Payloads
    from jupyter_dsage.child.perform import Performer
    from jupyter_dsage.child.recorder import Recorder
    from jupyter_dsage.child.sights import Sights
    from jupyter_dsage.core.events import Event
    from jupyter_dsage.core.scheduler import Scheduler
    from jupyter_dsage.net.transport import Peer
    from jupyter_dsage.wire.codec import Frame
    from jupyter_dsage.wire.setup import ChildSetup

    AboutEngine = m.AddEngine | m.RemoveEngine | m.ScaleEngine

log = logging.getLogger(__name__)

_END = object()


class Desk:
    """One child's.

    `handle`: has the scheduler handle an event; `about_engine`: adds, removes and scales engines; `leave`: ends the
    child, with a reason.
    """

    def __init__(
        self,
        setup: ChildSetup,
        scheduler: Scheduler,
        payloads: Payloads,
        clients: Clients,
        recorder: Recorder,
        performer: Performer,
        sights: Sights,
        handle: Callable[[Event], None],
        about_engine: Callable[[AboutEngine], str],
        set_environment: Callable[[Iterable[tuple[str, str]]], None],
        leave: Callable[[str], None],
    ) -> None:
        self._scheduler = scheduler
        self._payloads = payloads
        self._clients = clients
        self._recorder = recorder
        self._performer = performer
        self._sights = sights
        self._views = sights.views
        self._handle = handle
        self._about_engine = about_engine
        self._set_environment = set_environment
        self._leave = leave
        self.additions = Additions(setup, payloads, clients, recorder, sights.spares, self._request)
        self._syncs: list[Iterator[None]] = []
        """Clients that are being told of the past."""
        self._opened: dict[int, m.OpenBatch] = {}
        """Batches as their clients opened them."""
        self._drawn: dict[int, str] = {}
        """Batch -> that who drew its jobs is gone, in a sentence."""

    def take(self, peer: Peer, frames: list[Frame]) -> None:
        """Take a message in and do what it asks for; one that is none of ours is refused in a sentence."""
        batch = 0
        try:
            message, rest = codec.from_client(frames)
            if isinstance(message, (m.AddJobs, m.SkipJobs)):
                batch = message.batch
            self._from_client(peer, message, rest, frames[0])
        except ProtocolError as error:
            log.warning("a client's message was refused: %s", error)
            self._clients.send(peer, m.Refused(str(error), batch))

    def _from_client(self, peer: Peer, message: m.Message, frames: list[Frame], header: Frame) -> None:
        if isinstance(message, m.Hello):
            self._clients.greet(peer, message)
            return
        self._clients.check_role(peer, message)
        if isinstance(message, m.REQUESTS):
            self._request(self._clients[peer].number, message, frames, header)
            return
        match message:
            case m.Sync():
                self._sync(peer)
            case m.Part():
                self.part(peer)
            case m.Die():
                self._leave("die: the session ends, with its workers")
            case m.Settle():
                self._when_written(peer, message.ask, "")
            case m.Expect():
                intake.check_batch(message.batch, self._scheduler)
                self._views.expect(message)
            case m.Watch():
                intake.check_batch(message.batch, self._scheduler)
                self._views.watch(message, peer)
            case m.WatchSession():
                self._sights.session.watch(peer, on=message.on)
            case _:
                self._answer(peer, message)

    def _request(self, client: int, message: m.Message, frames: list[Frame], header: Frame) -> None:
        """Carry out what is to outlive this child, and write it down before what follows from it."""
        entry = Entry(client, header, frames[0] if frames else None)
        try:
            event = intake.from_client(message, frames, self._scheduler, self._payloads)
        except ProtocolError:
            self._recorder.put(Entry(client, b""))  # counted, so that both sides count alike
            raise
        if isinstance(message, m.Retry):
            entry.done = self._telling_reopened(message)
        elif isinstance(event, e.JobsAdded):
            first = self._scheduler.batches[event.batch].jobs.total
            run = (first, first + event.count)
            self._payloads.on_disk(event.segment, self._recorder.next_row())
            self._drawn.pop(event.batch, None)
            entry.instead = codec.encode(m.SkipJobs(event.batch, event.count, first))[0]
            entry.unstored = lambda why: self._handle(
                e.EndsUnstored(event.batch, (run,), self._performer.unstored(why))
            )
        self._recorder.put(entry)
        if event is not None:
            self._handle(event)
        match message:
            case m.OpenBatch():
                self.opened(message, client)
                self._clients.tell_others(client, m.KnownBatch(message, 0, paused=False, mine=False, note=""))
            case m.AddJobs() if message.offer:
                self.additions.came(message.offer)
            case m.Cancel(runs=None):
                owner = self._clients.owner(message.batch)
                if owner is not None and self._clients[owner].number != client:
                    self._clients.send(owner, m.Dropped(message.batch))

    def _telling_reopened(self, message: m.Retry) -> Callable[[], None] | None:
        """Return what tells every client which jobs run again; in the line, so that it comes behind their ends."""
        jobs = self._scheduler.batches[message.batch].jobs
        again = Ranges(part for state in (State.FAILED, State.LOST) for run in message.runs
                       for part in jobs[state].overlap(*run))  # fmt: skip
        return (lambda: self._clients.tell(m.Reopened(message.batch, tuple(again)))) if again else None

    def opened(self, message: m.OpenBatch, client: int) -> None:
        """Take note of a batch and who opened it, also one that the journal tells of."""
        self._views.opened(message.batch, time.monotonic())
        self._opened[message.batch] = message
        self._clients.opened(message.batch, client)

    def _answer(self, peer: Peer, message: m.Message) -> None:
        """Do what a client asks for, and answer, now or later; raises ProtocolError if it is no question."""
        ask = getattr(message, "ask", None)
        if ask is None:
            raise ProtocolError(f"A {type(message).__name__} message does not belong here.")
        try:
            text = self._answered(peer, message)
        except DsageError as error:
            self._clients.send(peer, refused(error, ask))
        else:
            if text is not None:
                self._clients.send(peer, m.Answer(ask, text))

    def _answered(self, peer: Peer, message: m.Message) -> str | None:
        """Return the answer to a question; None if it comes later."""
        match message:
            case m.LookSession():
                return self._sights.session.make(time.monotonic()).decode()
            case m.LookBatch():
                batch_of(message.batch, self._scheduler)
                return self._views.make(message.batch, time.monotonic()).decode()
            case m.LookOutput():
                answer = lambda text: self._clients.send(peer, m.Answer(message.ask, text))  # noqa: E731
                self._sights.looks.look(message.batch, message.job, answer)
            case m.DescribeJob():
                batch_of(message.batch, self._scheduler)
                self._recorder.flush()  # what is to be read may stand there
                self._sights.details.describe(peer, message)
            case m.AddExpression():
                batch_of(message.batch, self._scheduler)
                self.additions.add(peer, message, self._opened[message.batch])
            case m.Order():
                self._order(peer, message)
            case m.Refresh():
                if message.variables:
                    self._set_environment(message.variables)
                self._handle(e.RefreshAsked())
                count = len(self._scheduler.pool.workers)
                text = f"refresh: {count} workers are being replaced, busy ones when their jobs are done"
                log.info("%s", text)
                return text
            case m.Adopt():
                return self._adopt(self._clients[peer].number, message.batch)
            case m.AddEngine() | m.RemoveEngine() | m.ScaleEngine():
                return self._about_engine(message)
        return None

    def _order(self, peer: Peer, order: m.Order) -> None:
        """Carry out an operator's order as requests, and answer when they are written down."""
        requests = requests_of(order, self._scheduler, self._views)
        for _, request in requests:
            self._request(self._clients[peer].number, request, [], codec.encode(request)[0])
        names = ", ".join(name for name, _ in requests)
        text = f"{order.verb}: {names}." if names else f"{order.verb}: there is nothing that it would concern."
        self._when_written(peer, order.ask, text)

    def _when_written(self, peer: Peer, ask: int, text: str) -> None:
        """Answer when all that came before is in the journal."""
        self._recorder.put(Entry(0, b"", done=lambda: self._clients.send(peer, m.Answer(ask, text))))

    def _adopt(self, client: int, batch: int) -> str:
        intake.check_batch(batch, self._scheduler)
        if not self._clients.may_add(batch, client):
            raise UsageError("another notebook has this batch and adds to it: add there, or end that one first.")
        self._clients.owns(batch, client)
        return str(self._scheduler.batches[batch].jobs.total)

    def _sync(self, peer: Peer) -> None:
        """Tell a client what there is, and begin to tell it what has ended."""
        client = self._clients[peer]
        self._clients.flush()  # of what was told before, it hears as of the past
        client.synced = True
        self._clients.send(peer, self._performer.pool())
        for number, opened in self._opened.items():
            batch = self._scheduler.batches[number]
            mine = self._clients.may_add(number, client.number)
            if mine and not client.look:
                self._clients.owns(number, client.number)
            now = msgspec.structs.replace(opened, limit=batch.limit)
            note = self._drawn.get(number, "")
            self._clients.send(peer, m.KnownBatch(now, batch.jobs.total, batch.paused, mine, note))
        self._syncs.append(
            telling.past(self._scheduler, self._recorder.journal, lambda told: self._clients.send(peer, told))
        )

    def part(self, peer: Peer) -> None:
        """Let go of a client."""
        self._sights.forget(peer)
        self._clients.part(peer)

    def note_undrawn(self) -> None:
        """End the batches whose jobs were being drawn by a client that is gone at the jobs drawn so far."""
        for number, batch in self._scheduler.batches.items():
            if number in self._drawn or self._clients.has_owner(number):
                continue
            expected = self._views.drawn(number, batch.jobs.total)
            missing = expected - batch.jobs.total
            self._drawn[number] = ""
            if missing > 0:
                self._drawn[number] = f"{missing:,} of {expected:,} jobs had not been drawn when its kernel ended"

    # --- the past ------------------------------------------------------------------------------------------

    @property
    def telling(self) -> bool:
        """Whether a client is being told of the past."""
        return bool(self._syncs)

    def tell_past(self) -> None:
        """Tell a part of it."""
        self._syncs = [sync for sync in self._syncs if next(sync, _END) is not _END]
