"""The way to another host: the system's OpenSSH runs a bridge there, and its standard input and output are the stream.

The user's own configuration, agent, jump hosts and known hosts are ssh's business; it is asked to ask nobody anything,
since a child has no terminal. What goes wrong is told with the last words of ssh, or of the host.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import socket
import subprocess
import time
from dataclasses import dataclass

from jupyter_dsage import settings

SSH = "DSAGE_SSH"
"""Environment variable: the ssh to run, with options of the user's own (``ssh -F other_config``)."""

BRIDGE = "jupyter_dsage.worker.bridge"
MARKER = b"\0jupyter_dsage bridge\n"
"""What a bridge says first: a host's start-up files may print before it, as they should not."""

_FAILED = 255
"""How ssh itself ends when it could not connect."""
_HOPELESS = (b"Permission denied", b"Host key verification failed", b"Could not resolve hostname")
"""What ssh says where it is of little use to try again soon."""
_HINTS = (
    ("Host key verification failed", "connect to it once with ssh, and look at the key that it shows"),
    ("Permission denied", "make 'ssh HOST true' work without a password: a key in your agent, or in your ssh config"),
    (
        "No module named 'jupyter_dsage",
        "install this version there, name its Python with &python=, or say &bootstrap=1",
    ),
    ("Error while finding module specification", "install this version there, or say &bootstrap=1"),
    ("not found", "name an interpreter of that host with &python="),
    ("No such file or directory", "name an interpreter of that host with &python="),
)


@dataclass(frozen=True, slots=True)
class SshTarget:
    """A host as ssh takes it: a name of the user's configuration will do."""

    host: str
    user: str = ""
    port: int = 0

    def command(self, script: str) -> list[str]:
        """Return the command that has the host's shell run a script, with this process as its terminal's stead."""
        own = shlex.split(os.environ.get(SSH, "")) or ["ssh"]
        port = ["-p", str(self.port)] if self.port else []
        target = f"{self.user}@{self.host}" if self.user else self.host
        seconds = int(settings.SSH_DIAL_SECONDS)
        return [*own, "-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={seconds}", *port, "--", target, script]


def bridge_script(python: str, name: str) -> str:
    """Return what the host's shell runs. A leading ``~/`` in `python` is the shell's to expand."""
    home, path = ("~/", python[2:]) if python.startswith("~/") else ("", python)
    return f"exec {home}{shlex.quote(path)} -P -m {BRIDGE} {name}"


class SshCarrier:
    """One try; see `stream_dialer.Carrier`. `script`: what the host runs; `first`: what it is sent before all else."""

    def __init__(self, target: SshTarget, script: str, first: bytes = b"") -> None:
        self._target = target
        self.first = first
        self.marker = MARKER
        self.sock, theirs = socket.socketpair()
        self._kept = self.sock.dup()
        """The same stream, for the time after its link was closed: ssh passes on what it was sent, and goes."""
        self._words = b""
        with theirs:
            self._process: subprocess.Popen[bytes] | None = None
            self._why = ""
            try:
                self._process = subprocess.Popen(
                    target.command(script),
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
            except OSError as error:
                self._why = f"ssh cannot be started ({error}): install OpenSSH's client"
        if self._process is not None and self._process.stderr is not None:
            os.set_blocking(self._process.stderr.fileno(), False)

    def fate(self, *, ended: bool) -> tuple[str, bool]:
        """See `stream_dialer.Carrier`."""
        process = self._process
        if process is None:
            return self._why, True
        if ended:  # it is about to say why
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(settings.SSH_LAST_WORD_SECONDS)
        self._listen()
        code = process.poll()
        if code is None:
            return "", False
        self._listen()
        hopeless = any(sign in self._words for sign in _HOPELESS)
        return _told(self._target, code, self._words), hopeless or code not in (_FAILED, 0)

    def _listen(self) -> None:
        """Take in what ssh and the host have said."""
        stderr = self._process.stderr if self._process is not None else None
        while stderr is not None and not stderr.closed:
            words = stderr.read(4096)
            if not words:
                return
            self._words = (self._words + words)[-settings.STDERR_KEPT :]

    def close(self) -> None:
        """See `stream_dialer.Carrier`. The end of its stream ends ssh, once it has passed on what was sent."""
        self.sock.close()
        with contextlib.suppress(OSError):  # its other end is closed already
            self._kept.shutdown(socket.SHUT_WR)

    def wait_gone(self, seconds: float) -> None:
        """See `stream_dialer.Carrier`. Over a link that is cut ssh would wait for what cannot come."""
        deadline = time.monotonic() + seconds
        with self._kept, contextlib.suppress(OSError):  # a time that is over, too
            while self._process is not None:  # what ssh still has for us must be taken before it can go
                self._kept.settimeout(max(0.001, deadline - time.monotonic()))
                if not self._kept.recv(settings.BULK_SLICE_BYTES):
                    break
        process = self._process
        if process is None:
            return
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stderr is not None:
            process.stderr.close()


def _told(target: SshTarget, code: int, words: bytes) -> str:
    """Return a sentence about a try that has ended: the last words that were said, and what to do."""
    lines = [line.strip() for line in words.decode(errors="replace").splitlines() if line.strip()]
    said = re.sub(r"[^\x20-\x7e\xa0-\U0010ffff]", " ", lines[-1]) if lines else ""
    who = "ssh" if code == _FAILED else target.host
    hint = next((hint.replace("HOST", target.host) for sign, hint in _HINTS if any(sign in line for line in lines)), "")
    what = f"{who} says: {said}" if said else f"{who} ended with {code}" if code else "the host closed the connection"
    return f"{what} ({hint})" if hint else what
