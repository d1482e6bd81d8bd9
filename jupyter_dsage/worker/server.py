"""A worker server: listens, admits children by their keys, and gives each a room with workers on this host.

``jupyter dsage worker`` runs one in the foreground. One thread serves all (the bulk connections have their own); it
unpickles nothing and runs no user code, so a worker that holds the interpreter lock never delays a beat.
"""

from __future__ import annotations

import logging
import os
import queue
import resource
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.errors import DsageError, PeerGoneError, ProtocolError, UnknownServiceError, UsageError
from jupyter_dsage.net.bulk import DOWN
from jupyter_dsage.net.bulk_door import BulkDoor
from jupyter_dsage.net.doorman import Doorman
from jupyter_dsage.net.keys import Keys
from jupyter_dsage.net.runtime import runtime_folder
from jupyter_dsage.net.secure import DOMAIN, Asked, SecureListener
from jupyter_dsage.net.sweep import adopt
from jupyter_dsage.net.throttle import Throttle
from jupyter_dsage.net.unix_transport import UnixNetwork
from jupyter_dsage.net.zmq_transport import ZmqNetwork
from jupyter_dsage.store.sessions import new_host_folder
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire import remote
from jupyter_dsage.wire.safe_text import set_up_logging
from jupyter_dsage.worker.alarm import Alarm
from jupyter_dsage.worker.offered import Services, load
from jupyter_dsage.worker.reception import Reception

if TYPE_CHECKING:
    import ssl

    from jupyter_dsage.net.talk import Talk
    from jupyter_dsage.net.transport import Peer, Source
    from jupyter_dsage.net.worker_options import WorkerOptions
    from jupyter_dsage.wire.codec import Frame
    from jupyter_dsage.worker.room import Room

log = logging.getLogger(__name__)


def serve(options: WorkerOptions) -> None:
    """Be a worker server until told to leave (SIGTERM, SIGINT).

    Raises UsageError for services that cannot be imported, StartError for a port that is taken.
    """
    set_up_logging("%(asctime)s dsage %(levelname)s %(message)s", logging.INFO, filename=options.log or None)
    sys.path.insert(0, str(Path.cwd()))  # services live beside where it was started, as with `python -m`
    for name, target in options.services:
        _check_service(name, target)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:  # strangers' connections take descriptors too
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = Server(options)
    server.alarm.heed()
    adopt()  # what a killed supervisor leaves is collected here
    print(server.greeting(), flush=True)  # noqa: T201  (a command line prints)
    server.run()


def _check_service(name: str, target: str) -> None:
    try:
        load(target)
    except (ImportError, UnknownServiceError) as error:
        raise UsageError(f"--service {name}={target}: {error}") from None


