"""`Session`: a child with its engines and batches, as the kernel holds it."""

from __future__ import annotations

import atexit
import importlib.metadata
import itertools
import json
import os
import sys
import threading
from concurrent.futures import Future
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, Self

from jupyter_dsage import settings
from jupyter_dsage.client.batch import Batch, check_limit, check_name
from jupyter_dsage.client.engines import Engines
from jupyter_dsage.client.executor import DsageExecutor
from jupyter_dsage.client.feeder import Source, source_of, zipped
from jupyter_dsage.client.functions import Functions
from jupyter_dsage.client.ledger import CANCELLED
from jupyter_dsage.client.link import ChildLink, log
from jupyter_dsage.client.losses import lost_jobs
from jupyter_dsage.client.start import start_child
from jupyter_dsage.client.submit import Submitter
from jupyter_dsage.errors import EngineError, SessionLost, StartError, UsageError
from jupyter_dsage.net.engine_url import EngineURL, parse_urls
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire import payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from jupyter_dsage.client.job import Job
    from jupyter_dsage.client.start import Started

    Function = Callable[..., Any] | str
    Urls = Iterable[str | Sequence[object]] | str | None

_alive: dict[Session, None] = {}
"""In the order in which they were started."""


def spawn(
    urls: Urls = None,
    name: str | None = None,
    *,
    services: Mapping[str, Callable[..., Any]] | None = None,
    log: IO[str] | IO[bytes] | None = None,
) -> Session:
    """Start a session: a background process with one local worker per core, or with the engines that `urls` names.

    `urls`: ``"local:?slots=2"``, a list of such, or tuples as in 2008; `name`: for people, the session's id if left
    out; `services`: functions that jobs may call by name (``{"/square": square}``); `log`: an open file for the
    child's log. Returns when the child listens; workers start meanwhile. Raises EngineError for a URL that cannot be
    used, UnpicklableError for a service that cannot travel, StartError if the child does not start.
    """
    engines = parse_urls(urls)
    for service in (services or {}).values():
        payload.dump_function(service)  # before anything starts: one that cannot travel is named here
    return Session(start_child(engines, log), engines, name, services or {})


