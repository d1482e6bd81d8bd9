"""Messages between the child and a *spare*: a process that reads, for one question, what the child does not unpickle.

See `child.spares` and `worker.spare`. A spare is asked one thing, tells what it finds, and leaves.
"""

from __future__ import annotations

from typing import ClassVar

from jupyter_dsage.wire.codec import Decoder
from jupyter_dsage.wire.setup import Count, Number, Seconds, Text
from jupyter_dsage.wire.work import Message


class Evaluate(Message, frozen=True, tag="spare evaluate"):
    """Evaluate an expression to jobs, with the names that the function in the payload captured (none: no names).

    `bare`: each job is its one argument; `plain`: the jobs call a service, and only literals are read; `cwd` and
    `path`: where the workers run.
    """

    frames: ClassVar[tuple[int, ...]] = (0, 1)
    text: Text
    bare: bool
    plain: bool
    cwd: Text
    path: tuple[Text, ...]


class ReadJob(Message, frozen=True, tag="spare read"):
    """Find out what the journal in `store` (empty: there is none) tells of a job; see `JobRead`.

    `ended`: whether it has, so that its end is there; `row`: that of its segment (0: it is the payload, or unknown);
    `index`: its place in the segment.
    """

    frames: ClassVar[tuple[int, ...]] = (0, 1)
    store: Text
    batch: Number
    job: Number
    plain: bool
    ended: bool
    row: Number
    index: Number
    cwd: Text
    path: tuple[Text, ...]


class Segment(Message, frozen=True, tag="spare segment"):
    """So many jobs in one payload, as a client would send them."""

    frames: ClassVar[tuple[int, ...]] = (1,)
    count: Count


class Done(Message, frozen=True, tag="spare done"):
    """That was all; `error`: nothing of it counts, and why, in a sentence."""

    error: Text = ""


class JobRead(Message, frozen=True, tag="spare job"):
    """What was found of a job, None where nothing was; the payload is the header of its `Outcomes` or `Lost`."""

    frames: ClassVar[tuple[int, ...]] = (0, 1)
    arguments: Text | None
    seconds: Seconds | None = None
    error: Text | None = None
    traceback: Text | None = None
    output: Text | None = None


TO_SPARE = Evaluate | ReadJob
FROM_SPARE = Segment | Done | JobRead
to_spare = Decoder[Message](TO_SPARE)
from_spare = Decoder[Message](FROM_SPARE)
