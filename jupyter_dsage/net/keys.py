"""This user's CURVE key pairs, and whose keys are trusted: which clients a server admits, which servers are known.

Used by servers, by the child when it dials out, and by ``jupyter dsage keys``. All files lie in one folder of mode
0700 below Jupyter's data directory. A public key is written as 43 characters of base64url, for people and URLs; zmq
takes it as 40 characters of Z85. Opens no socket; no message and no repr shows a secret key.
"""

from __future__ import annotations

import base64
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zmq
from zmq.utils import z85

from jupyter_dsage import private_files
from jupyter_dsage.errors import KeyFileError, ServerKeyError, UsageError
from jupyter_dsage.net import key_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROLES = ("client", "caller")
"""What a key may do: *client* runs code (which is a shell), *caller* calls registered services with plain data."""

_TEXT = re.compile(r"[A-Za-z0-9_-]{43}")
_HOST = re.compile(r"[A-Za-z0-9._%:-]{1,255}")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_LARGEST_PORT = 65535
_AUTHORIZED_HEAD = (
    "# Whom this user's worker servers admit: ROLE KEY COMMENT.\n"
    "# Roles: client (runs any code, like a shell), caller (calls services only).\n"
)


@dataclass(frozen=True, slots=True, repr=False)
class KeyPair:
    """One CURVE key pair, both keys as zmq takes them (Z85)."""

    public: bytes
    secret: bytes

    @property
    def public_text(self) -> str:
        """The public key as people and URLs have it."""
        return key_text(self.public)

    def __repr__(self) -> str:
        return "KeyPair(...)"


def key_text(key: bytes) -> str:
    """Return a key of zmq's (Z85) as people and URLs have it: 43 characters of base64url."""
    return base64.urlsafe_b64encode(z85.decode(key)).rstrip(b"=").decode("ascii")


def parse_key(text: str) -> bytes:
    """Return a key that people wrote as zmq takes it (Z85); raises UsageError for what is none."""
    key = text.strip()
    # The text is not shown: it may be a secret key, pasted by mistake.
    if _TEXT.fullmatch(key):
        data = base64.urlsafe_b64decode(key + "=")
        if base64.urlsafe_b64encode(data).decode("ascii") == key + "=":
            return z85.encode(data)
    raise UsageError(
        f"What was given as a key ({len(text)} characters) is none: a key is 43 letters, digits, '-' and '_'; "
        "copy it from what 'jupyter dsage keys' prints."
    )


