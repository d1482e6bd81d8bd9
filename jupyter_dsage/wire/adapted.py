"""What a child and its adapter of another scheduler say to each other, over a socket pair on one host.

Each message travels behind an envelope as between hosts (`wire.remote`), whose number is always 0: nothing is lost on
such a socket but with one of its ends. To what servers and children say there come the greeting and a few words more.
"""

from __future__ import annotations

from jupyter_dsage.wire import codec, remote
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire.messages import Message
from jupyter_dsage.wire.remote import Dial
from jupyter_dsage.wire.setup import EngineSetup, Seconds, Text


class Adapt(Message, frozen=True, tag="adapt"):
    """A child's first message: what the engine's URL says, what must match where its functions are unpickled.

    `cwd` and `path`: what workers run in where the adapter starts a cluster of its own; `folder`: where that may write.
    """

    engine: EngineSetup
    dial: Dial
    cwd: Text
    path: tuple[Text, ...]
    folder: Text


class Lag(Message, frozen=True, tag="lag"):
    """Adapter -> child: how long the other scheduler takes for a chunk, beyond the time that its jobs take."""

    seconds: Seconds


FROM_CHILD = (
    Adapt
    | m.Function
    | m.Service
    | remote.Segment
    | remote.Forget
    | m.SpawnWorker
    | m.KillWorker
    | remote.Grant
    | m.Leave
    | m.Recall
    | m.EndJob
    | m.ReadOutput
    | remote.WantSlots
    | remote.Part
)

from_child = codec.Decoder[Message](FROM_CHILD)
from_adapter = codec.Decoder[Message](remote.FROM_SERVER | Lag)
