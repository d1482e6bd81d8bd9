"""A cable that can be pulled: forwards TCP connections between two loopback addresses, and counts what goes through."""

from __future__ import annotations

import contextlib
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.2"
"""Where proxies listen: the ports are those of the server at 127.0.0.1, so that what it says of them is true here."""


class Proxy:
    """Forwards one port. `sent`: bytes that went to the server."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server((HOST, port))
        self._lock = threading.Lock()
        self._ends: set[socket.socket] = set()
        self._whole = True
        self._threads = [threading.Thread(target=self._accept, name="proxy")]
        self._threads[0].start()
        self.sent = 0

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._port)) if self._whole else None
            except OSError:
                far = None  # there is no server now
            with self._lock:
                if far is None or not self._whole:
                    for end in filter(None, (near, far)):
                        end.close()
                    continue
                self._ends |= {near, far}
                for pair in ((near, far), (far, near)):
                    thread = threading.Thread(target=self._carry, args=pair, name="proxy")
                    self._threads.append(thread)
                    thread.start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        up = sink.getpeername()[0] == "127.0.0.1" if sink.fileno() >= 0 else False
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if up:
                    self.sent += len(data)
                sink.sendall(data)
        for end in (source, sink):
            self._end(end)

    def _end(self, end: socket.socket) -> None:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """End every connection, and take no new one."""
        with self._lock:
            self._whole = False
            for end in self._ends:
                self._end(end)

    def mend(self) -> None:
        """Take connections again."""
        self._whole = True

    def close(self) -> None:
        """End, with all threads."""
        self.cut()
        self._end(self._listener)
        self._listener.close()
        for thread in self._threads:
            thread.join()
        for end in self._ends:
            end.close()


class Cable:
    """The two ports of a worker server. `url`: the server's, by way of the proxies."""

    def __init__(self, url: str, port: int, bulk_port: int) -> None:
        self.url = url.replace("127.0.0.1", HOST)
        self.name = self.url.partition("?")[0]
        self.link, self.bulk = Proxy(port), Proxy(bulk_port)

    @property
    def sent(self) -> int:
        """Bytes that went to the server."""
        return self.link.sent + self.bulk.sent

    def cut(self) -> None:
        """Pull it."""
        self.link.cut()
        self.bulk.cut()

    def mend(self) -> None:
        """Plug it in again."""
        self.bulk.mend()
        self.link.mend()


@contextmanager
def cable(url: str, port: int, bulk_port: int) -> Iterator[Cable]:
    """Lay one, for the length of a block."""
    made = Cable(url, port, bulk_port)
    try:
        yield made
    finally:
        for proxy in (made.link, made.bulk):
            proxy.close()
