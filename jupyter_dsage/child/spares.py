"""Spares: processes of their own that read for the child what it does not unpickle, one question each.

Started when something is asked (`worker.spare`), a few at a time; none is waited for. One that takes too long is
killed, with what it started, and so are all when the child leaves.
"""

from __future__ import annotations

import collections
import logging
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.errors import PeerGoneError, ProtocolError
from jupyter_dsage.net import launch
from jupyter_dsage.net.stream import StreamLink
from jupyter_dsage.net.sweep import MARK
from jupyter_dsage.wire import codec, spare

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from jupyter_dsage.net.transport import Poller, Source
    from jupyter_dsage.wire import messages as m
    from jupyter_dsage.wire.codec import Frame

    Found = list[tuple[m.Message, list[Frame]]]
    Told = Callable[[Found, str], None]
    """What a spare found, and why there is nothing (empty: there is)."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Question:
    frames: Sequence[Frame]
    told: Told


@dataclass(slots=True, eq=False)
class _Spare:
    """A spare at work on a question. `deadline`: monotonic seconds."""

    process: subprocess.Popen[bytes]
    link: StreamLink
    told: Told
    deadline: float
    found: Found = field(default_factory=list)


class Spares:
    """One child's. `folder`: the session's runtime folder, whose mark they carry."""

    def __init__(self, poller: Poller, folder: str) -> None:
        self._poller = poller
        self._folder = folder
        self._waiting: collections.deque[_Question] = collections.deque()
        self._spares: list[_Spare] = []

    def ask(self, question: m.Message, frames: Sequence[Frame], told: Told) -> None:
        """Have a question answered: `told` is called later, once."""
        self._waiting.append(_Question(codec.encode(question, *frames), told))
        self._start()

    def _start(self) -> None:
        while self._waiting and len(self._spares) < settings.SPARES:
            question = self._waiting.popleft()
            try:
                self._spares.append(self._started(question))
            except OSError as error:
                question.told([], f"No process could be started to read it: {error}.")

    def _started(self, question: _Question) -> _Spare:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = subprocess.Popen(
                    launch.command("jupyter_dsage.worker.spare", str(theirs.fileno())),
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    env={**os.environ, MARK: self._folder},
                )
            except OSError:
                ours.close()
                raise
        link = StreamLink(ours)
        self._poller.watch(link)
        link.send(question.frames)
        return _Spare(process, link, question.told, time.monotonic() + settings.SPARE_SECONDS)

    def next_due(self) -> float | None:
        """Return when to call `read` though nothing is ready (monotonic seconds), or None."""
        return min((spare.deadline for spare in self._spares), default=None)

    def read(self, ready: Collection[Source], now: float) -> None:
        """Take in what they tell, and end those that are done or late."""
        for one in list(self._spares):
            if one.link in ready:
                self._read(one)
            elif now >= one.deadline:
                self._over(one, [], f"It took more than {settings.SPARE_SECONDS:.0f} s, and was given up.")
        self._start()

    def _read(self, one: _Spare) -> None:
        try:
            while (frames := one.link.receive()) is not None:
                message, payload = spare.from_spare(frames)
                one.found.append((message, payload))
                if not isinstance(message, spare.Segment):
                    self._over(one, one.found, message.error if isinstance(message, spare.Done) else "")
                    return
        except (PeerGoneError, ProtocolError):
            self._over(one, [], "The process that was to read it ended without an answer.")

    def _over(self, one: _Spare, found: Found, error: str) -> None:
        self._spares.remove(one)
        self._end(one)
        one.told(found, error)

    def _end(self, one: _Spare) -> None:
        """End a spare and what it has started; it leads a group of its own."""
        self._poller.unwatch(one.link)
        one.link.close()
        try:  # while it has not been waited for, its number is nobody else's
            os.waitid(os.P_PID, one.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            os.killpg(one.process.pid, signal.SIGKILL)
        except (ChildProcessError, ProcessLookupError, PermissionError) as error:
            log.debug("a spare was gone: %s", error)
        one.process.wait()

    def close(self) -> None:
        """End all of them."""
        self._waiting.clear()
        for one in self._spares:
            self._end(one)
        self._spares.clear()
