"""What a child and a worker server say to each other, and who may say what: a closed set of kinds for each role.

Each message travels in an *envelope*, the first frame, which numbers it so that nothing is lost or doubled when the
link drops (`net.conversation`); frames above `BULK_BYTES` go over the bulk connection instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from jupyter_dsage import settings
from jupyter_dsage.errors import ProtocolError
from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire.messages import Message, RunJobs
from jupyter_dsage.wire.setup import Count, Name, Number, Seconds, Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dsage.wire.codec import Frame

DEPOSIT = 2**53 - 1
"""Instead of a worker's number: a payload that all workers of the host share, in no order with anything."""


class Envelope(Message, frozen=True, tag="envelope"):
    """What stands on each message. `number`: 0 for what is not kept (greetings and beats), else rising by one.

    `worker`: whom it is for or from (0: the supervisor); messages of one worker stay in order. `got`: all up to this
    number has arrived whole at the sender of this. `bulk`: (index, bytes) of the frames that come over the bulk
    connection.
    """

    number: Number
    worker: Number
    got: Number
    bulk: tuple[tuple[Number, Count], ...] = ()


# --- greetings -----------------------------------------------------------------------------------------------


class Dial(Message, frozen=True, tag="dial"):
    """A child's first message on each connection: who it is, what must match, what it wants.

    `token`: names the child's place at the server, and is made anew by each child; `got`: as in `Envelope`;
    `certificate`: its own for the bulk connection, in PEM; `lineage`: a secret that the children of one session share,
    so that one that is revived takes its predecessor's place (empty: there is none); `squeezes`: it reads frames that
    zstd has made smaller.
    """

    protocol: int
    package: Name
    python: Name
    cloudpickle: Name
    token: Name
    slots: Count
    linger: Seconds
    got: Number
    certificate: Text
    lineage: Name = ""
    squeezes: bool = False


class Admitted(Message, frozen=True, tag="admitted"):
    """The server's answer. `resumed`: it still has the child's place, its workers and what they told.

    `squeezes`: as in `Dial`.
    """

    resumed: bool
    got: Number
    role: Name
    host: Name
    pid: Number
    slots: Number
    services: tuple[Name, ...]
    functions: bool
    bulk_port: Number
    certificate: Text
    squeezes: bool = False


class Beat(Message, frozen=True, tag="beat"):
    """Says "still here". A child says its clock (seconds); the server gives it back, and says -1 unasked."""

    clock: float


# --- child -> server -----------------------------------------------------------------------------------------


class Segment(Message, frozen=True, tag="segment"):
    """A segment for all workers of the host, in one payload frame."""

    frames: ClassVar[tuple[int, ...]] = (1,)
    segment: Number


class Forget(Message, frozen=True, tag="forget"):
    """Segments that no worker of the host will be sent any more."""

    segments: tuple[Number, ...]


class Grant(Message, frozen=True, tag="grant"):
    """A lease, and which of its payloads the worker does not have yet."""

    run: RunJobs
    with_function: bool
    with_segment: bool


class WantSlots(Message, frozen=True, tag="want"):
    """Ask for another number of slots; answered with `Granted`."""

    slots: Count


class Part(Message, frozen=True, tag="part"):
    """The child needs its place no more."""


# --- server -> child -----------------------------------------------------------------------------------------


class Granted(Message, frozen=True, tag="granted"):
    """How many slots the child has at this server from now on."""

    slots: Number


FROM_CALLER = (
    Dial
    | Beat
    | m.Service
    | Segment
    | Forget
    | m.SpawnWorker
    | m.KillWorker
    | Grant
    | m.Leave
    | m.Recall
    | m.EndJob
    | m.ReadOutput
    | WantSlots
    | Part
)
FROM_CLIENT = FROM_CALLER | m.Function
FROM_SERVER = (
    Admitted
    | m.Refused
    | Beat
    | Granted
    | m.SupervisorReady
    | m.Recalled
    | m.WorkerGone
    | m.OutputRead
    | m.WorkerHello
    | m.Report
    | m.Stale
)

FROM_ROLE = {"client": codec.Decoder[Message](FROM_CLIENT), "caller": codec.Decoder[Message](FROM_CALLER)}
"""Role -> decoder of what it may say to a worker server. A caller has no way to send a function."""

from_server = codec.Decoder[Message](FROM_SERVER)
_envelope = codec.Decoder[Envelope](Envelope)


def seal(envelope: Envelope, frames: Sequence[Frame]) -> list[Frame]:
    """Return a message ready for the link."""
    return [*codec.encode(envelope), *frames]


def unseal(frames: Sequence[Frame]) -> tuple[Envelope, list[Frame]]:
    """Return the envelope and the message's frames; raises ProtocolError for what cannot be one."""
    if len(frames) < 2:  # noqa: PLR2004  (envelope and header)
        raise ProtocolError("A message between hosts has an envelope and a header at least.")
    envelope, _ = _envelope(frames[:1])
    rising = all(a[0] < b[0] for a, b in zip(envelope.bulk, envelope.bulk[1:], strict=False))
    inside = all(0 < index < settings.MAX_FRAMES and size <= settings.MAX_FRAME_BYTES for index, size in envelope.bulk)
    if not (rising and inside) or len(frames) - 1 + len(envelope.bulk) > settings.MAX_FRAMES:
        raise ProtocolError("An envelope names frames that a message cannot have.")
    return envelope, list(frames[1:])


def greeting(message: Message, *frames: Frame) -> list[Frame]:
    """Return a message that is not numbered, ready for the link."""
    return seal(Envelope(0, 0, 0), codec.encode(message, *frames))
