"""The transport interface: frames in, frames out, and waiting for either. Its implementations pass one test set.

`unix_transport` carries what goes between processes of one host, `zmq_transport` what goes to others; `stream` is one
socket between a process and the one that started it; `testing.fake_net` is memory. None of the calls but `Poller.wait`
blocks; what a link could not send at once leaves while a poller that watches it waits.
A link or listener belongs to the thread that uses it; `Poller.wake` alone may be called from any thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

Frame = bytes | memoryview
Peer = bytes
"""Names one connection to a listener; a peer that connects again has a new name."""


class Link(Protocol):
    """A connection to one peer. Messages arrive whole, once, in the order they were sent."""

    def send(self, frames: Sequence[Frame]) -> None:
        """Send one message, or keep it until the peer is there; raises PeerGoneError if it is known to be gone."""

    def receive(self) -> list[Frame] | None:
        """Return the next message that is here, or None; raises PeerGoneError after the last one of a gone peer."""

    def close(self) -> None:
        """Close at once; what has not been sent may be lost. Closing twice is no error."""


class Listener(Protocol):
    """An address where many peers connect."""

    address: str

    def send(self, peer: Peer, frames: Sequence[Frame], *, more: bool = False) -> None:
        """Send one message to a peer that was heard from; raises PeerGoneError if it is known to be gone.

        `more`: another one to this peer follows at once; they may leave together.
        """

    def receive(self) -> tuple[Peer, list[Frame]] | None:
        """Return the next message that is here and who sent it, or None."""

    def keep(self) -> None:
        """Make anew what the address needs on disk, if that was removed; connections that there are stay."""

    def close(self) -> None:
        """Close at once and remove what the address left on disk. Closing twice is no error."""


class FileLike(Protocol):
    """Anything with a descriptor that becomes readable: a pipe, a process's life line."""

    def fileno(self) -> int:
        """Return the descriptor."""


Source = Link | Listener | FileLike


class Poller(Protocol):
    """Waits for links, listeners and descriptors."""

    def watch(self, source: Source) -> None:
        """Include a source from now on."""

    def unwatch(self, source: Source) -> None:
        """Leave a source out; to be called before it is closed."""

    def wait(self, seconds: float | None) -> list[Source]:
        """Return the sources that have something, after at most `seconds` (None: no limit).

        Returns early, perhaps with nothing, after `wake`.
        """

    def wake(self) -> None:
        """Make `wait` return now, or the next `wait` if none is under way; after `close` it does nothing."""

    def close(self) -> None:
        """Free its descriptors. Closing twice is no error."""


class Network(Protocol):
    """One transport: makes links, listeners and pollers that belong together."""

    def listen(self, address: str) -> Listener:
        """Return a listener at an address that is free."""

    def connect(self, address: str) -> Link:
        """Return a link to an address; nobody needs to listen there yet."""

    def poller(self) -> Poller:
        """Return a poller for this network's links and listeners, and for descriptors."""

    def close(self) -> None:
        """Free everything; links, listeners and pollers must be closed before."""
