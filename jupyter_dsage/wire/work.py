"""Messages that reach a worker or its supervisor, and those that both sides of the child share.

Named in `wire.messages` too, which is the one name (`m`) that everybody uses; see there.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from jupyter_dsage.wire.setup import Amounts, Brief, Name, Number, Seconds, Text


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
    cause: Name = ""
    """``timeout`` or ``memory`` if its job overstepped that limit and was killed for it, ``storage`` if what belongs to
    it could not be stored (`output`: where), else empty."""
    loading: Name = ""
    """What it loaded for its job when it ended, before the job ran: ``function``, ``arguments``, or nothing."""


class WorkerInfo(Struct, frozen=True, array_like=True):
    """A worker as clients see it; `pid` is 0 until it has joined."""

    worker: Number
    engine: Name
    pid: Number
    stage: Name


class EngineInfo(Struct, frozen=True, array_like=True):
    """An engine as clients see it. `state`: connecting, open, away, failed or leaving; `note`: one sentence, or none.

    `functions`: it runs any function, else only its `services`; `resources`: what it has for its jobs; `resting`: slots
    whose workers have left for want of work, and come back with it.
    """

    name: Name
    host: Name
    state: Name
    slots: Number
    note: Text
    functions: bool
    services: tuple[Name, ...]
    resources: Amounts = ()
    resting: Number = 0


class Function(Message, frozen=True, tag="function"):
    """A function, pickled, under its id. Also child -> worker.

    `cwd` and `path`: where the process that sent it worked and imported from; its jobs do so on the same host.
    """

    frames: ClassVar[tuple[int, ...]] = (1,)
    function: Name
    cwd: Text = ""
    path: tuple[Text, ...] = ()


class Service(Message, frozen=True, tag="service"):
    """A function registered at the workers, under its id here. Also child -> worker.

    Its jobs and outcomes are plain data (`wire.data`), never pickles.
    """

    function: Name
    service: Name


class Refused(Message, frozen=True, tag="refused"):
    """The child does not take this peer, or this message; one sentence says why. Also child -> worker."""

    reason: Text
    batch: Number = 0
    """The batch whose jobs were refused, 0 if none were."""


# --- child -> worker -----------------------------------------------------------------------------------------


class RunJobs(Message, frozen=True, tag="run"):
    """A lease: run jobs ``[first, stop)`` of a segment whose first job is `offset`.

    One payload frame brings the segment if the worker does not hold it; `drop`: segments to forget; `timeout`: seconds
    and `memory`: bytes that each job may take (0: no limit); `once`: tell each outcome before the next job begins.
    """

    frames: ClassVar[tuple[int, ...]] = (0, 1)
    lease: Number
    function: Name
    segment: Number
    offset: Number
    first: Number
    stop: Number
    drop: tuple[Number, ...]
    timeout: Seconds = 0.0
    memory: Number = 0
    once: bool = False
    batch: Number = 0
    """Its jobs' batch: before one of another the worker's process is put back as it was."""


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


class Stale(Message, frozen=True, tag="stale"):
    """Modules that the worker has imported and whose files were edited since: name and file of each."""

    modules: tuple[tuple[Name, Text], ...]


# --- child <-> supervisor ------------------------------------------------------------------------------------


class SupervisorSetup(Message, frozen=True, tag="setup"):
    """First message to a supervisor: where its workers call, and what they run in.

    `services`: name and ``module:function`` of each service; `plain`: workers run services only, and unpickle nothing;
    `keep`: the folder in which what jobs print is kept (empty: `folder`, and it goes with the supervisor); `follow`:
    workers run the jobs of a function where its sender was, rather than in `cwd` and with `path`.
    """

    address: Name
    folder: Name
    cwd: Text
    path: tuple[Text, ...]
    services: tuple[tuple[Name, Name], ...] = ()
    plain: bool = False
    keep: Text = ""
    follow: bool = False

    def at(self, address: str, *, folder: str | None = None, plain: bool | None = None) -> SupervisorSetup:
        """Return the same with another address, and perhaps another folder, or for services only."""
        return SupervisorSetup(
            address,
            self.folder if folder is None else folder,
            self.cwd,
            self.path,
            self.services,
            self.plain if plain is None else plain,
            self.keep,
            self.follow,
        )


class Environment(Message, frozen=True, tag="environment"):
    """The environment variables of workers that are started from now on, each with its value."""

    variables: tuple[tuple[Text, Text], ...]


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


class ReadOutput(Message, frozen=True, tag="look"):
    """Read the end of what the running job has printed so far, if it is this one; answered with `OutputRead`."""

    ask: Number
    worker: Number
    lease: Number
    job: Number


class Ping(Message, frozen=True, tag="ping"):
    """Say that you are there; answered with `Pong`. A supervisor that is silent for long is taken for stopped."""

    number: Number


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
    """A worker has exited; `lease` and `job` are those on its page (None: it ran none).

    `known`: its page was read; else its host or its supervisor is gone too, and nobody knows what it ran.
    """

    worker: Number
    lease: Number | None
    job: Number | None
    story: Story
    known: bool = True


class OutputRead(Message, frozen=True, tag="looked"):
    """The end of what a job has printed so far; empty if it does not run any more."""

    ask: Number
    worker: Number
    text: Text


class Pong(Message, frozen=True, tag="pong"):
    """The supervisor is there."""

    number: Number
