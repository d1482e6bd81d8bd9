"""Where clients are served: what they ask is checked, written down, carried out and answered.

The loop gives it what arrives. What concerns engines it passes back.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import msgspec

from jupyter_dsage.child import intake, telling
from jupyter_dsage.child.recorder import Entry
from jupyter_dsage.core import events as e
from jupyter_dsage.errors import DsageError, ProtocolError, UsageError
from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jupyter_dsage.child.clients import Clients
    from jupyter_dsage.child.looks import Looks
    from jupyter_dsage.child.payloads import Payloads
    from jupyter_dsage.child.perform import Performer
    from jupyter_dsage.child.recorder import Recorder
    from jupyter_dsage.child.view import Views
    from jupyter_dsage.core.events import Event
    from jupyter_dsage.core.scheduler import Scheduler
    from jupyter_dsage.net.transport import Peer
    from jupyter_dsage.wire.codec import Frame

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
        scheduler: Scheduler,
        payloads: Payloads,
        clients: Clients,
        recorder: Recorder,
        performer: Performer,
        views: Views,
        looks: Looks,
        handle: Callable[[Event], None],
        about_engine: Callable[[AboutEngine], str],
        leave: Callable[[str], None],
    ) -> None:
        self._scheduler = scheduler
        self._payloads = payloads
        self._clients = clients
        self._recorder = recorder
        self._performer = performer
        self._views = views
        self._looks = looks
        self._handle = handle
        self._about_engine = about_engine
        self._leave = leave
        self._syncs: list[Iterator[None]] = []
        """Clients that are being told of the past."""
        self._opened: dict[int, m.OpenBatch] = {}
        """Batches as their clients opened them."""
        self._drawn: dict[int, str] = {}
        """Batch -> that who drew its jobs is gone, in a sentence."""

    def take(self, peer: Peer, frames: list[Frame]) -> None:
        """Take a message in and do what it asks for; one that is none of ours is refused in a sentence."""
        try:
            self._from_client(peer, *codec.from_client(frames), frames[0])
        except ProtocolError as error:
            log.warning("a client's message was refused: %s", error)
            self._clients.send(peer, m.Refused(str(error)))

    def _from_client(self, peer: Peer, message: m.Message, frames: list[Frame], header: Frame) -> None:
        if isinstance(message, m.Hello):
            self._clients.greet(peer, message)
            return
        if peer not in self._clients:
            raise ProtocolError("The first message of a client is its hello.")
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
            case m.LookOutput():
                self._looks.look(peer, message)
            case m.Settle():
                self._recorder.put(Entry(0, b"", done=lambda: self._clients.send(peer, m.Answer(message.ask, ""))))
            case m.Watch():
                intake.check_batch(message.batch, self._scheduler)
                self._views.watch(message, peer)
            case m.Expect():
                intake.check_batch(message.batch, self._scheduler)
                self._views.expect(message)
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
        if isinstance(message, m.Function):
            entry.name = message.function
        elif isinstance(event, e.JobsAdded):
            first = self._scheduler.batches[event.batch].jobs.total
            run = (first, first + event.count)
            self._payloads.on_disk(event.segment, self._recorder.next_row())
            self._drawn.pop(event.batch, None)
            entry.instead = codec.encode(m.SkipJobs(event.batch, event.count))[0]
            entry.unstored = lambda why: self._handle(
                e.EndsUnstored(event.batch, (run,), self._performer.unstored(why))
            )
        self._recorder.put(entry)
        if event is not None:
            self._handle(event)
        if isinstance(message, m.OpenBatch):
            self.opened(message)
            self._clients.owns(message.batch, client)
            self._clients.tell_others(client, m.KnownBatch(message, 0, paused=False, mine=False, note=""))

    def opened(self, message: m.OpenBatch) -> None:
        """Take note of a batch, also one that the journal tells of."""
        self._views.opened(message.batch, time.monotonic())
        self._opened[message.batch] = message

    def _answer(self, peer: Peer, message: m.Message) -> None:
        """Do what a client asks for, and answer; raises ProtocolError if it is no question."""
        if not isinstance(message, (m.Refresh, m.AddEngine, m.RemoveEngine, m.ScaleEngine, m.Adopt)):
            raise ProtocolError(f"A {type(message).__name__} message does not belong here.")
        try:
            match message:
                case m.Refresh():
                    self._handle(e.RefreshAsked())
                    count = len(self._scheduler.pool.workers)
                    text = f"refresh: {count} workers are being replaced, busy ones when their jobs are done"
                    log.info("%s", text)
                case m.Adopt():
                    text = self._adopt(self._clients[peer].number, message.batch)
                case _:
                    text = self._about_engine(message)
        except DsageError as error:
            answer = m.Answer(message.ask, str(error), failed=True)
        else:
            answer = m.Answer(message.ask, text)
        self._clients.send(peer, answer)

    def _adopt(self, client: int, batch: int) -> str:
        intake.check_batch(batch, self._scheduler)
        if not self._clients.may_add(batch, client):
            raise UsageError("another notebook has this batch and adds to it: add there, or end that one first.")
        self._clients.owns(batch, client)
        return str(self._scheduler.batches[batch].jobs.total)

    def _sync(self, peer: Peer) -> None:
        """Tell a client what there is, and begin to tell it what has ended."""
        client = self._clients[peer]
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
        self._views.forget(peer)
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