class Session:
    """Made by `spawn`. Leaving its ``with`` block, or the interpreter, ends it with all of its processes."""

    def __init__(
        self,
        started: Started,
        urls: list[EngineURL],
        name: str | None = None,
        services: Mapping[str, Callable[..., Any]] = MappingProxyType({}),
    ) -> None:
        self.id = started.session
        self.name = name or started.session
        self.pid = started.pid
        """Pid of the child."""
        self.urls = tuple(urls)
        """The engines that it was started with, as they were given."""
        self._pool = Engines(urls, self._ask)
        self._started = started
        self._owner = os.getpid()
        self._by_number: dict[int, Batch] = {}
        self._by_name: dict[str, Batch] = {}
        self._numbers = itertools.count(1)
        self._functions = Functions(self.post, services, self._pool.offered)
        self._watchers: dict[int, list[Callable[[dict[str, Any]], None]]] = {}
        self._views: dict[int, dict[str, Any]] = {}
        """Batch -> the last snapshot that was watched."""
        self._asks: dict[int, Future[str]] = {}
        self._lock = threading.RLock()
        self._over: str | None = None
        self._dying = False
        self._submitters: dict[bool, Submitter] = {}
        """Whether for services -> the open batch of single jobs."""
        self._welcome: Future[None] = Future()
        self._link = ChildLink(started.network(), started.address, started.life, self)
        _alive[self] = None
        python = "{}.{}".format(*sys.version_info)
        version = importlib.metadata.version("jupyter_dsage")
        self._link.post(m.Hello(settings.PROTOCOL, version, python, os.getpid()))
        try:
            self._welcome.result(settings.START_SECONDS)
        except BaseException:  # an interrupt too must leave no child behind; raised again
            self.die()
            raise

    # --- jobs ----------------------------------------------------------------------------------------------

    def scatter(
        self,
        fn: Function,
        jobs: Iterable[Any],
        name: str | None = None,
        *,
        retries: int = 0,
        limit: int | None = None,
    ) -> Batch:
        """Run ``fn(*args, **kwargs)`` for each (args, kwargs) pair of `jobs`, any iterable; returns at once.

        `fn`: a function, which travels by value with what it captured, or a service's name; `name`: of the batch
        (``"batch-1"`` if left out; a name that is taken goes to the new batch); `retries`: how often a job that raises
        is tried again; `limit`: jobs that run at once at most. The first job is drawn and checked before the call
        returns, the rest by a thread, so do not change arguments meanwhile. Raises UnpicklableError, which names the
        culprit by its path, UsageError, UnknownServiceError, SessionLost.
        """

        def source(function: str, *, plain: bool) -> Source:
            return source_of(jobs, function, bare=False, plain=plain)

        return self._open(self.function(fn), name, retries, limit, source, bare=False)

    def map(
        self,
        fn: Function,
        *iterables: Iterable[Any],
        name: str | None = None,
        retries: int = 0,
        limit: int | None = None,
    ) -> Batch:
        """Run ``fn(item)`` for each item, or ``fn(a, b, …)`` over several iterables; otherwise as `scatter`."""
        if not iterables:
            raise UsageError("map needs at least one iterable: session.map(fn, items).")
        one = len(iterables) == 1

        def source(function: str, *, plain: bool) -> Source:
            if one:
                return source_of(iterables[0], function, bare=True, plain=plain)
            return zipped(iterables, function, plain=plain)

        return self._open(self.function(fn), name, retries, limit, source, bare=one)

    def submit(self, fn: Function, /, *args: Any, **kwargs: Any) -> Job:
        """Run one call; returns its `Job`. Consecutive calls gather in a batch, ``"submit"`` or ``"calls"``."""
        function = self.function(fn)
        plain = self._functions.is_service(function)
        with self._lock:
            if plain not in self._submitters:
                self._submitters[plain] = self.new_submitter("calls" if plain else "submit", plain=plain)
        return self._submitters[plain].submit(function, args, kwargs)

    def executor(self) -> DsageExecutor:
        """Return a ``concurrent.futures.Executor`` whose jobs run in this session."""
        return DsageExecutor(self)

    @property
    def batches(self) -> Mapping[str, Batch]:
        """The batches by name; where several had one name, the latest."""
        return MappingProxyType(self._by_name)

    def add_to(self, batch: Batch, jobs: Iterable[Any], fn: Function | None, *, bare: bool | None = None) -> None:
        """Add jobs to a batch; see `Batch.add`. `bare`: whether they are plain items (None: as the batch's are)."""
        if batch.function is None:
            raise UsageError(f"Batch {batch.name!r} grows by session.submit, not by add.")
        function = batch.function if fn is None else self.function(fn)
        if self._functions.is_service(function) != batch.plain:
            kind = "services" if batch.plain else "functions"
            raise UsageError(f"The jobs of batch {batch.name!r} call {kind}, and only such can be added to it.")
        batch.feed(source_of(jobs, function, bare=batch.bare if bare is None else bare, plain=batch.plain))

    def _open(
        self,
        function: str,
        name: str | None,
        retries: int,
        limit: int | None,
        source: Callable[..., Source],
        *,
        bare: bool,
    ) -> Batch:
        batch = self._new_batch(name, retries, limit, plain=self._functions.is_service(function))
        batch.function, batch.bare = function, bare
        batch.feed(source(function, plain=batch.plain))
        with self._lock:
            self._by_name[batch.name] = batch
        return batch

    def _new_batch(self, name: str | None, retries: int, limit: int | None, *, plain: bool) -> Batch:
        if not isinstance(retries, int) or isinstance(retries, bool) or retries < 0:
            raise UsageError(f"retries={retries!r} is no number of retries: give 0 or more.")
        check_name(name)
        with self._lock:
            self._check_alive()
            number = next(self._numbers)
            batch = Batch(self, number, name or f"batch-{number}", check_limit(limit), plain=plain)
            self._by_number[number] = batch
            self.post(m.OpenBatch(number, batch.name, retries, limit))
            return batch

    def new_submitter(self, name: str | None, *, plain: bool) -> Submitter:
        """Return a new open batch of single jobs; see `executor`."""
        batch = self._new_batch(name, 0, None, plain=plain)
        self._by_name[batch.name] = batch
        return Submitter(batch, self._link)

    def function(self, fn: Function) -> str:
        """Return the id of a function, sending it if the child does not have it; see `scatter` for what it raises."""
        return self._functions.id_of(fn)

    def is_service(self, function: str) -> bool:
        """Tell whether a function's id is that of a service: its jobs and outcomes are plain data."""
        return self._functions.is_service(function)

    def function_payload(self, function: str | None) -> bytes | None:
        """Return a function as it travels, by its id; None for a service that workers know by themselves."""
        return self._functions.payload(function)

    # --- engines -------------------------------------------------------------------------------------------

    @property
    def engines(self) -> tuple[m.EngineInfo, ...]:
        """The engines there are: name, host, state, slots, note, and the services that they have."""
        return self._pool.engines

    @property
    def workers(self) -> tuple[m.WorkerInfo, ...]:
        """The workers there are: number, engine, pid and stage."""
        return self._pool.workers

    @property
    def slots(self) -> int:
        """How many jobs can run at once now."""
        return self._pool.slots

    @property
    def failures(self) -> tuple[str, ...]:
        """Why engines do not work, one sentence each."""
        return self._pool.failures

    def add(self, url: str | Sequence[object], timeout: float | None = 30.0) -> str:
        """Have one more engine share the work, also of batches that run; returns the child's answer, one sentence.

        Raises EngineError for a URL that cannot be used or that is there already.
        """
        return self._pool.add(url, timeout)

    def remove(self, url: str, *, now: bool = False, timeout: float | None = 30.0) -> str:
        """Do without an engine: its running jobs end first, or with `now` are moved; returns the child's answer."""
        return self._pool.remove(url, timeout, now=now)

    def scale(self, url: str, slots: int, timeout: float | None = 30.0) -> str:
        """Have an engine run this many jobs at once; returns the child's answer, one sentence."""
        return self._pool.scale(url, slots, timeout)

    # --- the session ---------------------------------------------------------------------------------------

    def refresh(self, timeout: float | None = 30.0) -> str:
        """Have idle workers replaced now, and busy ones when their jobs are done, so that modules are read anew.

        Returns the child's answer, one sentence.
        """
        return self._ask(m.Refresh).result(timeout)

    def log_tail(self, lines: int) -> str:
        """Return the last lines of the child's log."""
        return self._started.log_tail(lines)

    def worker_name(self, number: int) -> str:
        """Return a worker's name as the view shows it."""
        return self._pool.worker_name(number)

    def state_of(self, batch: int, job: int) -> str:
        """Return whether a job that has not ended runs, as far as the last view of its batch tells."""
        running = any(worker["job"] == job for worker in self._views.get(batch, {}).get("workers", ()))
        return "running" if running else "queued"

    def wait_for_workers(self, timeout: float | None = None) -> bool:
        """Wait until every engine's workers have joined, or have failed to; return whether that came in time."""
        return self._pool.wait_for_workers(timeout)

    def die(self) -> None:
        """End the session: child, workers, sockets and files. Jobs that have not ended end as SessionLost."""
        if not self.owned():
            return
        self._dying = True
        if self._over is None:
            self.post(m.Die())
        self._link.wait_ended(settings.DIE_SECONDS)
        self._link.close()

    def owned(self) -> bool:
        """Tell whether this process started the session; a fork of the owner did not."""
        return os.getpid() == self._owner

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.die()

    def __repr__(self) -> str:
        state = self._over or f"{len(self.workers)} workers, {len(self._by_number)} batches"
        return f"<Session {self.name!r}: {state}>"

    def watch(self, batch: int, callback: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        """See `Batch.watch`."""
        with self._lock:
            watchers = self._watchers.setdefault(batch, [])
            watchers.append(callback)
            if self._over is None:
                self.post(m.Watch(batch, on=True))

        def off() -> None:
            with self._lock:
                if callback in watchers:
                    watchers.remove(callback)
                if not watchers and self._over is None:
                    self.post(m.Watch(batch, on=False))

        return off

    # --- for batches and their kin -------------------------------------------------------------------------

    def post(self, message: m.Message, *frames: bytes) -> None:
        """Send a message to the child; raises SessionLost if there is none any more."""
        self._check_alive()
        self._link.post(message, *frames)

    def on_io_thread(self) -> bool:
        """Tell whether the caller runs in a callback, where waiting would wait for ever."""
        return self._link.on_thread()

    def _check_alive(self) -> None:
        if os.getpid() != self._owner:
            raise SessionLost("This session belongs to the process that forked this one: spawn another here.")
        if self._over is not None:
            raise SessionLost(f"Session {self.name!r} is over: {self._over} Spawn a new one.")

    def _ask(self, question: Callable[[int], m.Message]) -> Future[str]:
        answer: Future[str] = Future()
        with self._lock:
            number = next(self._numbers)
            self._asks[number] = answer
        self.post(question(number))
        return answer

    # --- link.Receiver: called by the I/O thread -----------------------------------------------------------

    def receive(self, message: m.Message, frames: list[bytes | memoryview]) -> None:
        """See `link.Receiver`."""
        match message:
            case m.Outcomes():
                self._by_number[message.batch].outcomes(message, frames[0])
            case m.Lost():
                self._by_number[message.batch].ended(
                    message.runs, lost_jobs(message, self._by_number[message.batch].name)
                )
            case m.Cancelled():
                self._by_number[message.batch].ended(message.runs, CANCELLED)
            case m.View():
                self._show(message.batch, json.loads(bytes(frames[0])))
            case m.PoolChanged():
                self._pool_changed(message)
                if not self._welcome.done():
                    self._welcome.set_result(None)
            case m.Answer():
                asked = self._asks.pop(message.ask)
                if message.failed:
                    asked.set_exception(EngineError(message.text))
                else:
                    asked.set_result(message.text)
            case m.Welcome():
                pass  # the pool follows, and then all is known
            case m.Refused():
                if not self._welcome.done():
                    self._welcome.set_exception(StartError(message.reason))
                log.error("The child refused a message: %s", message.reason)

    def _show(self, batch: int, view: dict[str, Any]) -> None:
        view["session"]["name"] = self.name
        self._views[batch] = view
        for callback in list(self._watchers.get(batch, ())):
            try:
                callback(view)
            except Exception:  # noqa: BLE001  (a display that fails must not end the session's I/O)
                log.exception("A callback that watches batch %d failed.", batch)

    def _pool_changed(self, message: m.PoolChanged) -> None:
        self._pool.took(message)
        for batch in list(self._by_number.values()):
            batch.poke()

    def ended(self) -> None:
        """See `link.Receiver`."""
        code = self._started.release()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        reason = "it was ended by die()." if self._dying else f"its background process ended with {how}."
        self._over = reason
        self._pool.ended()
        for batch in list(self._by_number.values()):
            batch.session_ended(reason)
        for number, view in list(self._views.items()):
            session = {"id": self.id, "name": self.name, "alive": False, "note": reason}
            self._show(number, view | {"session": session, "workers": []})
        answers: list[Future[Any]] = [*self._asks.values(), self._welcome]
        for answer in answers:
            if not answer.done():
                answer.set_exception(SessionLost(f"Session {self.name!r} is over: {reason}"))
        _alive.pop(self, None)


def living() -> list[Session]:
    """Return the sessions that this process started and that have not ended, oldest first."""
    return [session for session in list(_alive) if session.owned()]


@atexit.register
def _end_all() -> None:
    for session in list(_alive):
        session.die()
