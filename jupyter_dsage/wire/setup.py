"""What sessions and engines are told when they start, and the checked types of which messages are made."""

from __future__ import annotations

import math
import re
from typing import Annotated

from msgspec import Meta, Struct

from jupyter_dsage.process_identity import Start
from jupyter_dsage.settings import IDLE_SECONDS, MAX_JOBS
from jupyter_dsage.wire.quantities import whole

Number = Annotated[int, Meta(ge=0, le=MAX_JOBS)]
Count = Annotated[int, Meta(ge=1, le=MAX_JOBS)]
Text = Annotated[str, Meta(max_length=1_000_000)]
Name = Annotated[str, Meta(max_length=1000)]
Brief = Annotated[str, Meta(max_length=250)]
Runs = tuple[tuple[Number, Number], ...]
Seconds = Annotated[float, Meta(ge=0)]
Amounts = tuple[tuple[Name, Count], ...]
"""Resources: what a job takes, or what an engine has; by name, in the order of the names."""

_AMOUNT_NAME = re.compile(r"[A-Za-z][\w.-]{0,49}", re.ASCII)
MOST_OF_A_RESOURCE = 10**6
_DIGITS = 7


def amount_of(name: str, amount: object) -> tuple[str, int]:
    """Return a resource and its amount; raises ValueError with the words of why it is none."""
    if not _AMOUNT_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a resource: it is one word that begins with a letter")
    number = whole(amount)
    if number is None or not 1 <= number <= MOST_OF_A_RESOURCE:
        raise ValueError(f"{amount!r} is no amount of {name}: it is a whole number from 1 to {MOST_OF_A_RESOURCE}")
    return name, number


def amounts_of(text: str, sign: str) -> Amounts:
    """Return the amounts that a text such as ``gpu:2,licence:1`` names; raises ValueError with the words of why not.

    >>> amounts_of("licence=1,gpu=2", "=")
    (('gpu', 2), ('licence', 1))
    """
    found: dict[str, int] = {}
    for part in text.split(","):
        name, said, amount = (piece.strip() for piece in part.partition(sign))
        if name and not said:
            raise ValueError(f"{name!r} has no amount")
        if name in found:
            raise ValueError(f"{name!r} is named twice")
        name, found[name] = amount_of(name, int(amount) if amount.isdecimal() and len(amount) <= _DIGITS else amount)
    return tuple(sorted(found.items()))


class EngineSetup(Struct, frozen=True, array_like=True):
    """One engine of a session: its name and slots, a note about it for the log, and how it is reached.

    `kind`: the scheme of its URL; `host` and `port`: empty and 0 where there are none; `key`: a worker server's public
    key; `linger`: seconds that it is to hold outcomes while the link is down; `options`: what else its URL says, by
    name, checked by the parser of its kind.
    """

    name: Name
    slots: Number
    note: Text = ""
    host: Name = ""
    port: Number = 0
    key: Name = ""
    linger: Seconds = 0.0
    lineage: Name = ""
    """See `remote.Dial`; filled in by the child."""
    kind: Name = "local"
    options: tuple[tuple[Name, Text], ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no parser of ours has made: the child trusts what it is told of an engine."""
        if not 0 <= self.idle < math.inf or (self.option("resources") and not self.resources):
            raise ValueError(f"the engine {self.name!r} has options that cannot be used")

    def option(self, name: str, default: str = "") -> str:
        """Return what the URL says by this name."""
        return dict(self.options).get(name, default)

    @property
    def resources(self) -> Amounts:
        """What it has for its jobs."""
        text = self.option("resources")
        return amounts_of(text, ":") if text else ()

    @property
    def idle(self) -> float:
        """Seconds without work after which one of its workers leaves (0: it stays)."""
        return float(self.option("idle", "0"))


class ChildSetup(Struct, frozen=True):
    """What a child is told when it starts, as one line of JSON on its standard input.

    `folder`: the session's own folder, 0700; `owner` and `owner_started`: pid and start (see `process_identity`) of the
    process that started it; `cwd` and `path`: what workers run in; `store`: its folder in the data
    directory, where the journal is (empty: no journal); `stay`: it outlives its owner, and leaves when it has
    been without work and clients for `idle` seconds; `name`: what people call the session (empty: by its id);
    `python`: the interpreter that it runs in (empty: that of who starts it); `env`: environment variables that it and
    its workers get beside those of who starts it.
    """

    session: Name
    folder: Name
    owner: Number
    owner_started: Start
    engines: tuple[EngineSetup, ...]
    cwd: Text
    path: tuple[Text, ...]
    store: Text = ""
    stay: bool = False
    idle: Seconds = IDLE_SECONDS
    name: Name = ""
    python: Text = ""
    env: tuple[tuple[Name, Text], ...] = ()
