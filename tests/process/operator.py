"""An operator of a session, as the server extension is one, on a bare connection."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil

from jupyter_dsage import settings
from jupyter_dsage.errors import PeerGoneError
from jupyter_dsage.net.unix_transport import UnixNetwork
from jupyter_dsage.store import sessions
from jupyter_dsage.version import VERSION
from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 20


class Operator:
    """Says hello to the child of a session; `role`: other fields of the greeting."""

    def __init__(self, session: str, **role: Any) -> None:
        [record] = [record for record in sessions.records() if record.id == session]
        self._numbers = itertools.count(1)
        with contextlib.ExitStack() as opened:  # the child may be killed just now
            network = UnixNetwork()
            opened.callback(network.close)
            self._poller = network.poller()
            opened.callback(self._poller.close)
            self._link = network.connect(f"ipc://{Path(record.setup.folder)}/client.sock")
            opened.callback(self._link.close)
            self._poller.watch(self._link)
            opened.callback(self._poller.unwatch, self._link)
            self._greet(role)
            self._opened = opened.pop_all()

    def _greet(self, role: dict[str, Any]) -> None:
        python = "{}.{}".format(*sys.version_info)
        started = psutil.Process().create_time()
        greeting = {"operator": True} | role
        self.say(m.Hello(settings.PROTOCOL, VERSION, python, os.getpid(), started, **greeting))
        self.welcome = self.hear()

    def say(self, message: m.Message, *frames: bytes) -> None:
        self._link.send(codec.encode(message, *frames))

    def hear(self, seconds: float = SECONDS) -> m.Message:
        """Return the next message; raises PeerGoneError."""
        deadline = time.monotonic() + seconds
        while (frames := self._link.receive()) is None:
            assert time.monotonic() < deadline, "the child says nothing"
            self._poller.wait(0.1)
        return codec.to_client(frames)[0]

    def ask(self, question: Callable[[int], m.Message], seconds: float = SECONDS) -> m.Answer:
        """Return the answer to a question."""
        number = next(self._numbers)
        self.say(question(number))
        while True:
            heard = self.hear(seconds)
            if isinstance(heard, m.Answer) and heard.ask == number:
                return heard

    def add(self, batch: int, text: str) -> str:
        return self.ask(lambda ask: m.AddExpression(ask, batch, text)).text

    def close(self) -> None:
        with contextlib.suppress(PeerGoneError):
            self.say(m.Part())
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
