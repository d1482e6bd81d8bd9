"""A room server: one child's place on this host, reached over a socket in a folder of this user's alone.

``python -m jupyter_dsage.worker.rooms FOLDER``, started by a bridge (`worker.bridge`) that a child has sent, outlives
it: workers run on and hold their outcomes while the link is down, and it leaves when the child says so or nobody has
come back for `linger`. It relays and decides nothing; it unpickles nothing and runs no user code.
"""

from __future__ import annotations

import fcntl
import hmac
import logging
import os
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.errors import DsageError, ProtocolError
from jupyter_dsage.net import squeeze
from jupyter_dsage.net.packet_link import PacketLink
from jupyter_dsage.net.sweep import adopt
from jupyter_dsage.net.talk import Talk
from jupyter_dsage.net.unix_transport import UnixListener, UnixNetwork
from jupyter_dsage.net.url_parts import MOST_SLOTS, default_slots
from jupyter_dsage.store.sessions import write_connection
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire import remote
from jupyter_dsage.wire.safe_text import set_up_logging
from jupyter_dsage.worker.alarm import Alarm
from jupyter_dsage.worker.offered import Services
from jupyter_dsage.worker.reception import check_versions
from jupyter_dsage.worker.room import Room

if TYPE_CHECKING:
    from jupyter_dsage.net.transport import Peer, Source
    from jupyter_dsage.wire.codec import Frame

log = logging.getLogger(__name__)

_ROLE = "client"
"""Who could open the socket could run anything here: it is this user."""


