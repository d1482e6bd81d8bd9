"""Every message between processes: what it is for, who sends it, how many payload frames it carries.

A message is one header (one of these structs, encoded by `wire.codec`) and 0-2 opaque payload frames. Each
direction has its own closed set of kinds (`FROM_CLIENT`, ...): what a role may say is this table. Here stand the
messages between client and child; what clients ask for is in `wire.requests` and `wire.questions`, what reaches a
worker or its supervisor in `wire.work`, and all are named here too.
"""

from __future__ import annotations

from typing import ClassVar

from jupyter_dsage.process_identity import Start
from jupyter_dsage.wire.questions import (
    AddEngine,
    AddExpression,
    Adopt,
    Answer,
    DescribeJob,
    LookBatch,
    LookOutput,
    LookSession,
    Order,
    Refresh,
    RemoveEngine,
    ScaleEngine,
    SessionView,
    Settle,
    View,
    Watch,
    WatchSession,
)
from jupyter_dsage.wire.requests import (
    AddJobs,
    Cancel,
    Dropped,
    Limit,
    Offered,
    OpenBatch,
    Pause,
    Reopened,
    Resume,
    Retry,
    SkipJobs,
)
from jupyter_dsage.wire.setup import Brief, Name, Number, Runs, Seconds, Text
from jupyter_dsage.wire.work import (
    EndJob,
    EngineInfo,
    Environment,
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
    "FROM_OPERATOR",
    "FROM_SUPERVISOR",
    "FROM_WORKER",
    "IN_JOURNAL",
    "REQUESTS",
    "TO_CLIENT",
    "TO_SUPERVISOR",
    "TO_WORKER",
    "AddEngine",
    "AddExpression",
    "AddJobs",
    "Adopt",
    "Answer",
    "Cancel",
    "Cancelled",
    "DescribeJob",
    "Die",
    "Dropped",
    "EndJob",
    "EngineInfo",
    "Environment",
    "Expect",
    "Function",
    "Hello",
    "KillWorker",
    "KnownBatch",
    "Leased",
    "Leave",
    "Leaving",
    "Limit",
    "LookBatch",
    "LookOutput",
    "LookSession",
    "Lost",
    "Message",
    "Offered",
    "OpenBatch",
    "Order",
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
    "Reopened",
    "Report",
    "Resume",
    "Retry",
    "RunJobs",
    "ScaleEngine",
    "Service",
    "SessionView",
    "Settle",
    "SkipJobs",
    "SpawnWorker",
    "Stale",
    "Stored",
    "Story",
    "SupervisorReady",
    "SupervisorSetup",
    "Suspected",
    "Sync",
    "Synced",
    "View",
    "Watch",
    "WatchSession",
    "Welcome",
    "WorkerGone",
    "WorkerHello",
    "WorkerInfo",
]


# --- client -> child -----------------------------------------------------------------------------------------


class Hello(Message, frozen=True, tag="hello"):
    """First message of a client: the versions that must match, and which process it is.

    `started`: its start (see `process_identity`); `client`: the number that it had at an earlier child of this
    session (0: it is new); `look`: it only looks and gives orders, and nobody is to stay for it; `operator`: the same,
    and it is held to `FROM_OPERATOR`.
    """

    protocol: int
    package: Name
    python: Name
    pid: Number
    started: Start = ""
    client: Number = 0
    look: bool = False
    operator: bool = False


class Expect(Message, frozen=True, tag="expect"):
    """How many jobs a batch will have as far as the client knows, and whether more may be drawn: for the view."""

    batch: Number
    total: Number
    drawing: bool


class Sync(Message, frozen=True, tag="sync"):
    """Tell what batches there are and what has ended; answered by `KnownBatch`, outcomes, and at last `Synced`."""


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


class Suspected(Message, frozen=True, tag="suspected"):
    """Only in the journal: a job that ran when the child was killed; it may have done that."""

    batch: Number
    job: Number
    at: Seconds
    """On the machine's monotonic clock."""


class Cancelled(Message, frozen=True, tag="cancelled"):
    """Jobs that were cancelled."""

    batch: Number
    runs: Runs


FROM_OPERATOR = (
    Hello
    | Watch
    | WatchSession
    | LookBatch
    | LookSession
    | DescribeJob
    | Order
    | AddExpression
    | Refresh
    | AddEngine
    | RemoveEngine
    | ScaleEngine
    | Part
    | Die
)
"""What the server extension may say: it looks, gives orders and adds jobs by expression, and sends no payload."""
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
    | WatchSession
    | LookOutput
    | LookBatch
    | LookSession
    | DescribeJob
    | Order
    | AddExpression
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
    | SessionView
    | Offered
    | Reopened
    | Dropped
    | Answer
    | Stored
    | KnownBatch
    | Synced
    | Leaving
)
IN_JOURNAL = Outcomes | Lost | Leased | Suspected
"""What the child tells and writes into its journal, beside the requests of clients that are `REQUESTS`."""
REQUESTS = (OpenBatch, Function, Service, AddJobs, SkipJobs, Cancel, Retry, Pause, Resume, Limit)
"""What clients ask for that outlives the child: numbered by counting, kept until it is in the journal."""
FROM_WORKER = WorkerHello | Report | Stale
TO_WORKER = Function | Service | RunJobs | Leave | Refused
TO_SUPERVISOR = SupervisorSetup | Environment | Leave | SpawnWorker | KillWorker | Recall | EndJob | ReadOutput | Ping
FROM_SUPERVISOR = SupervisorReady | Recalled | WorkerGone | OutputRead | Pong