def server_name(host: str, port: int) -> str:
    """Return HOST:PORT as `known_servers` has it (IPv6 in brackets); raises UsageError for what is no server."""
    host = host.strip("[]").lower()
    if not _HOST.fullmatch(host) or not 0 < port <= _LARGEST_PORT:
        raise UsageError(f"{f'{host}:{port}'!r} names no server: a host and a port from 1 to 65535 are needed.")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Keys:
    """The keys in one folder; by default this user's, in Jupyter's data directory."""

    def __init__(self, folder: Path | None = None, report: Callable[[str], None] | None = None) -> None:
        """`report` is told of lines that cannot be read, each once; by default they are logged."""
        self.folder = folder or _default_folder()
        self._report = report or logging.getLogger(__name__).warning
        self._reported: set[str] = set()

    # --- this user's own ---

    def server(self) -> KeyPair:
        """Return the key pair of this user's servers, made on first use."""
        return self._pair("server")

    def client(self) -> KeyPair:
        """Return the key pair with which this user goes to servers, made on first use."""
        return self._pair("client")

    def _pair(self, name: str) -> KeyPair:
        key_file.make_folder(self.folder)
        path = self.folder / f"{name}.key"
        text = key_file.read(path)
        if text is None:
            public, secret = _new_pair()
            head = f"# The key pair of this user's {name}. Whoever has the second one is this user: never show it.\n"
            key_file.write_new(path, f"{head}{key_text(public)}\n{key_text(secret)}\n")
            text = key_file.read(path)
        return _parse_pair(path, text or "")

    # --- whom servers admit ---

    @property
    def authorized_file(self) -> Path:
        """The file of the keys that this user's servers admit."""
        return self.folder / "authorized_keys"

    def authorized(self) -> dict[bytes, tuple[str, str]]:
        """Return the public keys that servers admit, with role and comment.

        Where there is no such file, this user's own client key is admitted, and nobody else's.
        """
        text = key_file.read(self.authorized_file)
        if text is None:
            return {self.client().public: ("client", "this user")}
        found: dict[bytes, tuple[str, str]] = {}
        for number, words in _lines(text):
            key = _key_or_none(words[1]) if len(words) > 1 else None
            if words[0] not in ROLES or key is None:
                self._tell(f"Line {number} of {self.authorized_file} is ignored: it must be ROLE KEY COMMENT.")
            elif key in found:
                self._tell(f"Line {number} of {self.authorized_file} is ignored: that key stands in an earlier one.")
            else:
                found[key] = words[0], words[2] if len(words) > 2 else ""  # noqa: PLR2004  (ROLE KEY COMMENT)
        return found

    def authorize(self, text: str, role: str, comment: str = "") -> None:
        """Have servers admit a key in a role, instead of any role that it had; raises UsageError."""
        key = parse_key(text)
        if role not in ROLES:
            raise UsageError(f"{role!r} is no role: it is 'client' (runs any code) or 'caller' (services only).")
        said = " ".join("".join(one if one.isprintable() else " " for one in comment).split())
        self._change_authorized(key, f"{role} {key_text(key)} {said}".rstrip() + "\n")

    def revoke(self, text: str) -> bool:
        """Have servers admit a key no more; return whether they did."""
        return self._change_authorized(parse_key(text), "")

    def _change_authorized(self, key: bytes, line: str) -> bool:
        key_file.make_folder(self.folder)
        with private_files.locked(self.folder):
            before = key_file.read(self.authorized_file)
            if before is None:  # from now on the file alone tells, so who was admitted without it stands in it
                before = f"{_AUTHORIZED_HEAD}client {self.client().public_text} this user\n"
            after = _without(before, 1, lambda word: _key_or_none(word) == key)
            key_file.write(self.authorized_file, after + line)
        return after != before

    # --- which servers are known ---

    @property
    def known_file(self) -> Path:
        """The file of the servers that this user knows."""
        return self.folder / "known_servers"

    def known_servers(self) -> dict[str, bytes]:
        """Return the known servers' public keys by HOST:PORT."""
        found: dict[str, bytes] = {}
        for number, words in _lines(key_file.read(self.known_file) or ""):
            key = _key_or_none(words[1]) if len(words) > 1 else None
            if key is None:
                self._tell(f"Line {number} of {self.known_file} is ignored: it must be HOST:PORT KEY.")
            else:
                found[words[0].lower()] = key
        return found

    def known(self, host: str, port: int) -> bytes | None:
        """Return the key that a server must have, None if it is not known.

        At this host a server that is not in the file is taken for this user's own, if there is a key of one.
        """
        found = self.known_servers().get(server_name(host, port))
        if found is None and host.strip("[]").lower() in _LOOPBACK and (self.folder / "server.key").exists():
            return self.server().public
        return found

    def check(self, host: str, port: int, text: str | None) -> bytes:
        """Return the key that a server must have. `text`: the key in its URL, if there is one.

        Raises ServerKeyError if the server is not known and its URL has no key, or if the two differ.
        """
        name = server_name(host, port)
        if text is None:
            known = self.known(host, port)
            if known is None:
                raise ServerKeyError(
                    f"The key of dsage://{name} is not known: give its URL as the server printed it (with ?key=...), "
                    f"or run: jupyter dsage keys trust {name} KEY"
                )
            return known
        key = parse_key(text)
        if self.known_servers().get(name, key) != key:
            raise ServerKeyError(
                f"The key of dsage://{name} has changed: another machine may answer there. If the server was set up "
                f"anew, run: jupyter dsage keys trust {name} {key_text(key)}"
            )
        return key

    def trust(self, host: str, port: int, text: str) -> None:
        """Know a server by a key, instead of any that it had; raises UsageError."""
        self._change_known(server_name(host, port), f"{server_name(host, port)} {key_text(parse_key(text))}\n")

    def forget(self, host: str, port: int) -> bool:
        """Know a server no more; return whether it was known."""
        return self._change_known(server_name(host, port), "")

    def _change_known(self, name: str, line: str) -> bool:
        key_file.make_folder(self.folder)
        with private_files.locked(self.folder):
            before = key_file.read(self.known_file) or ""
            after = _without(before, 0, lambda word: word.lower() == name)
            key_file.write(self.known_file, after + line)
        return after != before

    def _tell(self, sentence: str) -> None:
        if sentence not in self._reported:
            self._reported.add(sentence)
            self._report(sentence)


def _new_pair() -> tuple[bytes, bytes]:
    """Return a new key pair whose public key can stand on a command line: no dash in front."""
    while True:
        public, secret = zmq.curve_keypair()
        if not key_text(public).startswith("-"):
            return public, secret


def _default_folder() -> Path:
    return private_files.data_folder() / "keys"


def _parse_pair(path: Path, text: str) -> KeyPair:
    keys = [_key_or_none(words[0]) for _, words in _lines(text)]
    match keys:
        case [bytes() as public, bytes() as secret] if zmq.curve_public(secret) == public:
            return KeyPair(public, secret)
        case _:
            raise KeyFileError(f"{path} holds no key pair: move it away, and a new one is made at the next start.")


def _lines(text: str) -> list[tuple[int, list[str]]]:
    """Return the lines that say something, with their numbers, as up to three words."""
    numbered = [(number, line.split(None, 2)) for number, line in enumerate(text.splitlines(), 1)]
    return [(number, words) for number, words in numbered if words and not words[0].startswith("#")]


def _without(text: str, at: int, goes: Callable[[str], bool]) -> str:
    """Return a text without the lines whose word number `at` goes; comments stay."""
    kept = []
    for line in text.splitlines():
        words = line.split()
        if line.lstrip().startswith("#") or len(words) <= at or not goes(words[at]):
            kept.append(line.rstrip() + "\n")
    return "".join(kept)


def _key_or_none(text: str) -> bytes | None:
    try:
        return parse_key(text)
    except UsageError:
        return None
