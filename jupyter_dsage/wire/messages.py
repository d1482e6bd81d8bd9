"""Every message between processes: what it is for, who sends it, how many payload frames it carries.

A message is one header (one of these structs, encoded by `wire.codec`) and 0-2 opaque payload frames. Each
direction has its own closed set of kinds (`FROM_CLIENT`, ...): what a role may say is this table.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from jupyter_dsage.wire.setup import Brief, Count, EngineSetup, Name, Number, Runs, Seconds, Text


class Message(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base of all messages. `frames`: how many payload frames it may carry."""

    frames: ClassVar[tuple[int, ...]] = (0,)


class Story(Struct, frozen=True, array_like=True):
    """Why a worker is gone, in facts (P4). `peak_bytes`: largest resident memory; `output`: its last lines."""

    worker: Number
    host: Name
    pid: Number
    ending: Name
    """For example ``signal 9 (SIGKILL)`` or ``exit code 3``."""
    seconds: Seconds
    """How long the job had been running (0 if none ran)."""
    peak_bytes: Number
    output: Text


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
    """Open a batch; its number is the client's to choose and new."""

    batch: Number
    name: Name
    retries: Number
    limit: Count | None


class Function(Message, frozen=True, tag="function"):
    """A function, pickled, under its id. Also child -> worker."""

    frames: ClassVar[tuple[int, ...]] = (1,)
    function: Name


class Service(Message, frozen=True, tag="service"):
    """A function registered at the workers, under its id here. Also child -> worker.

    Its jobs and outcomes are plain data (`wire.data`), never pickles.
    """

    function: Name
    service: Name


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


class Refused(Message, frozen=True, tag="refused"):
    """The child does not take this peer, or this message; one sentence says why. Also child -> worker."""

    reason: Text


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
    """Jobs that took their workers with them, or that no worker is left for."""

    batch: Number
    runs: Runs
    story: Story
    attempts: Number


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


# --- child -> worker -----------------------------------------------------------------------------------------


class RunJobs(Message, frozen=True, tag="run"):
    """A lease: run jobs ``[first, stop)`` of a segment whose first job is `offset`.

    One payload frame brings the segment if the worker does not hold it; `drop`: segments to forget.
    """

    frames: ClassVar[tuple[int, ...]] = (0, 1)
    lease: Number
    function: Name
    segment: Number
    offset: Number
    first: Number
    stop: Number
    drop: tuple[Number, ...]


class Leave(Message, frozen=True, tag="leave"):
    """Exit now: sent to an idle worker."""


# --- worker -> child -----------------------------------------------------------------------------------------


class WorkerHello(Message, frozen=True, tag="join"):
    """First message of a worker."""

    protocol: int
    worker: Number
    pid: Number


class Report(Message, frozen=True, tag="report"):
    """Outcomes of jobs ``[first, stop)`` of a lease, in one payload frame (none where there are no jobs).

    `errors`: the first few of those that failed, in words, for the view; `ended`: the lease is over.
    """

    frames: ClassVar[tuple[int, ...]] = (0, 1)
    lease: Number
    first: Number
    stop: Number
    failed: tuple[Number, ...]
    errors: tuple[Brief, ...]
    seconds: Seconds
    ended: bool


# --- child <-> supervisor ------------------------------------------------------------------------------------


class SupervisorSetup(Message, frozen=True, tag="setup"):
    """First message to a supervisor: where its workers call, and what they run in.

    `services`: name and ``module:function`` of each service; `plain`: workers run services only, and unpickle nothing.
    """

    address: Name
    folder: Name
    cwd: Text
    path: tuple[Text, ...]
    services: tuple[tuple[Name, Name], ...] = ()
    plain: bool = False

    def at(self, address: str, *, folder: str | None = None, plain: bool | None = None) -> SupervisorSetup:
        """Return the same with another address, and perhaps another folder, or for services only."""
        return SupervisorSetup(
            address,
            self.folder if folder is None else folder,
            self.cwd,
            self.path,
            self.services,
            self.plain if plain is None else plain,
        )


class SpawnWorker(Message, frozen=True, tag="spawn"):
    """Start a worker under this number."""

    worker: Number


class KillWorker(Message, frozen=True, tag="kill"):
    """Kill a worker and what it started."""

    worker: Number


class Recall(Message, frozen=True, tag="recall"):
    """Recall what has not started of a lease, from `first` on; answered with `Recalled`."""

    worker: Number
    lease: Number
    first: Number
    stop: Number


class EndJob(Message, frozen=True, tag="end"):
    """End the running job if it is one of these."""

    worker: Number
    lease: Number
    first: Number
    stop: Number


class SupervisorReady(Message, frozen=True, tag="ready"):
    """The supervisor is up."""

    pid: Number
    host: Name


class Recalled(Message, frozen=True, tag="recalled"):
    """The worker will not run jobs of this lease from `start` on."""

    worker: Number
    lease: Number
    start: Number


class WorkerGone(Message, frozen=True, tag="gone"):
    """A worker has exited; `lease` and `job` are those on its page (None: it ran none)."""

    worker: Number
    lease: Number | None
    job: Number | None
    story: Story


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
    | Refresh
    | AddEngine
    | RemoveEngine
    | ScaleEngine
    | Die
)
TO_CLIENT = Welcome | Refused | PoolChanged | Outcomes | Lost | Cancelled | View | Answer
FROM_WORKER = WorkerHello | Report
TO_WORKER = Function | Service | RunJobs | Leave | Refused
TO_SUPERVISOR = SupervisorSetup | SpawnWorker | KillWorker | Recall | EndJob
FROM_SUPERVISOR = SupervisorReady | Recalled | WorkerGone
