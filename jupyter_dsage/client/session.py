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

from jupyter_dsage import ids, settings
from jupyter_dsage.client.batch import Batch, check_limit, check_name
from jupyter_dsage.client.executor import DsageExecutor
from jupyter_dsage.client.feeder import Source, source_of, zipped
from jupyter_dsage.client.ledger import CANCELLED
from jupyter_dsage.client.link import ChildLink, log
from jupyter_dsage.client.losses import lost_jobs
from jupyter_dsage.client.start import Started, start_child
from jupyter_dsage.client.submit import Submitter
from jupyter_dsage.errors import SessionLost, StartError, UnknownServiceError, UsageError
from jupyter_dsage.net.engine_url import EngineURL, parse_urls
from jupyter_dsage.net.zmq_transport import ZmqNetwork
from jupyter_dsage.services import SHIPPED
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire import payload
from jupyter_dsage.wire.captures import Captures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from jupyter_dsage.client.job import Job

    Function = Callable[..., Any] | str
    Urls = Iterable[str | Sequence[object]] | str | None

_FUNCTIONS_KEPT = 1000
"""Function objects whose pickle is remembered; a notebook that makes lambdas in a loop must not grow for ever."""

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
    registered = {key: payload.dump_function(function) for key, function in (services or {}).items()}
    return Session(start_child(engines, log), engines, name, registered)


