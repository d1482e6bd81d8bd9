"""The spelling of 2008 (DsageNg Scatter Gather), over the same session.

urls = [("dsage://localhost:", 12345, "/all_series", 2)]      # url, port, service, slots
inList = [([1000], {"distribution": "normal", "bins": 10}) for x in range(100)]
c = spawnScatterGather(urls, logFile=open("client.log", "w"))
goVal = c.waitForResult()      # the greeting: who the child is, which workers answered
c.addJob(inList)               # returns at once
r = c.waitForResult(); r[0:5]  # one list of results for each addJob, in order
c.command("refresh"); c.command("die")
"""

from __future__ import annotations

import collections
from typing import IO, TYPE_CHECKING, Any

from jupyter_dsage import settings
from jupyter_dsage.client.opening import spawn
from jupyter_dsage.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from jupyter_dsage.client.batch import Batch
    from jupyter_dsage.client.session import Session

COMMANDS = ("refresh", "die")


def spawnScatterGather(
    urls: Iterable[str | Sequence[object]],
    logFile: IO[str] | IO[bytes] | None = None,
    services: Mapping[str, Callable[..., Any]] | None = None,
) -> ScatterGather:
    """Start the child with the engines that `urls` names and return its client; returns at once.

    `urls`: tuples (url, port, service, slots) or engine URLs; the service they name is what jobs call. `logFile`: an
    open file for the child's log. Raises as `jupyter_dsage.spawn`, and UsageError if the URLs name no service, or two.
    """
    urls = list(urls)
    session = spawn(urls, services=services, log=logFile)
    named = {url.service for url in session.urls if url.service}
    if len(named) != 1:
        session.die()
        found = f"these name {' and '.join(sorted(named))}" if named else "these name none"
        raise UsageError(f"All URLs must name one service, such as '/all_series'; {found}.")
    return ScatterGather(session, named.pop())


class ScatterGather:
    """The client parent of 2008: jobs go into the downward queue, lists of results come out of the upward one."""

    def __init__(self, session: Session, service: str) -> None:
        self.session = session
        self.service = service
        self._upward: collections.deque[Batch | None] = collections.deque([None])
        """What `waitForResult` returns next; None stands for the greeting."""

    def addJob(self, inList: Iterable[tuple[Sequence[Any], Mapping[str, Any]]]) -> None:
        """Queue a list of (args, kwargs) pairs; returns at once. Their results make one item of the upward queue."""
        self._upward.append(self.session.scatter(self.service, inList))

    def waitForResult(self, timeout: float | None = None) -> Any:
        """Wait for the next item of the upward queue and return it.

        The first is the greeting, a string; then a list of results for each `addJob`, in the order of the calls. A job
        that failed has its exception in its place. Raises TimeoutError, and UsageError if nothing was added.
        """
        if not self._upward:
            raise UsageError("Nothing is on its way: every list of results was taken; add jobs with addJob(inList).")
        batch = self._upward[0]
        item = self._greeting(timeout) if batch is None else batch.results(errors="return", timeout=timeout)
        self._upward.popleft()
        return item

    def checkResult(self) -> Any:
        """Return what `waitForResult` would, if it is there, else None; never blocks."""
        if not self._upward:
            return None
        batch = self._upward[0]
        there = self.session.wait_for_workers(0) if batch is None else batch.ready()
        return self.waitForResult() if there else None

    def command(self, name: str) -> None:
        """Give the child a command; it answers in the log. ``"refresh"``: workers anew; ``"die"``: the end."""
        if name == "refresh":
            self.session.refresh()
        elif name == "die":
            self.session.die()
        else:
            raise UsageError(f"There is no command {name!r}; there is {' and '.join(map(repr, COMMANDS))}.")

    def _greeting(self, timeout: float | None) -> str:
        session = self.session
        if not session.wait_for_workers(timeout if timeout is not None else settings.JOIN_SECONDS):
            raise TimeoutError(f"The workers of session {session.name!r} have not all answered yet.")
        workers = ", ".join(f"worker {worker.worker} (pid {worker.pid})" for worker in session.workers)
        notes = "".join(f"; {url.name}: {url.note}" for url in session.urls if url.note)
        failures = "".join(f"; {failure}" for failure in session.failures)
        count = len(session.workers)
        return f"dsage child {session.pid}, session {session.id}: {count} workers answered: {workers}{notes}{failures}"
