"""One side of the link between a child and a worker server: a conversation, and the connections that carry it now.

Both sides have one; who dials and who listens is `net.dialer`'s and `worker.server`'s. Connections come and go: what
was not acknowledged goes out again on the next ones. Frames of the bulk connection arrive in its thread, and are
taken in by `heard`, on the caller's.
"""

from __future__ import annotations

import collections
import itertools
from typing import TYPE_CHECKING

from jupyter_dsage.errors import PeerGoneError
from jupyter_dsage.net import squeeze
from jupyter_dsage.net.bulk import BulkReceiver, BulkSender
from jupyter_dsage.net.conversation import Conversation
from jupyter_dsage.net.packet_link import Lane
from jupyter_dsage.wire import codec, remote

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from jupyter_dsage.net.packet_link import PacketLink
    from jupyter_dsage.wire.codec import Frame
    from jupyter_dsage.wire.messages import Message

    Send = Callable[[list[Frame]], None]


class Talk:
    """`wake`: called from the bulk threads when something has arrived. `most`: see `Conversation`."""

    def __init__(self, wake: Callable[[], None], most: int | None = None) -> None:
        self._wake = wake
        self._most = most
        self._conversation = Conversation(most)
        self._send: Send | None = None
        self._sender: BulkSender | Lane | None = None
        self._receiver: BulkReceiver | None = None
        self._unsent: collections.deque[tuple[int, Frame]] = collections.deque()
        """Frames for the bulk connection, while there is none."""
        self._arrived: collections.deque[tuple[int, int, Frame]] = collections.deque()
        """(which bulk connection, key, frame): what a former one brings too late belongs to nothing here."""
        self._ends = itertools.count(1)
        self._live: dict[bool, int] = {}
        """Direction -> which bulk connection is the one of now."""
        self.broken = ""
        """Why the bulk connection is no use any more; empty while it is."""

    @property
    def got(self) -> int:
        """All up to this number has arrived whole."""
        return self._conversation.got

    @property
    def kept_bytes(self) -> int:
        """Bytes that were sent and that the other side has not acknowledged."""
        return self._conversation.kept_bytes

    def restart(self) -> None:
        """Forget everything: the other side knows nothing of us any more."""
        self.disconnect()
        self._conversation = Conversation(self._most)

    # --- connections ---------------------------------------------------------------------------------------

    def connect(self, send: Send, got: int) -> None:
        """Talk over a new connection, on which the other side has said what it got; the rest goes out again."""
        self._conversation.acknowledged(got)
        self._send = send
        for letter in self._conversation.kept():
            self._transmit(letter.sealed(self.got))
            self._unsent.extend(letter.bulk())
        self._send_bulk()

    def carry(self, sock: ssl.SSLSocket, *, out: bool, squeezes: bool) -> None:
        """Take a bulk connection, for sending (`out`) or for receiving, instead of one that there was.

        `squeezes`: the other side reads frames that zstd has made smaller.
        """
        number = self._live[out] = next(self._ends)

        def ended(error: Exception | None) -> None:
            if self._live.get(out) == number:
                self.broken = str(error or "it ended")
                self._wake()

        if out:
            if self._sender is not None:
                self._sender.close()
            self._sender = BulkSender(sock, ended, squeezes=squeezes)
            self._send_bulk()
        else:
            if self._receiver is not None:
                self._receiver.close()

            def arrived(key: int, frame: bytearray) -> None:
                self._arrived.append((number, key, memoryview(frame)))
                self._wake()

            self._receiver = BulkReceiver(sock, arrived, ended, self._conversation.expects)

    def carry_along(self, link: PacketLink, *, squeezes: bool) -> None:
        """Have large frames go over the link itself, beside its messages. `squeezes`: the other side reads zstd."""
        link.squeezes = squeezes and squeeze.present()
        number = self._live[False] = next(self._ends)
        link.allowed = self._conversation.expects
        link.arrived = lambda key, frame: self._arrived.append((number, key, frame))
        self._sender = Lane(link)
        self._send_bulk()

    def disconnect(self) -> None:
        """Let go of all connections; what is posted from now on waits for the next ones."""
        self._send = None
        self.drop_bulk()

    def drop_bulk(self) -> None:
        """Let go of the bulk connections only: the link may still have something to say."""
        self._live.clear()
        for end in (self._sender, self._receiver):
            if end is not None:
                end.close()
        self._sender = self._receiver = None
        self._unsent.clear()
        self._arrived.clear()
        self.broken = ""

    # --- out -----------------------------------------------------------------------------------------------

    def post(self, worker: int, message: Message, *frames: Frame) -> None:
        """Send a numbered message now or on the next connection."""
        letter = self._conversation.post(worker, codec.encode(message, *frames))
        if self._send is not None:
            self._transmit(letter.sealed(self.got))
            self._unsent.extend(letter.bulk())
            self._send_bulk()

    def say(self, message: Message) -> None:
        """Send a message that need not arrive, with word of what has; nothing where there is no connection."""
        self._transmit(remote.seal(remote.Envelope(0, 0, self.got), codec.encode(message)))

    def _transmit(self, frames: list[Frame]) -> None:
        if self._send is not None:
            try:
                self._send(frames)
            except PeerGoneError:
                self._send = None  # it is in the conversation, and goes out on the next connection

    def _send_bulk(self) -> None:
        while self._unsent and self._sender is not None:
            try:
                self._sender.send(*self._unsent[0])
            except PeerGoneError as error:
                self.broken = str(error)
                return
            self._unsent.popleft()

    # --- in ------------------------------------------------------------------------------------------------

    def take(self, envelope: remote.Envelope, inline: list[Frame]) -> None:
        """Take in what arrived over the link; raises ProtocolError for nonsense."""
        self._conversation.acknowledged(envelope.got)
        if envelope.number:
            self._conversation.take(envelope, inline)

    def heard(self) -> Iterator[tuple[int, list[Frame]]]:
        """Yield the messages whose turn has come: (worker, frames). Raises ProtocolError for nonsense."""
        while self._arrived:
            number, key, frame = self._arrived.popleft()
            if number == self._live.get(False):
                self._conversation.take_bulk(key, frame)
        ready = self._conversation.ready()
        while ready:
            yield ready.popleft()
