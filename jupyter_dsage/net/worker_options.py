"""What a worker server is told on its command line: parsed here, so that a bad word is refused before it listens.

Made by ``jupyter dsage worker`` (`cli`), read by `worker.server`. Opens nothing and imports no service.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_dsage.errors import UsageError
from jupyter_dsage.net.durations import seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterable

LISTEN = "127.0.0.1:12345"
"""Loopback, unless an address is named; the port of 2008."""
LINGER_MAX = "24h"

_LARGEST_PORT = 65535
_ADDRESS = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})"
)
_TARGET = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_NAME = re.compile(r"[A-Za-z0-9_./-]{1,100}")


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """The options of one worker server."""

    host: str
    """The address to listen at; of IPv6 without brackets."""
    port: int
    """0 is any."""
    slots: int
    services: tuple[tuple[str, str], ...]
    """Pairs of a name, which begins with a slash, and ``module:function``."""
    services_only: bool
    bulk_port: int
    """0 is any."""
    linger_max: float
    """Seconds that a room is kept at most whose child is away, whatever its URL asks for."""
    log: str
    """The log's file; empty: stderr."""


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of ADDRESS:PORT, IPv6 in brackets; raises UsageError."""
    found = _ADDRESS.fullmatch(text)
    if not found:
        raise UsageError(f"{text!r} is no ADDRESS:PORT: try {LISTEN}, or [::1]:12345.")
    return found["six"] or found["host"], parse_port(found["port"])


def parse_port(text: str) -> int:
    """Return a port, 0 for any; raises UsageError."""
    if not text.isascii() or not text.isdecimal() or len(text) > len(str(_LARGEST_PORT)) or int(text) > _LARGEST_PORT:
        raise UsageError(f"{text!r} is no port: a number from 0 (any) to {_LARGEST_PORT} is needed.")
    return int(text)


def parse_slots(text: str, most: int) -> int:
    """Return a number of slots; raises UsageError."""
    if not text.isascii() or not text.isdecimal() or len(text) > len(str(most)) or not 1 <= int(text) <= most:
        raise UsageError(f"{text!r} slots cannot be offered: a number from 1 to {most} is needed.")
    return int(text)


def parse_services(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return names and targets of NAME=module:function; raises UsageError."""
    services: dict[str, str] = {}
    for text in texts:
        name, _, target = text.partition("=")
        if not _NAME.fullmatch(name) or not _TARGET.fullmatch(target):
            raise UsageError(f"{text!r} is no service: try /mean=statistics:fmean.")
        name = f"/{name.lstrip('/')}"  # as a URL has it
        if name in services:
            raise UsageError(f"The service {name!r} is given twice: give it once.")
        services[name] = target
    return tuple(services.items())


def parse_linger(text: str) -> float:
    """Return the seconds of a duration; raises UsageError."""
    seconds = seconds_of(text)
    if seconds is None:
        raise UsageError(f"{text!r} is no duration: try 10min or {LINGER_MAX}.")
    return seconds


def default_bulk_port(port: int) -> int:
    """Return the bulk port that goes with a port; raises UsageError if there is none."""
    if port == _LARGEST_PORT:
        raise UsageError(f"There is no port after {port} for large frames: name one with --bulk-port.")
    return port + 1 if port else 0
