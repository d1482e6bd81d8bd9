"""What sessions and engines are told when they start, and the checked types of which messages are made."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from jupyter_dsage.settings import IDLE_SECONDS, MAX_JOBS

Number = Annotated[int, Meta(ge=0, le=MAX_JOBS)]
Count = Annotated[int, Meta(ge=1, le=MAX_JOBS)]
Text = Annotated[str, Meta(max_length=1_000_000)]
Name = Annotated[str, Meta(max_length=1000)]
Brief = Annotated[str, Meta(max_length=250)]
Runs = tuple[tuple[Number, Number], ...]
Seconds = Annotated[float, Meta(ge=0)]


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

    def option(self, name: str, default: str = "") -> str:
        """Return what the URL says by this name."""
        return dict(self.options).get(name, default)


class ChildSetup(Struct, frozen=True):
    """What a child is told when it starts, as one line of JSON on its standard input.

    `folder`: the session's own folder, 0700; `owner` and `owner_started`: pid and start time (seconds since the
    epoch) of the process that started it; `cwd` and `path`: what workers run in; `store`: its folder in the data
    directory, where the journal is (empty: no journal); `stay`: it outlives its owner, and leaves when it has
    been without work and clients for `idle` seconds; `name`: what people call the session (empty: by its id);
    `python`: the interpreter that it runs in (empty: that of who starts it).
    """

    session: Name
    folder: Name
    owner: Number
    owner_started: float
    engines: tuple[EngineSetup, ...]
    cwd: Text
    path: tuple[Text, ...]
    store: Text = ""
    stay: bool = False
    idle: Seconds = IDLE_SECONDS
    name: Name = ""
    python: Text = ""
