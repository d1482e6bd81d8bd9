"""What clients ask for that outlives the child (`REQUESTS`), and what a client is told of the requests of others.

Named in `wire.messages` too, which is the one name (`m`) that everybody uses; see there.
"""

from __future__ import annotations

from typing import ClassVar

from jupyter_dsage.wire.setup import Amounts, Count, Name, Number, Runs, Seconds
from jupyter_dsage.wire.work import Message


class OpenBatch(Message, frozen=True, tag="open"):
    """Open a batch; its number is the client's to choose and new. See `Session.scatter` for what it is told.

    `plain`: its jobs call services; `function` and `bare` describe it to clients that come later; `timeout` and
    `memory`: seconds and bytes that a job may take (0: no limit); `once`: no job of it is ever tried a second time
    after a loss; `priority`: batches of a higher one go first; `engines`: those that its jobs may run on (empty: any);
    `resources`: what each of them takes; `at`: when, in seconds since the epoch, for people (0: not known).
    """

    batch: Number
    name: Name
    retries: Number
    limit: Count | None
    plain: bool = False
    function: Name = ""
    bare: bool = False
    timeout: Seconds = 0.0
    memory: Number = 0
    once: bool = False
    priority: int = 0
    engines: tuple[Name, ...] = ()
    resources: Amounts = ()
    at: Seconds = 0.0


class AddJobs(Message, frozen=True, tag="add"):
    """A segment: `count` jobs in one payload frame, numbered from the batch's end on.

    Pickled (`wire.payload`) for a function, plain data (`wire.data`) for a service.
    """

    frames: ClassVar[tuple[int, ...]] = (1,)
    batch: Number
    function: Name
    count: Count
    offer: Number = 0
    """That of `Offered` if somebody else brought them, else 0."""
    first: int = -1
    """The number of the first, as the client counts; -1 where it does not (journals of earlier versions)."""


class SkipJobs(Message, frozen=True, tag="skip"):
    """Number `count` more jobs of a batch as cancelled: they were, before they could be sent."""

    batch: Number
    count: Count
    first: int = -1
    """As of `AddJobs`."""


class Cancel(Message, frozen=True, tag="cancel"):
    """Cancel jobs of a batch (runs None: all that have not ended)."""

    batch: Number
    runs: Runs | None


class Retry(Message, frozen=True, tag="retry"):
    """Run failed or lost jobs of a batch again."""

    batch: Number
    runs: Runs


class Pause(Message, frozen=True, tag="pause"):
    """Start no more jobs of a batch."""

    batch: Number


class Resume(Message, frozen=True, tag="resume"):
    """Start jobs of a batch again."""

    batch: Number


class Limit(Message, frozen=True, tag="limit"):
    """Run at most `limit` jobs of a batch at once (None: no limit)."""

    batch: Number
    limit: Count | None


class Offered(Message, frozen=True, tag="offered"):
    """To the client that adds to a batch: somebody else brings these jobs; number them, and send them as `AddJobs`.

    So one side alone numbers a batch's jobs, as it always does; see `child.additions`.
    """

    frames: ClassVar[tuple[int, ...]] = (1,)
    batch: Number
    function: Name
    count: Count
    offer: Number


class Reopened(Message, frozen=True, tag="reopened"):
    """Failed or lost jobs of these are run again, whoever asked for it."""

    batch: Number
    runs: Runs


class Dropped(Message, frozen=True, tag="dropped"):
    """To the client that adds to a batch: somebody else has cancelled it, so draw no more of its jobs."""

    batch: Number