class RoomServer:
    """Listens in `folder` at once; `run` serves until the child needs it no more."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._network = UnixNetwork()
        self._poller = self._network.poller()
        self._listener = UnixListener(f"ipc://{folder / 'rooms.sock'}", PacketLink)
        self._services = Services()
        self._room: Room[Talk] | None = None
        self._alone_since = time.monotonic()
        self._leaving = False
        self._next_beat = 0.0
        self.alarm = Alarm(self._poller)
        """Rings when a signal says to leave."""

    def run(self) -> None:
        """Serve; leaves nothing behind."""
        self._poller.watch(self._listener)
        try:
            while not (self._leaving or self.alarm.rung):
                self._step()
        finally:
            self._close_room("the server leaves")
            self._poller.unwatch(self._listener)
            self._listener.close()
            self.alarm.close()
            self._poller.close()

    # --- the loop ------------------------------------------------------------------------------------------

    def _step(self) -> None:
        self._listener.tend()
        ready = self._poller.wait(self._timeout())
        for _ in range(settings.MESSAGES_AT_A_TIME):
            got = self._listener.receive()
            if got is None:
                break
            peer, frames = got
            try:
                self._heard(peer, frames)
            except ProtocolError as error:
                self._refuse(peer, error)
        if self._room is not None:
            self._serve(self._room, ready)
        elif time.monotonic() - self._alone_since > settings.ROOMS_ALONE_SECONDS:
            log.info("no child has spoken to it: it leaves")
            self._leaving = True

    def _timeout(self) -> float:
        due = self._room.next_due() if self._room is not None else None
        beat = settings.BEAT_SECONDS
        return beat if due is None else max(0.0, min(beat, due - time.monotonic()))

    def _serve(self, room: Room[Talk], ready: list[Source]) -> None:
        room.read(ready)
        try:
            room.hear()
        except ProtocolError as error:
            if room.peer is not None:
                self._refuse(room.peer, error)
        self._share(room)
        self._look_after(room)

    def _share(self, room: Room[Talk]) -> None:
        wanted = _granted(room.wanted)
        if wanted != room.slots:
            room.slots = wanted
            room.talk.post(0, remote.Granted(wanted))

    def _look_after(self, room: Room[Talk]) -> None:
        """Part with a connection that is gone or silent; leave when the place is needed no more."""
        now = time.monotonic()
        link = self._listener.link(room.peer) if room.peer is not None else None
        if isinstance(link, PacketLink):
            room.heard_at = max(room.heard_at, link.heard_at)
        silent = now - room.heard_at
        if room.peer is not None and (link is None or silent > settings.AWAY_SECONDS):
            log.info("%s: its connection is gone; its workers go on", room.name)
            self._part(room)
        if room.peer is not None and now >= self._next_beat:  # what the child says may be stuck behind what it sends
            self._next_beat = now + settings.BEAT_SECONDS
            room.talk.say(remote.Beat(-1))
        if room.over:
            self._leaving = True
        elif room.peer is None and silent > room.linger:
            log.info("%s: nobody came back for %.0f s", room.name, silent)
            self._leaving = True

    # --- the child -----------------------------------------------------------------------------------------

    def _heard(self, peer: Peer, frames: list[Frame]) -> None:
        envelope, rest = remote.unseal(frames)
        room = self._room
        ours = room is not None and room.peer == peer
        if room is not None and ours:
            room.heard_at = time.monotonic()
            if envelope.number:
                room.talk.take(envelope, rest)
                return
        message, _ = remote.FROM_ROLE[_ROLE](rest)
        if isinstance(message, remote.Dial):
            self._admit(peer, message)
        elif room is None or not ours:
            log.info("what came on a connection that has not greeted, or that was let go of, is left")
        elif isinstance(message, remote.Part):  # by a child that leaves before it was answered
            room.over = True
        elif isinstance(message, remote.Beat):
            room.talk.take(envelope, [])
            room.talk.say(message)
        else:
            raise ProtocolError(f"A {type(message).__name__} message must be numbered.")

    def _admit(self, peer: Peer, dial: remote.Dial) -> None:
        check_versions(dial)
        room = self._room
        if room is not None and not hmac.compare_digest(room.lineage.encode(), dial.lineage.encode()):
            raise ProtocolError("This place is somebody else's.")
        resumed = room is not None and room.token == dial.token
        if room is None or not resumed:
            self._close_room("its child has given it up")
            setup = m.SupervisorSetup("", str(self._folder), str(Path.cwd()), tuple(sys.path))
            room = self._room = Room(dial, _ROLE, b"", setup, self._network, self._poller, log, Talk(self._poller.wake))
        else:
            self._part(room)
        room.wanted = dial.slots
        room.slots = _granted(room.wanted)
        room.peer, room.heard_at = peer, time.monotonic()
        answer = remote.Admitted(
            resumed=resumed,
            got=room.talk.got,
            role=_ROLE,
            host=socket.gethostname(),
            pid=os.getpid(),
            slots=room.slots,
            services=self._services.names,
            functions=True,
            bulk_port=0,
            certificate="",
            squeezes=squeeze.present(),
        )
        self._listener.send(peer, remote.greeting(answer))
        link = self._listener.link(peer)
        if isinstance(link, PacketLink):
            room.talk.connect(lambda frames: self._listener.send(peer, frames), dial.got if resumed else 0)
            room.talk.carry_along(link, squeezes=dial.squeezes)
        log.info("%s %s", room.name, "is back" if resumed else f"was admitted with {room.slots} slots")

    def _part(self, room: Room[Talk]) -> None:
        """Let go of a room's connection; its workers go on."""
        room.talk.disconnect()
        if room.peer is not None:
            self._listener.drop(room.peer)
            room.peer = None

    def _refuse(self, peer: Peer, error: ProtocolError) -> None:
        """Tell a peer why it is not heard any more; its connection ends when it has gone."""
        log.warning("a connection is refused: %s", error)
        try:
            self._listener.send(peer, remote.greeting(m.Refused(str(error))))
        except ConnectionError:
            log.info("it was gone already")
        room = self._room
        if room is not None and room.peer == peer:
            room.talk.disconnect()
            room.peer = None

    def _close_room(self, why: str) -> None:
        if self._room is not None:
            log.info("%s ends: %s", self._room.name, why)
            self._part(self._room)
            self._room.leave()
            self._room.wait_gone(settings.DIE_SECONDS)
            self._room = None


def _granted(wanted: int) -> int:
    """Return the slots of this host: as many as are wanted, and one a core where no number was said."""
    return wanted if wanted < MOST_SLOTS else default_slots()


def main() -> None:
    """Be the room server of a folder until its child needs it no more, unless another is it already."""
    folder = Path(sys.argv[1])
    set_up_logging("%(asctime)s dsage %(levelname)s %(message)s", logging.INFO, stream=sys.stderr)
    os.chdir(Path.home())
    with (folder / "rooms.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another bridge was quicker
        (folder / "rooms.sock").unlink(missing_ok=True)  # of one that was killed
        adopt()
        try:
            write_connection(str(folder))  # so that the folder is swept if this process is killed
            server = RoomServer(folder)
            server.alarm.heed()
            server.run()
        except DsageError as error:
            raise SystemExit(str(error)) from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
