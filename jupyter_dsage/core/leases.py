"""A lease: the scheduler's grant of a run of jobs, inside one segment, to one worker.

Numbers rise with time, so that a worker's page can tell an earlier lease from a later one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.core.ranges import Ranges

if TYPE_CHECKING:
    from jupyter_dsage.core.ranges import Run


@dataclass(slots=True)
class Lease:
    """Jobs ``[first, stop)`` of `segment` at `worker`.

    `left`: those not yet accounted for; `granted`: when, in seconds of the scheduler's clock; `each`: seconds
    expected for one job.
    """

    number: int
    worker: int
    batch: int
    segment: int
    first: int
    stop: int
    granted: float
    each: float
    left: Ranges
    recalled: bool = False
    latency: float = 0.0
    """Seconds a message takes to its worker and back."""
    trial: bool = False
    """Its one job is suspected of having ended all workers of an engine: no other suspect runs there meanwhile."""
    alone: bool = False
    """... and nothing else runs there meanwhile: it was a suspect twice."""
    late: Ranges = field(default_factory=Ranges)
    """Jobs that were moved while its host was silent, and now run elsewhere: whoever tells first counts."""

    @property
    def estimate(self) -> float:
        """Seconds of work expected for what is left."""
        return self.each * len(self.left)

    @property
    def due(self) -> float:
        """Return when it has run so long that its worker is no place to wait behind."""
        patience = max(settings.PATIENCE_SECONDS, settings.PATIENCE_FACTOR * self.estimate)
        return self.granted + patience + 2 * self.latency

    def take(self, first: int, stop: int) -> list[Run]:
        """Take ``[first, stop)`` out of what is left; return the runs that were left of it."""
        return _taken(self.left, first, stop)

    def take_late(self, first: int, stop: int) -> list[Run]:
        """Take ``[first, stop)`` out of what runs elsewhere too; return the runs that were of it."""
        return _taken(self.late, first, stop)

    def unstarted(self, *, begun: bool) -> bool:
        """Tell whether there may be jobs in it that have not started (one runs if it is `begun`)."""
        return len(self.left) > (1 if begun else 0)


def _taken(jobs: Ranges, first: int, stop: int) -> list[Run]:
    runs = jobs.overlap(first, stop)
    for a, b in runs:
        jobs.remove(a, b)
    return runs
