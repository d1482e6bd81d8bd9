"""Functions and segments of one worker: kept as bytes when they arrive, loaded when the first job needs them.

Loading runs code of the user's (imports, ``__reduce__``), which may raise, hang or end the process. So it is part of a
job's life: the page names the job, and that its function or its arguments are being loaded; limits, cancels and blame
apply as while the job runs.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from jupyter_dsage.errors import ProtocolError
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire.data_calls import DataJobs
from jupyter_dsage.wire.payload import Jobs
from jupyter_dsage.worker.interrupt import JobCancelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.wire.payload import Frame
    from jupyter_dsage.wire.surroundings import Surroundings
    from jupyter_dsage.worker.offered import Services

Place = tuple[str, tuple[str, ...]]
"""Working directory and import path."""


class LoadFailure:
    """Why a function or a segment cannot be used here; each of its jobs raises that."""

    __slots__ = ("_error", "_traceback")

    def __init__(self, error: BaseException, note: str = "") -> None:
        if note:
            with contextlib.suppress(Exception):  # ``__notes__`` may be anything, also what takes no note
                BaseException.add_note(error, note)
        self._error = error
        self._traceback = error.__traceback__

    def error(self) -> BaseException:
        """Return the exception as it was raised: without the lines that each job before has added to its traceback."""
        return BaseException.with_traceback(self._error, self._traceback)


class Payloads:
    """What the child has sent to this worker. `load_*` are called while the page shows the job that needs it."""

    def __init__(self, offered: Services, place: Place, *, follow: bool) -> None:
        self._offered = offered
        self._place = place
        self._follow = follow
        self._places: dict[str, Place] = {}
        """Where jobs of a function work, if that is not `place`."""
        self._arrived: dict[str, tuple[m.Function | m.Service, Frame]] = {}
        """Functions that no job has needed yet."""
        self._functions: dict[str, Callable[..., Any] | LoadFailure] = {}
        self.surroundings: dict[str, Surroundings] = {}
        """What functions are to find around them, where something was set in the notebook."""
        self._services: set[str] = set()
        """Those of the functions that are services: their jobs and outcomes are plain data."""
        self._bytes: dict[int, Frame] = {}
        """Segments that no job has needed yet."""
        self._segments: dict[int, Jobs | DataJobs] = {}

    def learn(self, message: m.Function | m.Service, data: Frame = b"") -> None:
        """Keep a function, or a service's name, until a job needs it."""
        if isinstance(message, m.Service):
            self._services.add(message.function)
        elif self._follow and message.path:  # a journal from before functions had one says nothing
            self._places[message.function] = message.cwd, message.path
        self._arrived[message.function] = message, data

    def place(self, function: str) -> Place:
        """Return the working directory and the import path of a function's jobs."""
        return self._places.get(function, self._place)

    def hold(self, message: m.RunJobs, data: Frame | None) -> None:
        """Keep a segment that came with a lease, and forget those that the child says to."""
        for segment in message.drop:
            self._segments.pop(segment, None)
            self._bytes.pop(segment, None)
        if data is not None:
            self._bytes[message.segment] = data

    def plain(self, message: m.RunJobs) -> bool:
        """Tell whether a lease's jobs are plain data; where services are all, whatever comes is taken for that."""
        return self._offered.plain or message.function in self._services

    def loaded(
        self, message: m.RunJobs
    ) -> tuple[Callable[..., Any] | LoadFailure | None, Jobs | DataJobs | LoadFailure | None]:
        """Return function and arguments of a lease, each None if it is not loaded yet."""
        return self._functions.get(message.function), self._segments.get(message.segment)

    def load_function(self, name: str) -> Callable[..., Any] | LoadFailure:
        """Load a function, once in the worker's life. JobCancelled passes; the next job that needs it tries anew."""
        known = self._functions.get(name)
        if known is not None:
            return known
        message, data = self._arrived.get(name, (None, b""))
        if message is None:
            return LoadFailure(ProtocolError("The function of this lease was not sent to the worker."))
        found: Callable[..., Any] | LoadFailure
        try:
            if isinstance(message, m.Service):
                found = self._offered.service(message.service)
            else:
                found, around = self._offered.function(data)
                if around is not None:
                    self.surroundings[name] = around
        except JobCancelled:
            raise
        except BaseException as error:  # noqa: BLE001  (a user's module may raise anything when it is imported)
            what = f"service {message.service!r}" if isinstance(message, m.Service) else "function"
            found = LoadFailure(error, f"The {what} could not be loaded at the worker.")
        self._functions[name] = found
        del self._arrived[name]
        return found

    def give_up_function(self, name: str, error: BaseException) -> None:
        """Load a function no more that took too long: its jobs here raise this error."""
        self._arrived.pop(name, None)
        self._functions[name] = LoadFailure(error)

    def load_jobs(self, message: m.RunJobs) -> Jobs | DataJobs | LoadFailure:
        """Load the arguments of a lease's segment. A failure ends this lease's jobs; the next lease tries anew."""
        known = self._segments.get(message.segment)
        if known is not None:
            return known
        data = self._bytes.get(message.segment)
        if data is None:
            return LoadFailure(ProtocolError("The segment of this lease was not sent to the worker."))
        try:
            jobs: Jobs | DataJobs = DataJobs(data) if self.plain(message) else Jobs(data)
        except JobCancelled:
            raise
        except BaseException as error:  # noqa: BLE001  (no memory for it, or nonsense from a peer)
            return LoadFailure(error, "The arguments could not be loaded at the worker.")
        self._segments[message.segment] = jobs
        del self._bytes[message.segment]
        return jobs
