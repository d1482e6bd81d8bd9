"""What all engine URLs are made of: the engine that one names, its options, its slots."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from jupyter_dsage import settings
from jupyter_dsage.errors import EngineError
from jupyter_dsage.net.durations import seconds_of
from jupyter_dsage.wire.setup import EngineSetup

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_SLOTS = 4096


@dataclass(frozen=True, slots=True)
class EngineURL:
    """One engine: its name for people, how many jobs it runs at once, the service its URL names (or None).

    `kind`: its scheme; `host`, `port`, `key`, `linger`: of a worker server; `host` is empty where workers are local;
    `options`: what only its kind has, checked.
    """

    name: str
    slots: int
    service: str | None = None
    note: str = ""
    """What the greeting says about it: for example that local workers stand in for a worker server."""
    host: str = ""
    port: int = 0
    key: str = field(default="", repr=False)
    linger: float = settings.LINGER_SECONDS
    kind: str = "local"
    options: tuple[tuple[str, str], ...] = ()

    def setup(self) -> EngineSetup:
        """Return it as the child is told of it."""
        way = (self.host, self.port, self.key, self.linger)
        return EngineSetup(self.name, self.slots, self.note, *way, kind=self.kind, options=self.options)


def default_slots() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def options_of(url: str, query: str, known: Sequence[str]) -> dict[str, str]:
    """Return the options of a URL; raises EngineError for one that is not known, or given twice."""
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            there = "'slots' is the one there is" if len(known) == 1 else f"there is {', '.join(known)}"
            raise EngineError(f"{url!r} has the unknown option {name!r}: {there}.")
        if name in options:
            raise EngineError(f"{url!r} gives {name!r} twice: give it once.")
        options[name] = value
    return options


def slots_of(url: str, text: str | None) -> int | None:
    """Return a number of slots, None for none given; raises EngineError for what is no such number."""
    if text is None:
        return None
    if not text.isdecimal() or len(text) > len(str(MOST_SLOTS)) or not 1 <= int(text) <= MOST_SLOTS:
        raise EngineError(f"{url!r} asks for {text!r} slots: a number from 1 to {MOST_SLOTS} is needed.")
    return int(text)


def linger_of(url: str, options: dict[str, str]) -> float:
    """Return the seconds that `linger` says; raises EngineError for what is no duration."""
    linger = seconds_of(options.get("linger", f"{settings.LINGER_SECONDS:g}s"))
    if linger is None:
        raise EngineError(f"{url!r}: linger={options['linger']!r} is no duration: try linger=10min.")
    return linger
