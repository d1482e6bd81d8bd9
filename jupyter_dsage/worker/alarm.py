"""A signal that says to leave, as a source for a poller: for servers that serve until they are told to go."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_dsage.net.transport import Poller


class Alarm:
    """`rung`: whether SIGTERM or SIGINT has come since `heed`."""

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._written, self._read = socket.socketpair()
        for end in (self._written, self._read):
            end.setblocking(False)  # noqa: FBT003  (the standard library's signature)
        poller.watch(self._read)
        self.rung = False

    def heed(self) -> None:
        """Have signals ring it, and wake the poller; to be called on the main thread."""
        signal.set_wakeup_fd(self._written.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ring)

    def _ring(self, *_: object) -> None:
        self.rung = True

    def close(self) -> None:
        """Heed signals no more."""
        signal.set_wakeup_fd(-1)
        self._poller.unwatch(self._read)
        for end in (self._written, self._read):
            end.close()
