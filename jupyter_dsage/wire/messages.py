"""Every message between processes: what it is for, who sends it, how many payload frames it carries.

A message is one header (one of these structs, encoded by `wire.codec`) and 0-2 opaque payload frames. Each
direction has its own closed set of kinds (`FROM_CLIENT`, ...): what a role may say is this table. Here stand the
messages between client and child; those that reach a worker or its supervisor are in `wire.work`, and named here too.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from jupyter_dsage.wire.setup import Count, EngineSetup, Name, Number, Runs, Seconds, Text
from jupyter_dsage.wire.work import (
    EndJob,
    Function,
    KillWorker,
    Leave,
    Message,
    OutputRead,
    Ping,
    Pong,
    ReadOutput,
    Recall,
    Recalled,
    Refused,
    Report,
    RunJobs,
    Service,
    SpawnWorker,
    Stale,
    Story,
    SupervisorReady,
    SupervisorSetup,
    WorkerGone,
    WorkerHello,
)

__all__ = [
    "FROM_CLIENT",
    "FROM_SUPERVISOR",
    "FROM_WORKER",
    "TO_CLIENT",
    "TO_SUPERVISOR",
    "TO_WORKER",
    "AddEngine",
    "AddJobs",
    "Answer",
    "Cancel",
    "Cancelled",
    "Die",
    "EndJob",
    "EngineInfo",
    "Expect",
    "Function",
    "Hello",
    "KillWorker",
    "Leave",
    "Limit",
    "LookOutput",
    "Lost",
    "Message",
    "OpenBatch",
    "Outcomes",
    "OutputRead",
    "Pause",
    "Ping",
    "Pong",
    "PoolChanged",
    "ReadOutput",
    "Recall",
    "Recalled",
    "Refresh",
    "Refused",
    "RemoveEngine",
    "Report",
    "Resume",
    "Retry",
    "RunJobs",
    "ScaleEngine",
    "Service",
    "SkipJobs",
    "SpawnWorker",
    "Stale",
    "Story",
    "SupervisorReady",
    "SupervisorSetup",
    "View",
    "Watch",
    "Welcome",
    "WorkerGone",
    "WorkerHello",
    "WorkerInfo",
]


class WorkerInfo(Struct, frozen=True, array_like=True):
    """A worker as clients see it; `pid` is 0 until it has joined."""

    worker: Number
    engine: Name
    pid: Number
    stage: Name


class EngineInfo(Struct, frozen=True, array_like=True):
    """An engine as clients see it. `state`: connecting, open, away, failed or leaving; `note`: one sentence, or none.

    `functions`: it runs any function, else only its `services`.
    """

    name: Name
    host: Name
    state: Name
    slots: Number
    note: Text
    functions: bool
    services: tuple[Name, ...]


# --- client -> child -----------------------------------------------------------------------------------------


class Hello(Message, frozen=True, tag="hello"):
    """First message of a client: the versions that must match."""

    protocol: int
    package: Name
    python: Name
    pid: Number


class OpenBatch(Message, frozen=True, tag="open"):
    """Open a batch; its number is the client's to choose and new. See `Session.scatter` for what it is told.

    `plain`: its jobs call services; `function` and `bare` describe it to clients that come later; `timeout` and
    `memory`: seconds and bytes that a job may take (0: no limit); `once`: no job of it is ever tried a second time
    after a loss; `priority`: batches of a higher one go first.
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


class AddJobs(Message, frozen=True, tag="add"):
    """A segment: `count` jobs in one payload frame, numbered from the batch's end on.

    Pickled (`wire.payload`) for a function, plain data (`wire.data`) for a service.
    """

    frames: ClassVar[tuple[int, ...]] = (1,)
    batch: Number
    function: Name
    count: Count


class SkipJobs(Message, frozen=True, tag="skip"):
    """Number `count` more jobs of a batch as cancelled: they were, before they could be sent."""

    batch: Number
    count: Count


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


