"""What all engine URLs are made of: the engine that one names, its options, its slots, what it has for jobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from jupyter_dsage import settings
from jupyter_dsage.errors import EngineError
from jupyter_dsage.net.cores import cores
from jupyter_dsage.net.durations import seconds_of
from jupyter_dsage.wire.setup import EngineSetup, amounts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_SLOTS = 4096
SHARED = ("resources", "idle")
"""Options that every kind of engine has; see `shared_options`."""


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
    """Return the number of cores this process may use; see `cores`."""
    return cores()


def options_of(url: str, query: str, known: Sequence[str]) -> dict[str, str]:
    """Return the options of a URL; raises EngineError for one that is not known, or given twice."""
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            there = ", ".join((*known, *SHARED))
            raise EngineError(f"{url!r} has the unknown option {name!r}: there is {there}.")
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


def shared_options(url: str, query: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return a query without the options that all kinds of engines have, and these, checked.

    ``resources=gpu:2,licence:1``: what the engine has for its jobs; ``idle=5min``: its workers leave when they have had
    no work for so long, and come back with it. Raises EngineError.
    """
    own = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name not in SHARED]
    given = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name in SHARED]
    options = options_of(url, urlencode(given), SHARED)
    said: list[tuple[str, str]] = []
    if "resources" in options:
        try:
            amounts = amounts_of(options["resources"], ":")
        except ValueError as error:
            raise EngineError(f"{url!r}: {error}; try resources=gpu:2.") from None
        said.append(("resources", ",".join(f"{name}:{amount}" for name, amount in amounts)))
    if "idle" in options:
        seconds = seconds_of(options["idle"])
        if not seconds:
            raise EngineError(f"{url!r}: idle={options['idle']!r} is no duration above 0: try idle=5min.")
        said.append(("idle", str(seconds)))
    return (urlencode(own) if given else query), tuple(said)