class Server:
    """Listens at once; `run` serves."""

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._keys = Keys()
        self._network = ZmqNetwork()
        self._poller = self._network.poller()
        pair = self._keys.server()
        self._doorman = Doorman(self._network.context, DOMAIN, self._role)
        self._listener = SecureListener(self._network, options.host, options.port, pair)
        self._door = BulkDoor(options.host, options.bulk_port)
        self._public = pair.public_text
        self._bulk: queue.SimpleQueue[tuple[str, ssl.SSLSocket, bytes]] = queue.SimpleQueue()
        services = Services(options.services)
        plain = options.services_only
        self._folder = new_host_folder(runtime_folder())
        setup = m.SupervisorSetup("", self._folder, os.getcwd(), tuple(sys.path), options.services, plain)  # noqa: PTH109
        self._reception = Reception(options, setup, services, UnixNetwork(), self._poller, self._door, self._bulk, log)
        self._peers: dict[Peer, Room[Talk]] = {}
        self._banned: dict[Peer, None] = {}
        """Connections that sent nonsense, oldest first: what they send is not read any more."""
        self._parted: dict[Peer, None] = {}
        """Connections of children that were silent for long or have newer ones, oldest first: what comes late on them
        is no nonsense, and not needed. A child that hears nothing dials anew."""
        self._throttle = Throttle()
        self._next_look = 0.0
        self.alarm = Alarm(self._poller)
        """Rings when a signal says to leave."""

    def greeting(self) -> str:
        """Return what the server says when it listens: its URL, with its public key."""
        options = self._options
        host = socket.gethostname() if options.host in ("0.0.0.0", "::") else options.host  # noqa: S104  (compared)
        place = f"[{host}]:{self._listener.port}" if ":" in host else f"{host}:{self._listener.port}"
        what = "services only" if options.services_only else "functions and services"
        names = ", ".join(self._reception.services)
        slots = f"{options.slots} slot{'' if options.slots == 1 else 's'}"
        return (
            f"Worker server on {socket.gethostname()}, process {os.getpid()}: {slots} for {what} "
            f"({names}); bulk port {self._door.port}.\ndsage://{place}?slots={options.slots}&key={self._public}"
        )

    def _role(self, key: bytes) -> str | None:
        """Return the role of a key here, None for a stranger's. Asked by the doorman, for each connection anew."""
        known = self._keys.authorized().get(key)
        if known is None:
            return None
        return "caller" if self._options.services_only else known[0]

    # --- the loop ------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until a signal says to leave; leaves nothing behind."""
        doorman = Asked(self._doorman.socket)
        for source in (self._listener, doorman):
            self._poller.watch(source)
        try:
            while not self.alarm.rung:
                self._step(doorman)
        finally:
            for source in (self._listener, doorman):
                self._poller.unwatch(source)
            self._clean_up()

    def _step(self, doorman: Source) -> None:
        ready = self._poller.wait(self._timeout())
        now = time.monotonic()
        if doorman in ready:
            self._doorman.serve()
        if self._listener in ready:
            self._read_listener(now)
        self._take_bulk()
        for room in self._reception.rooms():
            self._serve_room(room, ready)
        if now >= self._next_look:
            self._next_look = now + settings.BEAT_SECONDS
            self._look_around(now)
        self._reception.share()

    def _timeout(self) -> float:
        dues = [self._next_look, *(due for room in self._reception.rooms() if (due := room.next_due()) is not None)]
        return max(0.0, min(dues) - time.monotonic())

    def _serve_room(self, room: Room[Talk], ready: list[Source]) -> None:
        room.read(ready)
        try:
            room.hear()
        except ProtocolError as error:
            self._ban(room.peer, room, error)
            room.over = room.role == "caller"  # it keeps no place here
        if room.over:
            self._close(room, "its child needs it no more")
        elif room.talk.broken:
            log.info("%s: its bulk connection is gone: %s", room.name, room.talk.broken)
            room.talk.drop_bulk()  # a child that leaves says so on the link; one that lives dials again

    # --- peers ---------------------------------------------------------------------------------------------

    def _read_listener(self, now: float) -> None:
        for _ in range(settings.MESSAGES_AT_A_TIME):
            got = self._listener.hear()
            if got is None:
                return
            peer, role, key, frames = got
            if peer in self._banned:
                continue
            room = self._peers.get(peer)
            try:
                self._heard(peer, role, key, frames, now)
            except ProtocolError as error:
                self._ban(peer, room, error)
            except PeerGoneError:
                log.debug("a peer that greeted is gone already")

    def _heard(self, peer: Peer, role: str, key: bytes, frames: list[Frame], now: float) -> None:
        envelope, rest = remote.unseal(frames)
        room = self._peers.get(peer)
        if room is not None:
            room.heard_at = now
            if envelope.number:
                room.talk.take(envelope, rest)
                return
        message, _ = remote.FROM_ROLE[role](rest)
        if isinstance(message, remote.Dial):
            self._admit(peer, role, key, message, now)
        elif room is None and peer in self._parted:
            log.debug("a message on a connection that was let go of is left")
        elif room is None:
            raise ProtocolError("The first message on a connection is the child's greeting.")
        elif isinstance(message, remote.Beat):
            room.talk.take(envelope, [])
            room.talk.say(message)
        else:
            raise ProtocolError(f"A {type(message).__name__} message must be numbered.")

    def _admit(self, peer: Peer, role: str, key: bytes, dial: remote.Dial, now: float) -> None:
        for old in self._reception.given_up(dial, role, key):
            self._close(old, "its child has given it up")
        room, resumed = self._reception.admit(dial, role, key)
        self._let_go(room)
        room.talk.disconnect()
        room.peer, room.heard_at = peer, now
        self._peers[peer] = room
        self._parted.pop(peer, None)
        self._listener.send(peer, remote.greeting(self._reception.admitted(room, resumed=resumed)))
        room.talk.connect(lambda frames: self._listener.send(peer, frames), dial.got if resumed else 0)
        log.info("%s %s", room.name, "is back" if resumed else f"was admitted with {room.slots} slots")

    def _ban(self, peer: Peer | None, room: Room[Talk] | None, error: ProtocolError) -> None:
        """Hear a peer no more that sent nonsense; say so to it, and to the log."""
        if peer is None:
            return
        self._banned[peer] = None
        while len(self._banned) > settings.BANNED_KEPT:
            self._banned.pop(next(iter(self._banned)))
        held = self._throttle.note(room.name if room else "a new peer", time.monotonic())
        if held is not None:
            more = f" ({held} more since the last line)" if held else ""
            log.warning("%s was refused: %s%s", room.name if room else "A peer", error, more)
        try:
            self._listener.send(peer, remote.greeting(m.Refused(str(error))))
        except ConnectionError:
            log.debug("the refused peer is gone already")
        if room is not None:
            self._part(room, "it sent what it should not")

    def _take_bulk(self) -> None:
        while not self._bulk.empty():
            token, sock, direction = self._bulk.get()
            room = self._reception.find(token)
            if room is None or room.peer is None:
                sock.close()
            else:
                room.talk.carry(sock, out=direction == DOWN, squeezes=room.squeezes)

    # --- rooms ---------------------------------------------------------------------------------------------

    def _look_around(self, now: float) -> None:
        """Let go of silent peers, of rooms that nobody came back to, and of keys that were revoked."""
        for room in self._reception.rooms():
            silent = now - room.heard_at
            if not self._still_admitted(room, now):
                self._close(room, "its key is no longer authorized")
            elif room.peer is not None and silent > settings.AWAY_SECONDS:
                self._part(room, f"silent for {silent:.0f} s")
            elif room.peer is None and silent > room.linger:
                self._close(room, f"nobody came back for {silent:.0f} s")

    def _still_admitted(self, room: Room[Talk], now: float) -> bool:
        """Tell whether a room's key still has its role; one that cannot be looked up now keeps it."""
        try:
            return self._role(room.key) == room.role
        except DsageError as error:
            if self._throttle.note("authorized_keys", now) is not None:
                log.warning("Nobody new is admitted: %s", error)
            return True

    def _part(self, room: Room[Talk], why: str) -> None:
        """Let go of a room's connections; its workers go on."""
        self._let_go(room)
        room.talk.disconnect()
        log.info("%s: %s; its workers go on", room.name, why)

    def _let_go(self, room: Room[Talk]) -> None:
        """Have a room without a connection."""
        if room.peer is not None:
            del self._peers[room.peer]
            self._parted[room.peer] = None
            while len(self._parted) > settings.PARTED_KEPT:
                self._parted.pop(next(iter(self._parted)))
            room.peer = None

    def _close(self, room: Room[Talk], why: str) -> None:
        self._let_go(room)
        self._reception.close(room)
        log.info("%s ends: %s", room.name, why)

    def _clean_up(self) -> None:
        for room in self._reception.rooms():
            self._close(room, "the server leaves")
        self._reception.wait_gone()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._door.close()
        self._take_bulk()
        self._doorman.close()
        self._listener.close()
        self.alarm.close()
        self._poller.close()
        self._network.close()
        log.info("the server is gone")
