"""A child's way to one host: dials, greets, beats, and dials again when the link drops.

What kind of link it is is said by its heirs: `net.dialer` (a worker server, CURVE) and `net.stream_dialer` (a stream
of bytes that something else carries, such as ssh). Used by engines on the child's thread. It knows nothing of jobs.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from jupyter_dsage import settings
from jupyter_dsage.errors import PeerGoneError, ProtocolError
from jupyter_dsage.net.talk import Talk
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire import remote

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.net.transport import Link, Poller
    from jupyter_dsage.wire.codec import Frame

L = TypeVar("L", bound="Link")
Heard = tuple[int, m.Message, "list[Frame]"]


class Redialer(Generic[L]):
    """`hello`: makes the greeting."""

    step_seconds = settings.DIAL_SECONDS
    """What each step of dialling may take."""
    patience = settings.UNREACHABLE_SECONDS
    """How long the first dialling may take before the host counts as out of reach."""

    def __init__(self, hello: Callable[[], remote.Dial], poller: Poller) -> None:
        self._hello = hello
        self._poller = poller
        self.talk = Talk(poller.wake)
        self._link: L | None = None
        self._admitted: remote.Admitted | None = None
        self.up = False
        """Whether all connections are there, and the server has admitted us."""
        self.trouble = ""
        """Why it is not up, in words; empty while nothing is known to be wrong."""
        self.refused = False
        """Whether the last attempt ended for good reason: to try again soon is of little use."""
        self.heard_at = 0.0
        """When the server was heard last (monotonic seconds)."""
        self._read_at = 0.0
        self._since = 0.0
        """When the last step of dialling was done: the next one is to follow within `step_seconds`."""
        self._next_dial = 0.0
        self._wait = settings.DIAL_BACKOFF_SECONDS
        self._next_beat = 0.0
        self.latency = 0.0

    # --- what an heir says ---------------------------------------------------------------------------------

    def _connect(self) -> L | None:
        """Return a new link, watched by the poller; None where there is nothing to connect to yet."""
        raise NotImplementedError

    def _hang_up(self, link: L) -> None:
        """Let go of a link, and of all that belongs to it."""
        raise NotImplementedError

    def _fate(self, link: L) -> str:
        """Return why a link is no use any more, empty while it is; may set `refused`."""
        raise NotImplementedError

    def _greeted(self, link: L, heard: list[Heard], now: float) -> None:
        """Go on after the server has admitted us (`_admitted`); `_stand` when nothing is missing."""
        raise NotImplementedError

    def _gather(self, link: L, heard: list[Heard], now: float) -> None:
        """Take in what came otherwise than over the link."""

    # --- time ----------------------------------------------------------------------------------------------

    def next_due(self) -> float:
        """Return when to call `read` though nothing is ready."""
        if self._link is None:
            return self._next_dial
        return self._next_beat if self.up else self._since + self.step_seconds

    def dial_now(self) -> None:
        """Do not wait until the next attempt is due."""
        self._next_dial, self._wait = 0.0, settings.DIAL_BACKOFF_SECONDS

    def read(self, now: float) -> list[Heard]:
        """Return what was heard, in order; an `Admitted` stands before all that follows from it."""
        heard: list[Heard] = []
        if now - self._read_at > settings.REDIAL_SECONDS:  # it was us who slept: dial anew, and blame nobody
            self.heard_at = max(self.heard_at, now - settings.REDIAL_SECONDS)
        self._read_at = now
        if self._link is None:
            if now >= self._next_dial:
                self._dial(now)
            return heard
        try:
            self._read_link(heard, now)
            if self._link is not None:
                self._gather(self._link, heard, now)
            if self.up:
                heard += self._numbered()
        except ProtocolError as error:
            self._drop(f"it sent what it should not: {error}", now)
        self._look_after(now)
        return heard

    def _look_after(self, now: float) -> None:
        """Drop a link that is down or silent; beat."""
        link = self._link
        if link is None:
            return
        why = self._fate(link)
        if why:
            self._drop(why, now)
        elif self.talk.broken:
            self._drop(f"the bulk connection: {self.talk.broken}", now)
        elif not self.up and now >= self._since + self.step_seconds:
            self._drop(self.trouble or "no answer", now)
        elif self.up and now >= self.heard_at + settings.REDIAL_SECONDS:
            self._drop("no answer", now)
        elif self.up and now >= self._next_beat:
            self._next_beat = now + settings.BEAT_SECONDS
            self.talk.say(remote.Beat(now))

    # --- the link ------------------------------------------------------------------------------------------

    def _dial(self, now: float) -> None:
        self._since = now
        self._link = self._connect()
        if self._link is None:
            self._next_dial = now + settings.REDIAL_SECONDS
            return
        with contextlib.suppress(PeerGoneError):  # then `_fate` tells why
            self._link.send(remote.greeting(self._hello()))

    def drop(self, why: str) -> None:
        """Let go of the link that there is, if there is one; the next is dialled when it is due."""
        if self._link is not None:
            self._drop(why, time.monotonic())

    def _drop(self, why: str, now: float) -> None:
        self.trouble = why
        self.up = False
        self._admitted = None
        self.talk.disconnect()
        if self._link is not None:
            self._hang_up(self._link)
            self._link = None
        self._next_dial = now + self._wait
        self._wait = min(2 * self._wait, settings.REDIAL_SECONDS)

    def _read_link(self, heard: list[Heard], now: float) -> None:
        while self._link is not None and (frames := self._link.receive()) is not None:
            self.heard_at = now
            envelope, rest = remote.unseal(frames)
            if envelope.number:
                self.talk.take(envelope, rest)
                continue
            message, _ = remote.from_server(rest)
            if isinstance(message, remote.Admitted):
                self._admit(self._link, message, heard, now)
            elif isinstance(message, m.Refused):
                heard.append((0, message, []))
                self._drop(message.reason, now)
            elif isinstance(message, remote.Beat):
                self.talk.take(envelope, [])
                taken = max(0.0, now - message.clock)
                if message.clock >= 0:
                    self.latency = taken if not self.latency else self.latency + 0.3 * (taken - self.latency)

    def _numbered(self) -> list[Heard]:
        out: list[Heard] = []
        for worker, frames in self.talk.heard():
            message, payload = remote.from_server(frames)
            out.append((worker, message, payload))
        return out

    def _admit(self, link: L, message: remote.Admitted, heard: list[Heard], now: float) -> None:
        if self._admitted is not None:
            return
        self._admitted, self._since = message, now
        if not message.resumed:
            self.talk.restart()
        self.talk.connect(link.send, message.got)
        self._greeted(link, heard, now)

    def _stand(self, heard: list[Heard]) -> None:
        """All connections are there."""
        if self._admitted is not None:
            self.up, self.trouble = True, ""
            self._wait = settings.DIAL_BACKOFF_SECONDS
            heard.append((0, self._admitted, []))

    def close(self, last: m.Message | None = None) -> None:
        """Let go of the server; `last`: said before, if the link is up."""
        if last is not None and self.up:
            self.talk.post(0, last)
        self._drop("closed", 0.0)
