"""The clients of a child: who they are, whether they live, which batches are theirs, and telling them.

A client is a process of this user that said hello. One that is killed is noticed by a look at it once a second.
"""

from __future__ import annotations

import math
import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import msgspec

from jupyter_dsage import settings
from jupyter_dsage.errors import PeerGoneError, ProtocolError
from jupyter_dsage.process_identity import Start, lives
from jupyter_dsage.version import VERSION
from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from jupyter_dsage.child.recorder import Recorder
    from jupyter_dsage.net.transport import Listener, Peer
    from jupyter_dsage.store.journal import Journal
    from jupyter_dsage.wire.codec import Frame

T = TypeVar("T")


@dataclass(slots=True)
class Client:
    """One client. `look`: it only looks and gives orders; `operator`: it may say no more than an operator may."""

    number: int
    pid: int
    started: Start
    look: bool
    operator: bool = False
    got: int = 0
    """Its requests that are in the journal."""
    told: int = 0
    """... and how many of them it has been told of."""
    synced: bool = False
    """It has asked for the past: until then it knows no batches, and is told nothing of them."""


class Clients:
    """Used by the child's loop. `session`: the session's id."""

    def __init__(self, listener: Listener, session: str, recorder: Recorder) -> None:
        self._listener = listener
        self._session = session
        self._recorder = recorder
        self._journal = journal = recorder.journal
        self._clients: dict[Peer, Client] = {}
        self._owners: dict[int, int] = {}
        """Batch -> the client that adds to it."""
        self._adopted: dict[int, int] = _noted(journal, "adopted", dict[int, int]) or {}
        """Those of them that another client has opened."""
        here = _noted(journal, "here", dict[int, tuple[int, Start]]) or {}
        self._awaited = {number: process for number, process in here.items() if lives(*process)}
        """Clients of an earlier child that may come back: number -> pid and start."""
        self._await_until = time.monotonic() + settings.REVIVAL_SECONDS
        self._numbers = int(journal.meta("clients", "0")) if journal else 0
        self._next_check = 0.0
        self._told: list[list[Frame]] = []
        """What is to be told to all with the next `flush`."""
        self._acknowledge_at = math.inf
        self._here = ""
        """What was written down last of who is here."""
        self._package = VERSION
        self._python = "{}.{}".format(*sys.version_info)

    def __contains__(self, peer: Peer) -> bool:
        return peer in self._clients

    def __getitem__(self, peer: Peer) -> Client:
        return self._clients[peer]

    @property
    def staying(self) -> bool:
        """Whether there is a client that the child stays for."""
        return any(not client.look for client in self._clients.values())

    def greet(self, peer: Peer, hello: m.Hello) -> None:
        """Take a client in and welcome it; raises ProtocolError for another version, or one that is in."""
        if peer in self._clients:
            raise ProtocolError("A client says hello once.")
        python = self._python if hello.operator else hello.python  # with an operator no pickle is exchanged
        if (hello.package, python) != (self._package, self._python):
            raise ProtocolError(
                f"The client runs jupyter_dsage {hello.package} on Python {hello.python}, the child {self._package} on "
                f"{self._python}: use the same on both sides."
            )
        number = hello.client or self._new_number()
        got = self._journal.count(number) if self._journal else 0
        for other in [other for other, client in self._clients.items() if client.number == number]:
            del self._clients[other]  # its connection before this one
        look = hello.look or hello.operator
        self._clients[peer] = Client(number, hello.pid, hello.started, look, hello.operator, got, got)
        self._note_here()
        store = str(self._journal.folder) if self._journal else ""
        self.send(peer, m.Welcome(self._session, os.getpid(), self._package, self._python, number, got, store))

    def check_role(self, peer: Peer, message: m.Message) -> None:
        """Raise ProtocolError where somebody may not say this: a stranger nothing, an operator little."""
        if peer not in self._clients:
            raise ProtocolError("The first message of a client is its hello.")
        if self._clients[peer].operator and not isinstance(message, m.FROM_OPERATOR):
            kind = type(message).__name__
            raise ProtocolError(f"An operator has no {kind} message: it looks, gives orders, and sends no payload.")

    def _new_number(self) -> int:
        self._numbers += 1
        self._recorder.note("clients", str(self._numbers))
        return self._numbers

    def part(self, peer: Peer) -> None:
        """Let go of a client."""
        if self._clients.pop(peer, None) is not None:
            self._note_here()

    def _note_here(self) -> None:
        """Write down which clients are here, for a child that may come after this one."""
        here = {one.number: (one.pid, one.started) for one in self._clients.values() if not one.look}
        for number in here:
            self._awaited.pop(number, None)
        text = msgspec.json.encode(here | self._awaited).decode()
        if text != self._here:
            self._here = text
            self._recorder.note("here", text)

    def next_due(self) -> float:
        """Return when to call `check` or `acknowledge` (monotonic seconds)."""
        return min(self._next_check, self._acknowledge_at)

    def check_due(self, now: float) -> bool:
        """Tell whether it is time for `check`."""
        return now >= self._next_check

    def check(self, now: float) -> list[Peer]:
        """Let go of the clients whose processes are gone, once a second; return them."""
        if now < self._next_check:
            return []
        self._next_check = now + settings.CLIENT_CHECK_SECONDS
        late = time.monotonic() > self._await_until
        for number, (pid, started) in list(self._awaited.items()):
            if late or not lives(pid, started):
                del self._awaited[number]
        gone = [peer for peer, client in self._clients.items() if not lives(client.pid, client.started)]
        for peer in gone:
            self.part(peer)
        return gone

    # --- whose batch ---------------------------------------------------------------------------------------

    def opened(self, batch: int, client: int) -> None:
        """Note which client has opened a batch: it adds to it, until another adopts it."""
        self._owners[batch] = self._adopted.get(batch, client)

    def owns(self, batch: int, client: int) -> None:
        """Note which client adds to a batch from now on."""
        if self._owners.get(batch) != client:
            self._owners[batch] = self._adopted[batch] = client
            self._recorder.note("adopted", msgspec.json.encode(self._adopted).decode())

    def may_add(self, batch: int, client: int) -> bool:
        """Tell whether a client may add to a batch: it does already, or who did is gone."""
        return self._owners.get(batch) == client or not self.has_owner(batch)

    def has_owner(self, batch: int) -> bool:
        """Tell whether the client that adds to a batch is here, or may come back after an earlier child's end."""
        owner = self._owners.get(batch)
        return owner in self._awaited or any(client.number == owner for client in self._clients.values())

    def owner(self, batch: int) -> Peer | None:
        """Return the client that adds to a batch, if it is here."""
        owner = self._owners.get(batch)
        return next((peer for peer, client in self._clients.items() if client.number == owner and client.synced), None)

    # --- telling -------------------------------------------------------------------------------------------

    def send(self, peer: Peer, message: m.Message, *frames: Frame) -> None:
        """Send a message to one client, after what was told to all; one that is gone is let go of."""
        self.flush()
        try:
            self._listener.send(peer, codec.encode(message, *frames))
        except PeerGoneError:
            self.part(peer)

    def tell(self, message: m.Message, *frames: Frame) -> None:
        """Send a message to every client that has asked for the past."""
        self.pass_on(codec.encode(message, *frames))

    def pass_on(self, data: list[Frame]) -> None:
        """Tell what is encoded already to every client that has asked for the past, with the next `flush`."""
        self._told.append(data)

    def flush(self) -> None:
        """Send what is to be told to all, together: a client that is woken once does with half the time."""
        told, self._told = self._told, []
        if not told:
            return
        *others, last = told
        for peer, client in list(self._clients.items()):
            try:
                if client.synced:
                    for data in others:
                        self._listener.send(peer, data, more=True)
                    self._listener.send(peer, last)
            except PeerGoneError:
                self.part(peer)

    def tell_all(self, message: m.Message) -> None:
        """Send a message to every client, whatever it knows."""
        for peer in list(self._clients):
            self.send(peer, message)

    def tell_others(self, client: int, message: m.Message) -> None:
        """Send a message to every client but one."""
        for peer, other in list(self._clients.items()):
            if other.number != client and other.synced:
                self.send(peer, message)

    def acknowledge(self, stored: dict[int, int], now: float) -> None:
        """Tell clients how many of their requests are in the journal now, several together: a wake costs 0.1 ms."""
        for client in self._clients.values():
            if client.number in stored:
                client.got += stored[client.number]
                self._acknowledge_at = min(self._acknowledge_at, now + settings.ACKNOWLEDGE_SECONDS)
        if now < self._acknowledge_at:
            return
        self._acknowledge_at = math.inf
        for peer, client in list(self._clients.items()):
            if client.got > client.told:
                client.told = client.got
                self.send(peer, m.Stored(client.got))


def _noted(journal: Journal | None, key: str, kind: type[T]) -> T | None:
    """Return what an earlier child noted under a key, or None."""
    text = journal.meta(key) if journal else ""
    return msgspec.json.decode(text, type=kind) if text else None


class Idle:
    """Tells when a child that nobody needs has been so for long enough."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def over(self, *, busy: bool, now: float) -> bool:
        """Note whether there is work or a client; tell whether there has been neither for the time."""
        if busy:
            self._since = None
        elif self._since is None:
            self._since = now
        return self._since is not None and now - self._since >= self._seconds

    def next_due(self) -> float | None:
        """Return when it will be over, if nothing comes (monotonic seconds)."""
        return None if self._since is None else self._since + self._seconds