class Expect(Message, frozen=True, tag="expect"):
    """How many jobs a batch will have as far as the client knows, and whether more may be drawn: for the view."""

    batch: Number
    total: Number
    drawing: bool


class Watch(Message, frozen=True, tag="watch"):
    """Send `View` messages of a batch to this client from now on, or no more."""

    batch: Number
    on: bool


class LookOutput(Message, frozen=True, tag="output"):
    """Ask for the end of what a running job has printed so far; answered with `Answer`."""

    ask: Number
    batch: Number
    job: Number


class Refresh(Message, frozen=True, tag="refresh"):
    """Replace idle workers (and busy ones when they are done); answered with `Answer`."""

    ask: Number


class AddEngine(Message, frozen=True, tag="engine"):
    """Have one more engine; answered with `Answer`."""

    ask: Number
    engine: EngineSetup


class RemoveEngine(Message, frozen=True, tag="remove"):
    """Do without an engine, when its running jobs have ended or at once (`now`); answered with `Answer`."""

    ask: Number
    engine: Name
    now: bool


class ScaleEngine(Message, frozen=True, tag="scale"):
    """Have an engine run this many jobs at once; answered with `Answer`."""

    ask: Number
    engine: Name
    slots: Count


class Die(Message, frozen=True, tag="die"):
    """End the session: workers, supervisor, child, files."""


# --- child -> client -----------------------------------------------------------------------------------------


class Welcome(Message, frozen=True, tag="welcome"):
    """The child's answer to `Hello`."""

    session: Name
    pid: Number
    package: Name
    python: Name


class PoolChanged(Message, frozen=True, tag="pool"):
    """The engines and the workers there are now."""

    engines: tuple[EngineInfo, ...]
    workers: tuple[WorkerInfo, ...]


class Outcomes(Message, frozen=True, tag="outcomes"):
    """Outcomes of jobs ``[first, stop)`` in one payload frame; only those in `runs` count.

    `failed`: those of them that raised; `seconds`: mean time of a job of this batch; `worker`: who ran them;
    `attempts`: (job, attempts) for those that needed more than one.
    """

    frames: ClassVar[tuple[int, ...]] = (1,)
    batch: Number
    first: Number
    stop: Number
    runs: Runs
    failed: tuple[Number, ...]
    seconds: Seconds
    worker: Number
    attempts: tuple[tuple[Number, Number], ...]


class Lost(Message, frozen=True, tag="lost"):
    """Jobs that took their workers with them, or that no worker is left for; `failed`: that overstepped a limit."""

    batch: Number
    runs: Runs
    story: Story
    attempts: Number
    failed: bool = False


class Cancelled(Message, frozen=True, tag="cancelled"):
    """Jobs that were cancelled."""

    batch: Number
    runs: Runs


class Answer(Message, frozen=True, tag="answer"):
    """The answer to a numbered question, in one sentence; `failed`: the sentence says why it was not done."""

    ask: Number
    text: Text
    failed: bool = False


class View(Message, frozen=True, tag="view"):
    """What there is to see of a batch, as JSON in one payload frame; see `child.view`."""

    frames: ClassVar[tuple[int, ...]] = (1,)
    batch: Number


FROM_CLIENT = (
    Hello
    | OpenBatch
    | Function
    | Service
    | AddJobs
    | SkipJobs
    | Cancel
    | Retry
    | Pause
    | Resume
    | Limit
    | Expect
    | Watch
    | LookOutput
    | Refresh
    | AddEngine
    | RemoveEngine
    | ScaleEngine
    | Die
)
TO_CLIENT = Welcome | Refused | PoolChanged | Outcomes | Lost | Cancelled | View | Answer
FROM_WORKER = WorkerHello | Report | Stale
TO_WORKER = Function | Service | RunJobs | Leave | Refused
TO_SUPERVISOR = SupervisorSetup | SpawnWorker | KillWorker | Recall | EndJob | ReadOutput | Ping
FROM_SUPERVISOR = SupervisorReady | Recalled | WorkerGone | OutputRead | Pong
