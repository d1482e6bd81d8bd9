"""`Session`: a child with its engines and batches, as the kernel holds it."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from jupyter_dsage import clock, settings
from jupyter_dsage.client import living
from jupyter_dsage.client.attending import Attending
from jupyter_dsage.client.batch import Batch
from jupyter_dsage.client.executor import DsageExecutor
from jupyter_dsage.client.feeder import Source, source_of, zipped
from jupyter_dsage.client.functions import Functions
from jupyter_dsage.client.link import ChildLink
from jupyter_dsage.client.location import environment
from jupyter_dsage.client.options import check_name, check_options
from jupyter_dsage.client.record import Chunk
from jupyter_dsage.client.submit import Submitter
from jupyter_dsage.errors import DsageError, SessionLost, UsageError
from jupyter_dsage.process_identity import own_start
from jupyter_dsage.store.sessions import forget, let_go
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Unpack

    from jupyter_dsage.client.child_process import Started
    from jupyter_dsage.client.job import Job
    from jupyter_dsage.client.options import Options
    from jupyter_dsage.net.url_parts import EngineURL
    from jupyter_dsage.wire.payload import Frame

    Function = Callable[..., Any] | str
    Urls = Iterable[str | Sequence[object]] | str | None

_BATCH_BITS = 20
"""Batches that one client may open, as a power of two: their numbers do not meet those of other clients."""


class Session(Attending):
    """Made by `spawn` and `attach`. Leaving its ``with`` block ends it with all of its processes."""

    def __init__(
        self,
        started: Started,
        urls: Sequence[EngineURL] = (),
        name: str | None = None,
        services: Mapping[str, Callable[..., Any]] = MappingProxyType({}),
        *,
        stay: bool = False,
        look: bool = False,
    ) -> None:
        super().__init__(started, urls, name, look=look)
        self.urls = tuple(urls)
        """The engines that it was started with, as they were given."""
        self.stays = stay
        """Whether it goes on when this process ends."""
        self._owner = os.getpid()
        self._functions = Functions(self.post, services, self._pool.offered)
        self._submitters: dict[bool, Submitter] = {}
        """Whether for services -> the open batch of single jobs."""
        self._quick: Submitter | None = None
        """That for functions, once there is one."""
        self._link = ChildLink(started, self)
        try:
            self._link.start()
            self.wait_synced(settings.REVIVE_SECONDS if stay else settings.START_SECONDS)
        except BaseException:  # an interrupt too must leave no child behind; raised again
            self._end(m.Part() if stay else m.Die(), "it did not come up.")
            raise

    # --- jobs ----------------------------------------------------------------------------------------------

    def scatter(
        self,
        fn: Function,
        jobs: Iterable[Any],
        name: str | None = None,
        **options: Unpack[Options],
    ) -> Batch:
        """Run ``fn(*args, **kwargs)`` for each (args, kwargs) pair of `jobs`, any iterable; returns at once.

        `fn`: a function, which travels by value with what it captured, or a service's name; `name`: of the batch
        (``"batch-1"`` if left out; a name that is taken goes to the new batch, and ``session.batches["hist#1"]`` is
        the first of that name); `options`: see
        `client.options.Options`, that is `retries`, `limit`, `timeout`, `memory`, `at_most_once`, `priority`, `engine`
        and `resources`. The first job is drawn and checked before the call returns, the rest by a thread, so do not
        change arguments meanwhile. Raises UnpicklableError, which names the culprit by its path, UsageError,
        EngineError, UnknownServiceError, SessionLost.
        """

        def source(function: str, *, plain: bool) -> Source:
            return source_of(jobs, function, bare=False, plain=plain)

        return self._open(self.function(fn), name, options, source, bare=False)

    def map(
        self,
        fn: Function,
        *iterables: Iterable[Any],
        name: str | None = None,
        **options: Unpack[Options],
    ) -> Batch:
        """Run ``fn(item)`` for each item, or ``fn(a, b, …)`` over several iterables; otherwise as `scatter`."""
        if not iterables:
            raise UsageError("map needs at least one iterable: session.map(fn, items).")
        one = len(iterables) == 1

        def source(function: str, *, plain: bool) -> Source:
            if one:
                return source_of(iterables[0], function, bare=True, plain=plain)
            return zipped(iterables, function, plain=plain)

        return self._open(self.function(fn), name, options, source, bare=one)

    def submit(self, fn: Function, /, *args: Any, **kwargs: Any) -> Job:
        """Run one call; returns its `Job`. Consecutive calls gather in a batch, ``"submit"`` or ``"calls"``."""
        if not kwargs and type(fn) is FunctionType and self._quick is not None:
            known = self._functions.fixed_id(fn)
            job = None if known is None else self._quick.quick(known, args)
            if job is not None:
                return job
        function = self.function(fn)
        plain = self._functions.is_service(function)
        submitter = self._submitters.get(plain)
        if submitter is None:
            submitter = self.open_submitter(self._submitters, "calls" if plain else "submit", plain=plain)
            self._quick = self._submitters.get(False)
        return submitter.submit(function, args, kwargs)

    def executor(self, **options: Unpack[Options]) -> DsageExecutor:
        """Return a ``concurrent.futures.Executor`` whose jobs run in this session; `options`: as of `scatter`."""
        self._checked(options)
        return DsageExecutor(self, options)

    def add_to(self, batch: Batch, jobs: Iterable[Any], fn: Function | None, *, bare: bool | None = None) -> None:
        """Add jobs to a batch; see `Batch.add`. `bare`: whether they are plain items (None: as the batch's are)."""
        if batch.function is None:
            raise UsageError(f"Batch {batch.name!r} grows by session.submit, not by add.")
        if not batch.mine:
            total = int(self._ask(lambda ask: m.Adopt(ask, batch.number)).result(settings.START_SECONDS))
            self.call(lambda: batch.adopted(total))
        function = batch.function if fn is None else self.function(fn)
        if fn is not None and self._functions.is_service(function) != batch.plain:
            kind = "services" if batch.plain else "functions"
            raise UsageError(f"The jobs of batch {batch.name!r} call {kind}, and only such can be added to it.")
        source = source_of(jobs, function, bare=batch.bare if bare is None else bare, plain=batch.plain)
        batch.draw_head(source)
        self.call(lambda: batch.feed(source))

    def _open(
        self, function: str, name: str | None, options: Options, source: Callable[..., Source], *, bare: bool
    ) -> Batch:
        plain = self._functions.is_service(function)
        batch = self._new_batch(name, options, function, plain=plain, bare=bare)
        jobs = source(function, plain=plain)
        batch.draw_head(jobs)

        def start() -> None:
            self._start(batch)
            batch.feed(jobs)

        self.call(start)
        return batch

    def _new_batch(
        self, name: str | None, options: Options, function: str = "", *, plain: bool, bare: bool = False
    ) -> Batch:
        """Return a new batch, of which nobody knows before `_start`."""
        checked = self._checked(options)
        check_name(name)
        count = next(self._numbers)
        number = ((self._client - 1) << _BATCH_BITS) + count
        opened = m.OpenBatch(
            number, name or f"batch-{count}", plain=plain, function=function, bare=bare, **checked, at=time.time()
        )
        return Batch(self, opened)

    def _start(self, batch: Batch) -> None:
        """Have the child open a batch, and find it by its name from now on. On the I/O thread."""
        self.post(batch.opened)
        self._by_number[batch.number] = batch
        self.batches.add(batch)

    def _checked(self, options: Options) -> dict[str, Any]:
        """Return the options of a batch as its message has them; raises UsageError, EngineError."""
        checked = check_options(options)
        self.check_alive()
        checked["engines"] = self._pool.wanted(checked["engines"], checked["resources"])
        return checked

    def open_submitter(
        self, known: dict[bool, Submitter], name: str | None, *, plain: bool, **options: Unpack[Options]
    ) -> Submitter:
        """Return the open batch of single jobs in `known`; opened, and put there, if there is none."""
        batch = self._new_batch(name, options, plain=plain)

        def start() -> Submitter:
            if plain not in known:
                self._start(batch)
                known[plain] = Submitter(batch, self._link)
            return known[plain]

        return self.call(start)

    def function(self, fn: Function) -> str:
        """Return the id of a function, sending it if the child does not have it; see `scatter` for what it raises."""
        return self._functions.id_of(fn)

    def is_service(self, function: str) -> bool:
        """Tell whether a function's id is that of a service: its jobs and outcomes are plain data."""
        return self._functions.is_service(function)

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

    def add(self, url: Any, timeout: float | None = 30.0) -> str:
        """Have one more engine share the work, also of batches that run; returns the child's answer, one sentence.

        `url`: as in `spawn`: a URL, one of Dask's clients or clusters, or the module ``ray``. Raises EngineError for
        one that cannot be used or that is there already.
        """
        return self._pool.add(url, timeout)

    def remove(self, url: str, *, now: bool = False, timeout: float | None = 30.0) -> str:
        """Do without an engine: its running jobs end first, or with `now` are moved; returns the child's answer."""
        return self._pool.remove(url, timeout, now=now)

    def scale(self, url: str, slots: int, timeout: float | None = 30.0) -> str:
        """Have an engine run this many jobs at once; returns the child's answer, one sentence."""
        return self._pool.scale(url, slots, timeout)

    def __reduce__(self) -> Any:
        raise TypeError("a Session stays in this process: a job cannot use the session that it runs in")

    # --- the session ---------------------------------------------------------------------------------------

    @property
    def store(self) -> Path | None:
        """The folder of its record and journal; None without a journal."""
        return Path(self._started.store) if self._started.store else None

    def refresh(self, timeout: float | None = 30.0) -> str:
        """Have idle workers replaced now, and busy ones when their jobs are done, so that modules are read anew.

        Workers of this host get this process's environment variables as they are now, and those that `spawn` was given.
        Returns the child's answer, one sentence.
        """
        variables = () if self._look else environment()
        return self._ask(lambda ask: m.Refresh(ask, variables)).result(timeout)

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
        self.check_may_wait()
        return self._pool.wait_for_workers(timeout)

    def settle(self, timeout: float | None = 30.0) -> None:
        """Wait until the child has taken in, and where there is a journal written down, what was asked of it so far."""
        while True:
            try:
                self._ask(m.Settle).result(timeout)
            except SessionLost:
                if self._over is not None or not self.owned():
                    raise
                continue  # the child that was asked was killed; the next one has all that was asked of it
            return

    def die(self) -> None:
        """End the session: child, workers, sockets, files and journal. Jobs that have not ended end as SessionLost.

        A session that was left by `detach` goes on: `attach` to it again to end it.
        """
        if not self.owned() or (self._parting and self._over is not None):
            return
        self._end(m.Die(), "it was ended by die().")
        if self._started.store:
            forget(Path(self._started.store), keep=self._shelf.needs_journal())
            if self._shelf.needs_journal():
                living.keep_journal(self._started.store)

    def detach(self) -> None:
        """Let go of the session, which goes on with what there is to do; `attach` brings it back.

        What has not ended ends here as SessionLost. A session that is to die with its kernel (see `spawn`) dies. Raises
        UsageError in a callback, which must not wait.
        """
        if not self.owned():
            return
        if self.stays or self._look:
            self.check_may_wait()
            deadline = clock.monotonic() + settings.DIE_SECONDS
            for batch in list(self._by_number.values()):
                batch.wait_drawn(deadline)
            with contextlib.suppress(TimeoutError, SessionLost):  # then what was not written down is not
                self.settle(max(0.1, deadline - clock.monotonic()))
            self._end(m.Part(), "it was left by detach(); attach() brings it back.")
            if self.store is not None and not self._look:
                let_go(self.store, os.getpid(), own_start())
        else:
            self.die()

    def _end(self, word: m.Message, reason: str) -> None:
        self._ending = self._ending or reason
        self._parting = isinstance(word, m.Part)
        if self._over is None:
            self._link.post(word)
        if not self._parting:
            self._link.wait_ended(settings.DIE_SECONDS)
        self._link.close()

    def enlist(self) -> None:
        """Make it one of those that `attach` finds in this process, and that end or are left with it."""
        living.enlist(self)
        if self._over is not None:
            self._gone()

    def disown(self) -> None:
        """Have no short way any more that would leave out `check_alive`: this is a forked process."""
        self._quick = None

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

    # --- for batches and their kin -------------------------------------------------------------------------

    def post(self, message: m.Message, *frames: Frame) -> None:
        """Send a message to the child; raises SessionLost if there is none any more."""
        self.check_alive()
        self._link.post(message, *frames)

    def look_output(self, batch: int, job: int) -> str:
        """Return what a running job has printed so far; empty where that is not known within a moment."""
        if self._over is not None or self.on_io_thread():
            return ""
        try:
            return self._ask(lambda ask: m.LookOutput(ask, batch, job)).result(settings.LOOK_OUTPUT_SECONDS)
        except (TimeoutError, SessionLost):
            return ""

    def snapshot(self, batch: int) -> dict[str, Any] | None:
        """See `Batch.snapshot`."""
        if self._over is None and not self.on_io_thread():
            try:
                seen = self._ask(lambda ask: m.LookBatch(ask, batch)).result(settings.SNAPSHOT_SECONDS)
            except (TimeoutError, DsageError):  # the child is stopped, or gone just now: what is known must do
                return self._views.get(batch)
            view: dict[str, Any] = json.loads(seen)
            return view
        return self._views.get(batch)

    def add_expression(self, batch: int, text: str) -> str:
        """See `Batch.add_expression`."""
        timeout = settings.SPARE_SECONDS + settings.START_SECONDS
        return self._ask(lambda ask: m.AddExpression(ask, batch, text)).result(timeout)

    def chunk(self, message: m.Outcomes, data: bytes | memoryview | None, *, plain: bool) -> Chunk:
        """Return outcomes as a batch's record has them, taken in by the shelf."""
        attempts = dict(message.attempts)
        chunk = Chunk(message.first, data, message.worker, attempts, plain=plain, row=message.row, shelf=self._shelf)
        self._shelf.put(chunk, data)
        return chunk

    def on_io_thread(self) -> bool:
        """Tell whether the caller runs in a callback, where waiting would wait for ever."""
        return self._link.on_thread()

    def check_owned(self) -> None:
        """Raise SessionLost if the session belongs to the process that this one was forked from."""
        if os.getpid() != self._owner:
            raise SessionLost("This session belongs to the process that forked this one: spawn another here.")

    def check_alive(self) -> None:
        """Raise SessionLost if the session is over, or belongs to the process that this one was forked from."""
        self.check_owned()
        if self._over is not None:
            raise SessionLost(f"Session {self.name!r} is over: {self._over} Spawn a new one.")

    def _batch(self, opened: m.OpenBatch) -> Batch:
        """See `Attending`."""
        return Batch(self, opened)

    def _gone(self) -> None:
        """See `Attending`."""
        living.strike(self)
        self._functions.let_go()
