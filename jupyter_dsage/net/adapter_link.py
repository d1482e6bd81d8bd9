"""A child's way to another scheduler: an adapter process on this host, started, listened to, and started anew.

Used by the `adapter` engine, on the child's thread. Nothing outlasts an adapter: what it had placed is gone with it.
"""

from __future__ import annotations

import collections
import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.errors import PeerGoneError, ProtocolError
from jupyter_dsage.net import launch
from jupyter_dsage.net.stream import StreamLink
from jupyter_dsage.net.sweep import MARK, sweep
from jupyter_dsage.wire import adapted, codec, remote
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from jupyter_dsage.net.transport import Poller
    from jupyter_dsage.wire.codec import Frame

Heard = tuple[int, m.Message, "list[Frame]"]

_LINE_BYTES = 400
"""Of a line that an adapter says on its standard error so much is told."""


class AdapterLink:
    """See `engines.host.Way`. `greet`: makes the first message, given the folder of the adapter."""

    got = 0

    def __init__(self, folder: str, greet: Callable[[str], adapted.Adapt], poller: Poller, log: logging.Logger) -> None:
        self._place = folder
        self._greet = greet
        self._poller = poller
        self._log = log
        self._folder = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._link: StreamLink | None = None
        self._said = bytearray()
        self._lines: collections.deque[str] = collections.deque(maxlen=20)
        """The last lines of its standard error."""
        self.up = False
        self.trouble = ""
        self.refused = False
        self.ended = False
        """Whether it has ended since somebody looked; who looks clears it."""
        self.heard_at = 0.0
        self.latency = 0.0
        self.patience = settings.UNREACHABLE_SECONDS
        self._silent = 0.0
        self._read_at = 0.0
        self._next_start = 0.0
        self._wait = settings.DIAL_BACKOFF_SECONDS

    @property
    def starting(self) -> bool:
        """Whether there is an adapter that has not said yet that it is of use."""
        return self._link is not None and not self.up

    @property
    def talk(self) -> AdapterLink:
        """See `engines.host.Way`."""
        return self

    # --- out -----------------------------------------------------------------------------------------------

    def post(self, worker: int, message: m.Message, *frames: Frame) -> None:
        """Send a message; nothing where there is no adapter: all that it is about is gone with it."""
        if self._link is None:
            return
        try:
            self._link.send(remote.seal(remote.Envelope(0, worker, 0), codec.encode(message, *frames)))
        except PeerGoneError as error:
            self._log.info("%s: %s", type(message).__name__, error)  # `read` sees to it

    def restart(self) -> None:
        """See `engines.host.Outgoing`."""
        if self._link is not None:
            self._let_go()
            self._finish(0.0)

    # --- in ------------------------------------------------------------------------------------------------

    def next_due(self) -> float:
        """See `engines.host.Way`."""
        return self._next_start if self._link is None else self._read_at + settings.BEAT_SECONDS

    def dial_now(self) -> None:
        """See `engines.host.Way`."""
        self._next_start, self._wait = 0.0, settings.DIAL_BACKOFF_SECONDS

    def read(self, now: float) -> list[Heard]:
        """See `engines.host.Way`."""
        heard: list[Heard] = []
        self._silent += min(now - self._read_at, 2 * settings.BEAT_SECONDS) if self._read_at else 0.0
        self._read_at = now
        if self._link is None:
            if now >= self._next_start:
                self._start(now)
            return heard
        self._read_errors()
        try:
            while self._link is not None and (frames := self._link.receive()) is not None:
                self.heard_at, self._silent = now, 0.0
                envelope, rest = remote.unseal(frames)
                message, payload = adapted.from_adapter(rest)
                self._hear(envelope.worker, message, payload, heard)
        except PeerGoneError:
            self._end(now)
        except ProtocolError as error:
            self._end(now, f"it sent what it should not: {error}")
        patience = settings.STOPPED_SECONDS if self.up else settings.ADAPTER_START_SECONDS + settings.DIE_SECONDS
        if self._link is not None and self._silent > patience:
            self.refused = not self.up
            self._end(now, f"it has not answered for {patience:g} s")
        return heard

    def _hear(self, worker: int, message: m.Message, payload: list[Frame], heard: list[Heard]) -> None:
        match message:
            case remote.Beat():
                return
            case adapted.Lag():
                self.latency = message.seconds
            case m.Refused():
                self.trouble, self.refused = message.reason, True
            case _:
                if isinstance(message, remote.Admitted):
                    self.up, self.trouble, self.refused = True, "", False
                    self._wait = settings.DIAL_BACKOFF_SECONDS
                heard.append((worker, message, payload))

    def _read_errors(self) -> None:
        """Log what the adapter says on its standard error."""
        if self._process is None or self._process.stderr is None:
            return
        while chunk := self._process.stderr.read(65536):
            self._said += chunk
        *lines, rest = self._said.split(b"\n")
        self._said = bytearray(rest[-_LINE_BYTES:])
        for line in lines:
            if text := line.decode(errors="replace").strip()[:_LINE_BYTES]:
                self._lines.append(text)
                self._log.info("adapter: %s", text)

    # --- the process ---------------------------------------------------------------------------------------

    def _start(self, now: float) -> None:
        self._wait = min(2 * self._wait, settings.ADAPTER_BACKOFF_SECONDS)
        self._next_start = now + self._wait
        self._silent = 0.0
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._folder = launch.supervisor_folder(self._place)
                self._process = subprocess.Popen(
                    launch.command("jupyter_dsage.adapters.serve", str(theirs.fileno())),
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=2,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                    bufsize=0,
                    env={**os.environ, MARK: self._folder},
                )
            except OSError as error:
                ours.close()
                self.trouble = f"its adapter cannot be started: {error}"
                return
        if self._process.stderr is not None:
            os.set_blocking(self._process.stderr.fileno(), False)
            self._poller.watch(self._process.stderr)
        self._link = StreamLink(ours)
        self._poller.watch(self._link)
        self.post(0, self._greet(self._folder))

    def _let_go(self) -> None:
        """Close our end; the adapter ends by that."""
        self.up = False
        if self._link is not None:
            self._poller.unwatch(self._link)
            self._link.close()
            self._link = None

    def _end(self, now: float, why: str = "") -> None:
        """Note that there is no adapter any more; `why`: it is ended for that."""
        self._let_go()
        self.ended = True
        self._next_start = now + self._wait
        code = self._finish(0.0 if why else 1.0)
        if self.refused and not why:
            return
        how = why or (f"it ended with {f'signal {-code}' if code < 0 else f'exit code {code}'}")
        last = f" ({self._lines[-1]})" if self._lines and not why else ""
        self.trouble = f"its adapter is gone: {how}{last}"
        self._log.error("%s", self.trouble)

    def _finish(self, seconds: float) -> int:
        """Wait for the adapter's exit, or kill it, with what it started; return its exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = process
        self._read_errors()
        self._process = None
        if process.stderr is not None:
            self._poller.unwatch(process.stderr)
            process.stderr.close()
        if process.returncode:
            sweep(self._folder)
        shutil.rmtree(self._folder, ignore_errors=True)
        return process.returncode

    def close(self, last: m.Message | None = None) -> None:
        """See `engines.host.Way`. `wait_gone` is to follow."""
        if last is not None:
            self.post(0, last)
        self._let_go()

    def wait_gone(self, seconds: float) -> None:
        """Wait until the adapter has gone, and has taken with it what it had started."""
        self._finish(seconds)
