"""Keys of another host, over ssh: its server's is fetched, and ours authorized there.

Used by ``jupyter dsage keys fetch``. Runs the system's `ssh` with the user's own configuration, which says whom to
trust and may ask for a password; what comes back is read as untrusted text. Writes no file.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from dataclasses import dataclass
from typing import Any

from jupyter_dsage.errors import StartError, UsageError
from jupyter_dsage.net.keys import key_text, parse_key

# None of these can begin with a dash, so ssh never reads one as an option.
_URL = re.compile(
    r"ssh://(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.-]*)@)?"
    r"(?:\[(?P<six>[0-9A-Fa-f:]+)\]|(?P<host>[A-Za-z0-9_][A-Za-z0-9._-]*))(?::(?P<port>[0-9]{1,5}))?/?"
)
_SHOWN = 300
"""Characters of the other host's words that fit a sentence."""
_SSH_FAILED = 255


@dataclass(frozen=True, slots=True)
class SshHost:
    """A host as ssh takes it."""

    host: str
    user: str = ""
    port: str = ""
    python: str = ""
    """The Python there that has this package; empty: the one that ``jupyter`` finds."""

    def command(self, *words: str) -> list[str]:
        """Return the command that runs ``jupyter dsage`` with some words there."""
        there = [self.python, "-m", "jupyter_dsage.cli", *words] if self.python else ["jupyter", "dsage", *words]
        port = ["-p", self.port] if self.port else []
        target = f"{self.user}@{self.host}" if self.user else self.host
        return ["ssh", "-T", *port, "--", target, shlex.join(there)]


def parse_host(url: str, python: str = "") -> SshHost:
    """Return the host of ``ssh://[user@]host[:port]``; raises UsageError."""
    found = _URL.fullmatch(url)
    if not found or not python.isprintable() or python.startswith("-"):
        what = repr(python) if found else repr(url)
        form = "the path of a Python" if found else "an address such as ssh://ann@host.example"
        raise UsageError(f"{what} cannot be used: {form} is needed.")
    return SshHost(found["six"] or found["host"], found["user"] or "", found["port"] or "", python)


def server_key(host: SshHost) -> str:
    """Return the public key of this user's server there, made if there is none; raises StartError."""
    for line in reversed(_run(host, "keys", "show", "--json").splitlines()):  # a login may print more before
        key = _key_in(line)
        if key:
            return key
    raise StartError(f"{host.host} answered, but with no key: install this version of jupyter_dsage there.")


def _key_in(line: str) -> str:
    try:
        found: Any = json.loads(line)
        return key_text(parse_key(found["server"]))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):  # a UsageError is a ValueError
        return ""


def authorize(host: SshHost, key: str, comment: str) -> None:
    """Have this user's servers there admit a key as a client; raises StartError."""
    _run(host, "keys", "authorize", key, "--role", "client", "--comment", comment)


def _run(host: SshHost, *words: str) -> str:
    command = host.command(*words)
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        raise StartError(f"ssh cannot be run here ({error.strerror}): install it, or copy the key by hand.") from None
    if done.returncode == 0:
        return done.stdout.decode("utf-8", "replace")
    said = _one_line(done.stderr) or f"exit code {done.returncode}"
    if done.returncode == _SSH_FAILED:
        raise StartError(f"ssh does not get to {host.host} ({said}): try it with ssh {host.host}")
    raise StartError(
        f"'jupyter dsage keys' cannot be run on {host.host} ({said}): install jupyter_dsage there, or name the Python "
        "that has it with --python PATH."
    )


def _one_line(data: bytes) -> str:
    text = "; ".join(line.strip() for line in data.decode("utf-8", "replace").splitlines() if line.strip())
    text = "".join(one if one.isprintable() else "?" for one in text)
    return text if len(text) <= _SHOWN else "..." + text[-_SHOWN:]