class Session:
    """Made by `spawn`. Leaving its ``with`` block, or the interpreter, ends it with all of its processes."""

    def __init__(
        self, started: Started, engines: list[EngineURL], name: str | None, services: dict[str, bytes]
    ) -> None:
        self.id = started.session
        self.name = name or started.session
        self.pid = started.process.pid
        """Pid of the child."""
        self.engines = tuple(engines)
        self.workers: tuple[m.WorkerInfo, ...] = ()
        """The workers there are: number, engine, pid and stage."""
        self.slots = sum(engine.slots for engine in engines)
        self.failures: tuple[str, ...] = ()
        """Why engines cannot start workers, one sentence each."""
        self._started = started
        self._owner = os.getpid()
        self._services = services
        self._by_number: dict[int, Batch] = {}
        self._by_name: dict[str, Batch] = {}
        self._numbers = itertools.count(1)
        self._functions: dict[str, bytes | None] = {}
        """Functions that were sent, by id, and their payloads (None: a service)."""
        self._pickled: dict[int, tuple[Captures, str]] = {}
        """id of a function object -> what it had captured when it was pickled, and its function id."""
        self._watchers: dict[int, list[Callable[[dict[str, Any]], None]]] = {}
        self._views: dict[int, dict[str, Any]] = {}
        """Batch -> the last snapshot that was watched."""
        self._asks: dict[int, Future[str]] = {}
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._over: str | None = None
        self._dying = False
        self._submitter: Submitter | None = None
        self._welcome: Future[None] = Future()
        if started.process.stdout is None:
            raise StartError("The child has no pipe.")
        self._link = ChildLink(ZmqNetwork(), started.address, started.process.stdout, self)
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
        return self._open(self.function(fn), name, retries, limit, lambda f: source_of(jobs, f, bare=False), bare=False)

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

        def source(function: str) -> Source:
            return source_of(iterables[0], function, bare=True) if one else zipped(iterables, function)

        return self._open(self.function(fn), name, retries, limit, source, bare=one)

    def submit(self, fn: Function, /, *args: Any, **kwargs: Any) -> Job:
        """Run one call; returns its `Job`. Consecutive calls gather in one batch, ``"submit"``."""
        with self._lock:
            if self._submitter is None:
                self._submitter = self._new_submitter("submit")
        return self._submitter.submit(self.function(fn), args, kwargs)

    def executor(self) -> DsageExecutor:
        """Return a ``concurrent.futures.Executor`` whose jobs run in this session."""
        return DsageExecutor(self, self._new_submitter(None))

    @property
    def batches(self) -> Mapping[str, Batch]:
        """The batches by name; where several had one name, the latest."""
        return MappingProxyType(self._by_name)

    def add_to(self, batch: Batch, jobs: Iterable[Any], fn: Function | None) -> None:
        """Add jobs to a batch; see `Batch.add`."""
        if batch.function is None:
            raise UsageError(f"Batch {batch.name!r} grows by session.submit, not by add.")
        batch.feed(source_of(jobs, batch.function if fn is None else self.function(fn), bare=batch.bare))

    def _open(
        self,
        function: str,
        name: str | None,
        retries: int,
        limit: int | None,
        source: Callable[[str], Source],
        *,
        bare: bool,
    ) -> Batch:
        batch = self._new_batch(name, retries, limit)
        batch.function, batch.bare = function, bare
        batch.feed(source(function))
        with self._lock:
            self._by_name[batch.name] = batch
        return batch

    def _new_batch(self, name: str | None, retries: int, limit: int | None) -> Batch:
        if not isinstance(retries, int) or isinstance(retries, bool) or retries < 0:
            raise UsageError(f"retries={retries!r} is no number of retries: give 0 or more.")
        check_name(name)
        with self._lock:
            self._check_alive()
            number = next(self._numbers)
            batch = Batch(self, number, name or f"batch-{number}", check_limit(limit))
            self._by_number[number] = batch
            self.post(m.OpenBatch(number, batch.name, retries, limit))
            return batch

    def _new_submitter(self, name: str | None) -> Submitter:
        batch = self._new_batch(name, 0, None)
        self._by_name[batch.name] = batch
        return Submitter(batch, self._link)

    def function(self, fn: Function) -> str:
        """Return the id of a function, sending it if the child does not have it; see `scatter` for what it raises."""
        if isinstance(fn, str):
            return self._service(fn)
        known = self._pickled.get(id(fn))
        if known is not None and known[0].same(fn):
            return known[1]
        data = payload.dump_function(fn)
        name = self._send_function(ids.function_id(data), None, data)
        if len(self._pickled) >= _FUNCTIONS_KEPT:
            self._pickled.clear()
        self._pickled[id(fn)] = (Captures(fn), name)
        return name

    def _service(self, name: str) -> str:
        if name in self._services:
            data = self._services[name]
            return self._send_function(ids.function_id(data), None, data)
        if name in SHIPPED:
            return self._send_function(f"service:{name}", name)
        known = ", ".join(sorted({*self._services, *SHIPPED}))
        raise UnknownServiceError(
            f"There is no service {name!r}; there is {known}. Register it with spawn(services={{{name!r}: function}})."
        )

    def _send_function(self, function: str, service: str | None, *data: bytes) -> str:
        with self._lock:
            if function not in self._functions:
                self._functions[function] = data[0] if data else None
                self.post(m.Function(function, service), *data)
        return function

    # --- the session ---------------------------------------------------------------------------------------

    def refresh(self, timeout: float | None = 30.0) -> str:
        """Have idle workers replaced now, and busy ones when their jobs are done, so that modules are read anew.

        Returns the child's answer, one sentence.
        """
        return self._ask(m.Refresh).result(timeout)

    def function_payload(self, function: str | None) -> bytes | None:
        """Return a function as it travels, by its id; None for a service that workers know by themselves."""
        return self._functions.get(function or "")

    def log_tail(self, lines: int) -> str:
        """Return the last lines of the child's log."""
        return self._started.log_tail(lines)

    def worker_name(self, number: int) -> str:
        """Return a worker's name as the view shows it."""
        engine = next((w.engine for w in self.workers if w.worker == number), self.engines[0].name)
        return f"{engine.partition('://')[2] or engine}/{number}"

    def state_of(self, batch: int, job: int) -> str:
        """Return whether a job that has not ended runs, as far as the last view of its batch tells."""
        running = any(worker["job"] == job for worker in self._views.get(batch, {}).get("workers", ()))
        return "running" if running else "queued"

    def wait_for_workers(self, timeout: float | None = None) -> bool:
        """Wait until every engine's workers have joined, or have failed to; return whether that came in time."""

        def settled() -> bool:
            return self._over is not None or bool(self.failures) or self._all_joined()

        with self._changed:
            return self._changed.wait_for(settled, timeout)

    def _all_joined(self) -> bool:
        return len(self.workers) >= self.slots and all(worker.stage == "ready" for worker in self.workers)

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

    def _ask(self, kind: type[m.Refresh]) -> Future[str]:
        answer: Future[str] = Future()
        with self._lock:
            number = next(self._numbers)
            self._asks[number] = answer
        self.post(kind(number))
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
            case m.Answer():
                self._asks.pop(message.ask).set_result(message.text)
            case m.Welcome():
                self._welcome.set_result(None)
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
        with self._changed:
            self.workers, self.slots, self.failures = message.workers, message.slots, message.failures
            self._changed.notify_all()
        for batch in list(self._by_number.values()):
            batch.poke()

    def ended(self) -> None:
        """See `link.Receiver`."""
        self._started.release()
        code = self._started.process.returncode
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        reason = "it was ended by die()." if self._dying else f"its background process ended with {how}."
        with self._changed:
            self._over = reason
            self._changed.notify_all()
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
