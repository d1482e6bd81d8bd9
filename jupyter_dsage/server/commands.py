"""What people may order over REST and WebSocket: the closed set of commands, checked as they are read.

The description of the interface (`openapi`) is made from these classes.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from jupyter_dsage.errors import UsageError
from jupyter_dsage.net.url_parts import MOST_SLOTS
from jupyter_dsage.wire.setup import Number

Expression = Annotated[str, Meta(min_length=1, max_length=100_000)]
Words = Annotated[str, Meta(min_length=1, max_length=1000)]
Slots = Annotated[int, Meta(ge=1, le=MOST_SLOTS)]


class Command(Struct, frozen=True, tag_field="op", forbid_unknown_fields=True):
    """Base of all commands: ``{"op": …}``."""


class Pause(Command, frozen=True, tag="pause"):
    """Start no more jobs of a batch, or of all."""

    batch: Number | None = None


class Resume(Command, frozen=True, tag="resume"):
    """Start jobs of a batch, or of all, again."""

    batch: Number | None = None


class Cancel(Command, frozen=True, tag="cancel"):
    """Cancel what has not ended of a batch, or of all; `job`: one job of the batch."""

    batch: Number | None = None
    job: Number | None = None


class Retry(Command, frozen=True, tag="retry"):
    """Run again what has failed or was lost of a batch, or of all; `job`: one job of the batch."""

    batch: Number | None = None
    job: Number | None = None


class Add(Command, frozen=True, tag="add"):
    """Add the jobs that an expression stands for to a batch."""

    batch: Number
    text: Expression


class Refresh(Command, frozen=True, tag="refresh"):
    """Replace idle workers, and busy ones when they are done."""


class Die(Command, frozen=True, tag="die"):
    """End the session, with its workers, files and journal."""


class EngineAdd(Command, frozen=True, tag="engine-add"):
    """Have one more engine share the work."""

    url: Words


class EngineRemove(Command, frozen=True, tag="engine-remove"):
    """Do without an engine when its running jobs have ended."""

    engine: Words


class EngineScale(Command, frozen=True, tag="engine-scale"):
    """Have an engine run so many jobs at once."""

    engine: Words
    slots: Slots


class Revive(Command, frozen=True, tag="revive"):
    """Start a session that does not run from its journal."""


class Delete(Command, frozen=True, tag="delete"):
    """Remove the journal of a session that does not run."""


class Job(Command, frozen=True, tag="job"):
    """Only on the channel: ask for one job in words."""

    batch: Number
    job: Number


class Log(Command, frozen=True, tag="log"):
    """Only on the channel: ask for the end of the session's log."""


Commands = (
    Pause | Resume | Cancel | Retry | Add | Refresh | Die | EngineAdd | EngineRemove | EngineScale | Revive | Delete
)
Asked = Commands | Job | Log


class Watch(Struct, frozen=True, tag_field="kind", tag="watch", forbid_unknown_fields=True):
    """On the channel: send snapshots of a batch from now on, or no more."""

    batch: Number
    on: bool


class Told(Struct, frozen=True, tag_field="kind", tag="command", forbid_unknown_fields=True):
    """On the channel: a command; `batch`: which batch it is about, where it does not say so itself."""

    message: dict[str, Any]
    batch: Number | None = None


def order(data: bytes) -> Commands:
    """Return a command that came as JSON; raises UsageError with what is wrong with it."""
    made: Commands = _read(data, _order)
    return made


def from_browser(data: str | bytes) -> Watch | Told:
    """Return what came over a channel; raises UsageError."""
    made: Watch | Told = _read(data, _from_browser)
    return made


def asked(told: Told) -> Asked:
    """Return the command that came over a channel, about the batch that came with it; raises UsageError."""
    about = {} if told.batch is None or told.message.get("op") not in _ABOUT_BATCHES else {"batch": told.batch}
    try:
        made: Asked = msgspec.convert(about | told.message, Asked)
    except msgspec.ValidationError as error:
        raise UsageError(f"This is no command: {error}.") from None
    return made


_order = msgspec.json.Decoder(Commands)
_from_browser = msgspec.json.Decoder(Watch | Told)
_ABOUT_BATCHES = ("pause", "resume", "cancel", "retry", "add", "job")


def _read(data: str | bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise UsageError(f"This is no command: {error}.") from None
