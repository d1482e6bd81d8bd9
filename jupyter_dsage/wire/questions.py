"""What clients and operators ask: to be shown something, as `View` messages or once, or to have something done.

A numbered question is answered with one `Answer`. Named in `wire.messages` too, which is the one name (`m`) that
everybody uses; see there.
"""

from __future__ import annotations

from typing import ClassVar

from jupyter_dsage.wire.setup import Count, EngineSetup, Name, Number, Text
from jupyter_dsage.wire.work import Message


class Watch(Message, frozen=True, tag="watch"):
    """Send `View` messages of a batch to this client from now on, or no more."""

    batch: Number
    on: bool


class View(Message, frozen=True, tag="view"):
    """What there is to see of a batch, as JSON in one payload frame; see `child.view`."""

    frames: ClassVar[tuple[int, ...]] = (1,)
    batch: Number


class WatchSession(Message, frozen=True, tag="watch session"):
    """Send `SessionView` messages to this client from now on, or no more."""

    on: bool


class SessionView(Message, frozen=True, tag="session view"):
    """What there is to see of the session, as JSON in one payload frame; see `child.session_view`."""

    frames: ClassVar[tuple[int, ...]] = (1,)


class Order(Message, frozen=True, tag="order"):
    """Pause, resume, cancel or retry (`verb`) a batch, or all whom it concerns; `job`: just this one (cancel, retry).

    How operators ask for it: they know neither all batches nor which jobs have failed. Carried out, and written down,
    as the requests that clients send.
    """

    ask: Number
    verb: Name
    batch: Number | None = None
    job: Number | None = None


class AddExpression(Message, frozen=True, tag="expression"):
    """*Add jobs*: have the jobs that an expression stands for added to a batch; see `child.additions`."""

    ask: Number
    batch: Number
    text: Text


class DescribeJob(Message, frozen=True, tag="describe"):
    """Ask for one job in words; the answer is a JSON object, see `child.details`."""

    ask: Number
    batch: Number
    job: Number


class LookBatch(Message, frozen=True, tag="look batch"):
    """Ask once for what `View` messages tell; the answer is JSON."""

    ask: Number
    batch: Number


class LookSession(Message, frozen=True, tag="look session"):
    """Ask once for what `SessionView` messages tell; the answer is JSON."""

    ask: Number


class LookOutput(Message, frozen=True, tag="output"):
    """Ask for the end of what a running job has printed so far."""

    ask: Number
    batch: Number
    job: Number


class Refresh(Message, frozen=True, tag="refresh"):
    """Replace idle workers, and busy ones when they are done.

    `variables`: the environment that new workers get, where the session's engines have that of who asks; else empty.
    """

    ask: Number
    variables: tuple[tuple[Text, Text], ...] = ()


class AddEngine(Message, frozen=True, tag="engine"):
    """Have one more engine."""

    ask: Number
    engine: EngineSetup


class RemoveEngine(Message, frozen=True, tag="remove"):
    """Do without an engine, when its running jobs have ended or at once (`now`)."""

    ask: Number
    engine: Name
    now: bool


class ScaleEngine(Message, frozen=True, tag="scale"):
    """Have an engine run this many jobs at once."""

    ask: Number
    engine: Name
    slots: Count


class Adopt(Message, frozen=True, tag="adopt"):
    """Be the one client that adds jobs to a batch; the answer is the total, or why not."""

    ask: Number
    batch: Number


class Settle(Message, frozen=True, tag="settle"):
    """Be answered when what came before is in the journal."""

    ask: Number


class Answer(Message, frozen=True, tag="answer"):
    """The answer to a numbered question, in one sentence; `failed`: the sentence says why it was not done.

    `missing`: since there is no such batch, job or engine.
    """

    ask: Number
    text: Text
    failed: bool = False
    missing: bool = False
