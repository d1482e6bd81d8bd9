"""Every message between processes: what it is for, who sends it, how many payload frames it carries.

A message is one header (one of these structs, encoded by `wire.codec`) and 0-2 opaque payload frames. Each
direction has its own closed set of kinds (`FROM_CLIENT`, ...): what a role may say is this table. Here stand the
messages between client and child; those that reach a worker or its supervisor are in `wire.work`, and named here too.
"""

from __future__ import annotations

from typing import ClassVar

from jupyter_dsage.wire.setup import Brief, Count, EngineSetup, Name, Number, Runs, Seconds, Text
from jupyter_dsage.wire.work import (
    EndJob,
    EngineInfo,
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
    WorkerInfo,
)

__all__ = [
    "FROM_CLIENT",
    "FROM_SUPERVISOR",
    "FROM_WORKER",
    "IN_JOURNAL",
    "REQUESTS",
    "TO_CLIENT",
    "TO_SUPERVISOR",
    "TO_WORKER",
    "AddEngine",
    "AddJobs",
    "Adopt",
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
    "KnownBatch",
    "Leased",
    "Leave",
    "Leaving",
    "Limit",
    "LookOutput",
    "Lost",
    "Message",
    "OpenBatch",
    "Outcomes",
    "OutputRead",
    "Part",
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
    "Settle",
    "SkipJobs",
    "SpawnWorker",
    "Stale",
    "Stored",
    "Story",
    "SupervisorReady",
    "SupervisorSetup",
    "Sync",
    "Synced",
    "View",
    "Watch",
    "Welcome",
    "WorkerGone",
    "WorkerHello",
    "WorkerInfo",
]


# --- client -> child -----------------------------------------------------------------------------------------


class Hello(Message, frozen=True, tag="hello"):
    """First message of a client: the versions that must match, and which process it is.

    `started`: its start time (seconds since the epoch); `client`: the number that it had at an earlier child of this
    session (0: it is new); `look`: it only looks and gives orders, and nobody is to stay for it.
    """

    protocol: int
    package: Name
    python: Name
    pid: Number
    started: float = 0.0
    client: Number = 0
    look: bool = False


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


class Sync(Message, frozen=True, tag="sync"):
    """Tell what batches there are and what has ended; answered by `KnownBatch`, outcomes, and at last `Synced`."""


class Adopt(Message, frozen=True, tag="adopt"):
    """Be the one client that adds jobs to a batch; answered with `Answer`: the total, or why not."""

    ask: Number
    batch: Number


class Settle(Message, frozen=True, tag="settle"):
    """Answer (with `Answer`) when what came before is in the journal."""

    ask: Number


class Part(Message, frozen=True, tag="bye"):
    """This client leaves; the child stays while it has work."""


class Die(Message, frozen=True, tag="die"):
    """End the session: workers, supervisor, child, files."""


# --- child -> client -----------------------------------------------------------------------------------------


class Welcome(Message, frozen=True, tag="welcome"):
    """The child's answer to `Hello`.

    `client`: the client's number; `got`: how many of its requests are in the journal, so that it sends the others
    again; `store`: the journal's folder, empty where there is none.
    """

    session: Name
    pid: Number
    package: Name
    python: Name
    client: Number = 0
    got: Number = 0
    store: Text = ""


class Stored(Message, frozen=True, tag="stored"):
    """So many requests of this client are in the journal."""

    count: Number


class KnownBatch(Message, frozen=True, tag="batch"):
    """A batch that there is. `mine`: this client may add to it; `note`: what people should know, or empty."""

    opened: OpenBatch
    total: Number
    paused: bool
    mine: bool
    note: Text


class Synced(Message, frozen=True, tag="synced"):
    """All that was asked by `Sync` has been told."""


class Leaving(Message, frozen=True, tag="leaving"):
    """The child ends on purpose; one sentence says why."""

    reason: Text


class PoolChanged(Message, frozen=True, tag="pool"):
    """The engines and the workers there are now."""

    engines: tuple[EngineInfo, ...]
    workers: tuple[WorkerInfo, ...]


class Outcomes(Message, frozen=True, tag="outcomes"):
    """Outcomes of jobs ``[first, stop)`` in one payload frame; only those in `runs` count.

    `failed`: those of them that raised; `seconds`: mean time of a job of this batch; `worker`: who ran them;
    `attempts`: (job, attempts) for those that needed more than one; `errors`: the first few errors in words; `row`: the
    payload's place in the journal (0: there is none). A large payload is read there and does not come along.
    """

    frames: ClassVar[tuple[int, ...]] = (0, 1)
    batch: Number
    first: Number
    stop: Number
    runs: Runs
    failed: tuple[Number, ...]
    seconds: Seconds
    worker: Number
    attempts: tuple[tuple[Number, Number], ...]
    errors: tuple[Brief, ...] = ()
    row: Number = 0


class Lost(Message, frozen=True, tag="lost"):
    """Jobs that took their workers with them, or that no worker is left for; `failed`: that overstepped a limit."""

    batch: Number
    runs: Runs
    story: Story
    attempts: Number
    failed: bool = False
    row: Number = 0


class Leased(Message, frozen=True, tag="leased"):
    """Only in the journal: jobs that may run only once were given to a worker."""

    batch: Number
    first: Number
    stop: Number


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
    | Sync
    | Adopt
    | Settle
    | Part
    | Die
)
TO_CLIENT = (
    Welcome
    | Refused
    | PoolChanged
    | Outcomes
    | Lost
    | Cancelled
    | View
    | Answer
    | Stored
    | KnownBatch
    | Synced
    | Leaving
)
IN_JOURNAL = Outcomes | Lost | Leased
"""What the child tells and writes into its journal, beside the requests of clients that are `REQUESTS`."""
REQUESTS = (OpenBatch, Function, Service, AddJobs, SkipJobs, Cancel, Retry, Pause, Resume, Limit)
"""What clients ask for that outlives the child: numbered by counting, kept until it is in the journal."""
FROM_WORKER = WorkerHello | Report | Stale
TO_WORKER = Function | Service | RunJobs | Leave | Refused
TO_SUPERVISOR = SupervisorSetup | SpawnWorker | KillWorker | Recall | EndJob | ReadOutput | Ping
FROM_SUPERVISOR = SupervisorReady | Recalled | WorkerGone | OutputRead | Pong
