"""The clients of a child: who they are, whether they live, which batches are theirs, and telling them.

A client is a process of this user that said hello. One that is killed is noticed by a look at it once a second.
"""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.errors import PeerGoneError, ProtocolError
from jupyter_dsage.store.sessions import lives
from jupyter_dsage.version import VERSION
from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from jupyter_dsage.child.recorder import Recorder
    from jupyter_dsage.net.transport import Listener, Peer
    from jupyter_dsage.wire.codec import Frame


@dataclass(slots=True)
class Client:
    """One client. `look`: it only looks and gives orders."""

    number: int
    pid: int
    started: float
    look: bool
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
        self._numbers = int(journal.meta("clients", "0")) if journal else 0
        self._next_check = 0.0
        self._acknowledge_at = math.inf
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
        """Take a client in and welcome it; raises ProtocolError for another version."""
        if (hello.package, hello.python) != (self._package, self._python):
            raise ProtocolError(
                f"The client runs jupyter_dsage {hello.package} on Python {hello.python}, the child {self._package} on "
                f"{self._python}: use the same on both sides."
            )
        number = hello.client or self._new_number()
        got = self._journal.count(number) if self._journal else 0
        for other in [other for other, client in self._clients.items() if client.number == number]:
            del self._clients[other]  # its connection before this one
        self._clients[peer] = Client(number, hello.pid, hello.started, hello.look, got, got)
        store = str(self._journal.folder) if self._journal else ""
        self.send(peer, m.Welcome(self._session, os.getpid(), self._package, self._python, number, got, store))

    def _new_number(self) -> int:
        self._numbers += 1
        self._recorder.note("clients", str(self._numbers))
        return self._numbers

    def part(self, peer: Peer) -> None:
        """Let go of a client."""
        self._clients.pop(peer, None)

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
        gone = [peer for peer, client in self._clients.items() if not lives(client.pid, client.started)]
        for peer in gone:
            self.part(peer)
        return gone

    # --- whose batch ---------------------------------------------------------------------------------------

    def owns(self, batch: int, client: int) -> None:
        """Note which client adds to a batch."""
        self._owners[batch] = client

    def may_add(self, batch: int, client: int) -> bool:
        """Tell whether a client may add to a batch: it does already, or who did is gone."""
        owner = self._owners.get(batch)
        return owner == client or not self.has_owner(batch)

    def has_owner(self, batch: int) -> bool:
        """Tell whether the client that adds to a batch is here."""
        return self._owners.get(batch) in {client.number for client in self._clients.values()}

    # --- telling -------------------------------------------------------------------------------------------

    def send(self, peer: Peer, message: m.Message, *frames: Frame) -> None:
        """Send a message to one client; one that is gone is let go of."""
        try:
            self._listener.send(peer, codec.encode(message, *frames))
        except PeerGoneError:
            self.part(peer)

    def tell(self, message: m.Message, *frames: Frame) -> None:
        """Send a message to every client that has asked for the past."""
        self.pass_on(codec.encode(message, *frames))

    def pass_on(self, data: list[Frame]) -> None:
        """Send what is encoded already to every client that has asked for the past."""
        for peer, client in list(self._clients.items()):
            try:
                if client.synced:
                    self._listener.send(peer, data)
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
