"""The engine interface: what the child asks of a place that has slots, and what it is told. One for each kind of URL.

Every implementation passes one test set (tests/process/test_engines.py), and so does the fake
(`testing.fake_engine`). None of the calls but `wait_gone` blocks. An engine decides nothing: which worker gets what,
and who is tried again, is the scheduler's. What it cannot do it declares in the `Abilities` of `EngineOpened`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Collection

    from jupyter_dsage.child.payloads import Payloads
    from jupyter_dsage.core import commands as c
    from jupyter_dsage.core.events import Event
    from jupyter_dsage.net.transport import Source
    from jupyter_dsage.wire.codec import Frame


@dataclass(frozen=True, slots=True)
class Reported:
    """A worker's report, with its payload."""

    worker: int
    report: m.Report
    frames: list[Frame] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class OutputSeen:
    """What a job has printed so far: the answer to `Engine.look`."""

    ask: int
    text: str


@dataclass(frozen=True, slots=True)
class ModulesEdited:
    """A worker has imported modules whose files were edited since: name and file of each."""

    worker: int
    modules: tuple[tuple[str, str], ...]


News = Reported | OutputSeen | ModulesEdited


def heard(worker: int, message: m.Message, frames: list[Frame]) -> News | None:
    """Return the news that a message stands for which is no event of the scheduler's; None for any other."""
    match message:
        case m.Report():
            return Reported(worker, message, frames)
        case m.OutputRead():
            return OutputSeen(message.ask, message.text)
        case m.Stale():
            return ModulesEdited(worker, message.modules)
    return None


class Engine(Protocol):
    """A place that has slots. It watches its own sources in the child's poller."""

    name: str
    host: str
    """Where its workers are, for people; empty until that is known."""
    note: str
    """One sentence about it for people, or none."""

    def open(self) -> list[Event]:
        """Begin; return what is known of it at once."""

    def reopen(self) -> None:
        """Try again at once to reach what could not be reached."""

    def scale(self, slots: int) -> list[Event]:
        """Have this many jobs run at once; `EngineScaled` tells when it is so, at once or later."""

    def set_environment(self, variables: tuple[tuple[str, str], ...]) -> None:
        """Give workers that start from now on these environment variables, if they are on the client's own host."""

    def start(self, worker: int) -> None:
        """Start a worker under this number; `WorkerJoined` or `WorkerLost` follows."""

    def stop(self, worker: int) -> None:
        """Have an idle worker leave; `WorkerLost` follows."""

    def kill(self, worker: int) -> None:
        """Kill a worker; `WorkerLost` follows."""

    def grant(self, lease: c.SendLease, payloads: Payloads) -> None:
        """Send a lease to its worker, with the payloads that it lacks."""

    def forget(self, segment: int) -> None:
        """Let go of a segment that will not be granted any more."""

    def recall(self, order: c.RecallLease) -> None:
        """Recall what has not started of a lease; `LeaseRecalled` follows, or the lease's end."""

    def end_job(self, order: c.EndJob) -> None:
        """End the running job if it is one of these."""

    def look(self, ask: int, worker: int, lease: int, job: int) -> None:
        """Look what a running job has printed so far; `OutputSeen` follows, empty if it does not run there."""

    def pid(self, worker: int) -> int:
        """Return a worker's process id on its host, 0 while it is not known."""

    def read(self, ready: Collection[Source], now: float) -> list[Event | News]:
        """Return what is new; called whenever one of its sources is ready or `next_due` has come."""

    def next_due(self) -> float | None:
        """Return when to call `read` though nothing is ready (monotonic seconds), or None."""

    def leave(self) -> None:
        """Let go of its workers, which end, and of all it has; nothing is read from it any more."""

    def wait_gone(self, seconds: float) -> None:
        """Wait until what `leave` began is done on this host; end by force what is not in time."""
