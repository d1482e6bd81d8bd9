"""Who gets a room at a worker server, and how many slots: what must match, what is shared, what is given up."""

from __future__ import annotations

import hmac
import importlib.metadata
import os
import re
import socket
import sys
import threading
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.errors import ProtocolError, VersionMismatchError
from jupyter_dsage.net import squeeze
from jupyter_dsage.net.talk import Talk
from jupyter_dsage.version import VERSION
from jupyter_dsage.wire import remote
from jupyter_dsage.worker.room import Room

if TYPE_CHECKING:
    import logging
    import queue
    import ssl

    from jupyter_dsage.net.bulk_door import BulkDoor
    from jupyter_dsage.net.transport import Network, Poller
    from jupyter_dsage.net.worker_options import WorkerOptions
    from jupyter_dsage.wire import messages as m
    from jupyter_dsage.worker.offered import Services

_TOKEN = re.compile(r"[0-9a-f]{32}")


class Reception:
    """The rooms of a server, by the tokens of their children."""

    def __init__(
        self,
        options: WorkerOptions,
        setup: m.SupervisorSetup,
        services: Services,
        network: Network,
        poller: Poller,
        door: BulkDoor,
        bulk: queue.SimpleQueue[tuple[str, ssl.SSLSocket, bytes]],
        log: logging.Logger,
    ) -> None:
        self._options = options
        self._setup = setup
        self.services = services.names
        self._network = network
        self._poller = poller
        self._door = door
        self._bulk = bulk
        self._log = log
        self._rooms: dict[str, Room[Talk]] = {}
        self._ending: list[threading.Thread] = []

    def rooms(self) -> list[Room[Talk]]:
        """Return the rooms there are, oldest first."""
        return list(self._rooms.values())

    def find(self, token: str) -> Room[Talk] | None:
        """Return a child's room, or None."""
        return self._rooms.get(token)

    # --- coming --------------------------------------------------------------------------------------------

    def given_up(self, dial: remote.Dial, role: str, key: bytes) -> list[Room[Talk]]:
        """Return the rooms that a child has given up, for it greets by another token now.

        Long silence came between, or it was killed and this is the one that took its place.
        """

        def same(room: Room[Talk]) -> bool:
            heir = bool(dial.lineage) and hmac.compare_digest(room.lineage.encode(), dial.lineage.encode())
            return (room.key, room.role) == (key, role) and (room.certificate == dial.certificate or heir)

        return [room for room in self.rooms() if room.token != dial.token and same(room)]

    def admit(self, dial: remote.Dial, role: str, key: bytes) -> tuple[Room[Talk], bool]:
        """Return the room of a child that greets, and whether it was there already.

        Raises ProtocolError, whose sentence the child is told: versions that differ, somebody else's token, no room.
        """
        if role != "caller":  # plain data is read by all that speak this protocol
            check_versions(dial)
        room = self._rooms.get(dial.token)
        if room is not None:
            if (room.key, room.role, room.certificate) != (key, role, dial.certificate):
                raise ProtocolError("This place at the server is somebody else's.")
            room.wanted = dial.slots
            return room, True
        self._check_room(dial, role, key)
        most = settings.MAX_CALLER_BYTES if role == "caller" else None
        setup = self._setup.at("", plain=role == "caller")
        talk = Talk(self._poller.wake, most)
        room = Room(dial, role, key, setup, self._network, self._poller, self._log, talk, most)
        try:
            self._door.pin(dial.certificate, lambda sock, first: self._knocked(dial.token, sock, first))
        except ProtocolError:
            room.leave()
            room.wait_gone(0)
            raise
        room.linger = min(room.linger, self._options.linger_max)
        room.slots = min(room.wanted, self._free())
        self._rooms[dial.token] = room
        return room, False

    def _knocked(self, token: str, sock: ssl.SSLSocket, first: bytes) -> None:
        """Hand a bulk connection to the server's thread."""
        self._bulk.put((token, sock, first))
        self._poller.wake()

    def _check_room(self, dial: remote.Dial, role: str, key: bytes) -> None:
        if not _TOKEN.fullmatch(dial.token):
            raise ProtocolError("A place at the server is named by 32 hexadecimal digits.")
        if any(room.certificate == dial.certificate for room in self._rooms.values()):
            raise ProtocolError("This certificate is somebody else's.")
        mine = sum(room.key == key for room in self._rooms.values())
        if len(self._rooms) >= settings.MAX_ROOMS or (role == "caller" and mine >= settings.MAX_CALLER_ROOMS):
            raise ProtocolError(f"This server has {len(self._rooms)} children already: end a session, or come later.")

    def admitted(self, room: Room[Talk], *, resumed: bool) -> remote.Admitted:
        """Return the answer to a greeting."""
        return remote.Admitted(
            resumed=resumed,
            got=room.talk.got,
            role=room.role,
            host=socket.gethostname(),
            pid=os.getpid(),
            slots=room.slots,
            services=self.services,
            functions=room.role == "client",
            bulk_port=self._door.port,
            certificate=self._door.identity.cert_pem,
            squeezes=squeeze.present(),
        )

    # --- slots ---------------------------------------------------------------------------------------------

    def _free(self) -> int:
        """Return the slots that nobody has: one that was taken back is free when its worker has gone."""
        taken = sum(max(room.slots, len(room.workers)) for room in self._rooms.values())
        return max(0, self._options.slots - taken)

    def share(self) -> None:
        """Give free slots to those who want more, the oldest first; take back what is wanted no more."""
        for room in self._rooms.values():
            granted = min(room.wanted, room.slots + self._free())
            if granted != room.slots:
                room.slots = granted
                room.talk.post(0, remote.Granted(granted))

    # --- going ---------------------------------------------------------------------------------------------

    def close(self, room: Room[Talk]) -> None:
        """Give a room up, with its workers."""
        del self._rooms[room.token]
        self._door.unpin(room.certificate)
        room.leave()
        self._ending = [thread for thread in self._ending if thread.is_alive()]
        thread = threading.Thread(target=room.wait_gone, args=(settings.DIE_SECONDS,), name="dsage-room-end")
        thread.start()
        self._ending.append(thread)

    def wait_gone(self) -> None:
        """Wait until all that was given up is gone."""
        for thread in self._ending:
            thread.join()


def check_versions(dial: remote.Dial, here: str = "this server") -> None:
    """Refuse a child whose pickles may not be read here (`here`: where, in words); raises VersionMismatchError."""
    theirs = (dial.package, dial.python, dial.cloudpickle)
    ours = versions()
    if theirs != ours:
        form = "jupyter_dsage {}, Python {}, cloudpickle {}"
        raise VersionMismatchError(
            f"The child runs {form.format(*theirs)}, {here} {form.format(*ours)}: install the same on both."
        )


def versions() -> tuple[str, str, str]:
    """Return what must match where pickles travel: this package, Python's minor version, cloudpickle."""
    package, cloudpickle = VERSION, importlib.metadata.version("cloudpickle")
    return package, "{}.{}".format(*sys.version_info), cloudpickle
