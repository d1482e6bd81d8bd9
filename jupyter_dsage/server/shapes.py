"""The JSON that the extension answers with, as types: what its description is made from, and its tests compare with.

The child makes views and details, and the labextension reads them (``labextension/src/types.ts``): the same shapes.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Message(Struct):
    """What went wrong, in one sentence for people."""

    message: str


class Done(Struct):
    """What was done, in one sentence for people."""

    text: str


class LogText(Struct):
    """The last lines of a log."""

    text: str


class Counts(Struct, forbid_unknown_fields=True):
    """Jobs by state."""

    queued: int
    running: int
    finished: int
    failed: int
    cancelled: int
    lost: int


class Row(Struct, forbid_unknown_fields=True):
    """A session in a list; what is null is known while it lives.

    `path`: the notebook's on this server, empty if it has none here; `kernels`: of all that have the session now.
    """

    id: str
    name: str
    created: float
    alive: bool
    kernel: str
    notebook: str
    path: str
    kernels: list[str]
    pid: int | None
    slots: int | None
    workers: int | None
    batches: int | None
    counts: Counts | None
    revivable: bool


class Sessions(Struct, forbid_unknown_fields=True):
    """All sessions of this user, oldest first."""

    sessions: list[Row]


class Engine(Struct, forbid_unknown_fields=True):
    """A place that has slots; `running`, `finished` and `failed`: of the batch, or of all."""

    name: str
    host: str
    state: Literal["connecting", "open", "away", "failed", "leaving"]
    slots: int
    workers: int
    running: int
    finished: int
    failed: int
    note: str
    cannot: list[Literal["interrupt", "functions", "scale"]]


class BatchRow(Struct, forbid_unknown_fields=True):
    """A batch in the view of its session."""

    number: int
    name: str
    total: int
    drawing: bool
    counts: Counts
    paused: bool
    limit: int | None
    wants: str
    ended: bool
    elapsed: float
    rate: float | None
    left: float | None
    created: float


class SessionWorker(Struct, forbid_unknown_fields=True):
    """A worker in the view of its session; `cpu`: percent of a core, `memory`: bytes, of this host's workers."""

    name: str
    engine: str
    host: str
    stage: str
    pid: int
    job: int | None
    batch: int | None
    cpu: float | None
    memory: int | None


class SessionView(Struct, forbid_unknown_fields=True):
    """What there is to see of a session; what has no room is counted in `more_…`."""

    v: Literal[1]
    id: str
    name: str
    alive: bool
    note: str
    created: float
    kernel: str
    notebook: str
    pid: int
    slots: int
    counts: Counts
    rate: float | None
    batches: list[BatchRow]
    more_batches: int
    engines: list[Engine]
    more_engines: int
    workers: list[SessionWorker]
    more_workers: int


class SnapshotSession(Struct, forbid_unknown_fields=True):
    """The session of a snapshot."""

    id: str
    name: str
    alive: bool
    note: str


class SnapshotBatch(Struct, forbid_unknown_fields=True):
    """A batch as a whole."""

    name: str
    total: int
    drawing: bool
    counts: Counts
    paused: bool
    limit: int | None
    wants: str
    ended: bool
    elapsed: float
    rate: float | None
    left: float | None


class SnapshotWorker(Struct, forbid_unknown_fields=True):
    """A worker with its lane: [seconds ago: start, stop; letter; jobs]."""

    name: str
    engine: str
    stage: str
    pid: int
    job: int | None
    lane: list[tuple[float, float, str, int]]


class Grid(Struct, forbid_unknown_fields=True):
    """One cell for `per` jobs, run-length encoded."""

    jobs: int
    per: int
    cells: str


class Failure(Struct, forbid_unknown_fields=True):
    """A job that failed or was lost, and why."""

    job: int
    error: str
    state: Literal["failed", "lost"]


class Failures(Struct, forbid_unknown_fields=True):
    """How many there are, and the first of them."""

    total: int
    rows: list[Failure]


class Snapshot(Struct, forbid_unknown_fields=True):
    """What there is to see of a batch."""

    v: Literal[1]
    session: SnapshotSession
    batch: SnapshotBatch
    engines: list[Engine]
    more_engines: int
    workers: list[SnapshotWorker]
    more_workers: int
    grid: Grid
    failures: Failures


class Detail(Struct, forbid_unknown_fields=True):
    """One job in words; null: not known."""

    job: int
    state: str
    args: str | None
    worker: str | None
    seconds: float | None
    attempt: int | None
    error: str | None
    traceback: str | None
    output: str | None
