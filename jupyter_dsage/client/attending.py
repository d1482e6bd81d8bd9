"""The side of a session that listens to its children: what they tell, their ends, and those that come after them.

A part of `Session`. All but `watch` and `_ask` is called by the I/O thread (see `client.link`).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_dsage import clock, settings
from jupyter_dsage.client.batches import Batches
from jupyter_dsage.client.engines import Engines
from jupyter_dsage.client.ledger import CANCELLED
from jupyter_dsage.client.link import ChildLink, log
from jupyter_dsage.client.location import Location
from jupyter_dsage.client.record import Ended
from jupyter_dsage.client.shelf import Shelf
from jupyter_dsage.client.start import ChildKilledError, find_child
from jupyter_dsage.client.waiting import Reply
from jupyter_dsage.errors import DsageError, EngineError, SessionLost, StartError, UsageError
from jupyter_dsage.process_identity import own_start
from jupyter_dsage.store.sessions import read
from jupyter_dsage.version import VERSION
from jupyter_dsage.wire import importable
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire.losses import lost_job
from jupyter_dsage.wire.safe_text import safely

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jupyter_dsage.client.batch import Batch
    from jupyter_dsage.client.child_process import Started
    from jupyter_dsage.net.url_parts import EngineURL
    from jupyter_dsage.store.sessions import Record
    from jupyter_dsage.wire.codec import Frame

T = TypeVar("T")


class Attending:
    """What a session knows of its child, and how it follows it. `look`: the session only looks and gives orders."""

    _link: ChildLink

    def __init__(self, started: Started, urls: Sequence[EngineURL], name: str | None, *, look: bool) -> None:
        self.id = started.session
        self.name = name or started.session
        self._look = look
        self._pool = Engines(urls, self._ask)
        self._path = Location().now()[1]
        """The import path as the session began here."""
        self._started = started
        self._by_number: dict[int, Batch] = {}
        self.batches = Batches()
        """The batches by name: ``batches["o"]`` is the newest of that name, ``batches["o#1"]`` the first of several."""
        self._client = 0
        """The number by which the session's children know this client."""
        self._numbers = itertools.count(1)
        self._shelf = Shelf()
        self._watchers: dict[int, list[Callable[[dict[str, Any]], None]]] = {}
        self._views: dict[int, dict[str, Any]] = {}
        """Batch -> the last snapshot that was watched."""
        self._asks: dict[int, Reply[str]] = {}
        self._over: str | None = None
        self._ending = ""
        """Why the session ends, where that is meant."""
        self._parting = False
        """Whether it is left, and goes on without this process."""
        self._revivals: list[float] = []
        self._reconnects = 0
        """Attempts to connect to a living child again since it last welcomed this client."""
        self._synced: Reply[None] = Reply()

    @property
    def pid(self) -> int:
        """Pid of the child."""
        return self._started.pid

    def _batch(self, opened: m.OpenBatch) -> Batch:
        """Return a new batch of this session."""
        raise NotImplementedError

    def post(self, message: m.Message, *frames: Frame) -> None:
        """Send a message to the child."""
        raise NotImplementedError

    def check_alive(self) -> None:
        """Raise SessionLost if there is no child any more."""
        raise NotImplementedError

    def owned(self) -> bool:
        """Tell whether this process started the session."""
        raise NotImplementedError

    def call(self, do: Callable[[], T]) -> T:
        """Have the I/O thread do something, whole or not at all; raises SessionLost if there is no child any more."""
        self.check_alive()
        return self._link.call(do)

    def after(self, do: Callable[[], object]) -> None:
        """See `ChildLink.after`."""
        self._link.after(do)

    def number_calls(self) -> None:
        """See `ChildLink.number_calls`."""
        if self.owned():
            self._link.number_calls()

    def wait_for_room(self) -> None:
        """Wait while too much was posted that is not in the journal yet."""
        self._link.wait_for_room()

    def wait_synced(self, seconds: float) -> None:
        """Wait until the child has told what there is; raises StartError if it does not answer."""
        if not self._synced.wait(settings.START_SECONDS) and not self._link.reached:
            raise StartError(
                f"Session {self.name!r} runs (process {self.pid}), and does not answer: it is stopped, or its socket "
                f"{self._started.address.removeprefix('ipc://')} was removed. Try again, or end that process."
            )
        self._synced.result(seconds)

    def check_may_wait(self) -> None:
        """Raise UsageError on the I/O thread, which brings all answers: to wait for one there would stop it."""
        if self._link.on_thread():
            raise UsageError("A callback must not wait for the session's answer: ask in another thread.")

    def watch(self, batch: int, callback: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        """See `Batch.watch`."""
        watchers = self._watchers.setdefault(batch, [])
        watchers.append(callback)
        if self._over is None:
            self.post(m.Watch(batch, on=True))

        def off() -> None:
            with contextlib.suppress(ValueError):
                watchers.remove(callback)
            if not watchers and self._over is None:
                self.post(m.Watch(batch, on=False))

        return off

    def _ask(self, question: Callable[[int], m.Message]) -> Reply[str]:
        self.check_may_wait()
        answer: Reply[str] = Reply()
        number = next(self._numbers)
        self._asks[number] = answer
        self.post(question(number))
        return answer

    # --- link.Receiver: called by the I/O thread -----------------------------------------------------------

    def hello(self) -> m.Hello:
        """See `link.Receiver`."""
        python = "{}.{}".format(*sys.version_info)
        version = VERSION
        return m.Hello(settings.PROTOCOL, version, python, os.getpid(), own_start(), self._client, self._look)

    def receive(self, message: m.Message, frames: list[bytes | memoryview]) -> None:
        """See `link.Receiver`."""
        match message:
            case m.Outcomes():
                self._by_number[message.batch].outcomes(message, frames[0] if frames else None)
            case m.Lost():
                batch = self._by_number[message.batch]
                state = "failed" if message.failed else "lost"
                batch.ended(message.runs, Ended(lambda job: lost_job(message, batch.name, job), state, message.row))
            case m.Cancelled():
                self._by_number[message.batch].ended(message.runs, CANCELLED)
            case m.Offered():
                self._by_number[message.batch].offered(message, frames[0])
            case m.Reopened():
                self._by_number[message.batch].reopened(message.runs)
            case m.Dropped():
                self._by_number[message.batch].cancel()
            case m.View():
                self._show(message.batch, json.loads(bytes(frames[0])))
            case m.PoolChanged():
                self._pool_changed(message)
            case m.Answer():
                self._answered(message)
            case _:
                self._about_session(message)

    def _about_session(self, message: m.Message) -> None:
        match message:
            case m.Welcome():
                self._client, self._reconnects = message.client, 0
                self._shelf.use(message.store)
            case m.KnownBatch():
                self._known(message)
            case m.Synced():
                if not self._synced.done:
                    self._synced.set(None)
            case m.Leaving():
                self._ending = self._ending or f"{message.reason}."
            case m.Refused():
                if not self._synced.done:
                    self._synced.fail(StartError(message.reason))
                log.error("The child refused a message: %s", message.reason)
                if message.batch in self._by_number:
                    self._by_number[message.batch].refused(f"its background process refused jobs: {message.reason}")

    def _answered(self, message: m.Answer) -> None:
        asked = self._asks.pop(message.ask, None)
        if asked is None:
            return  # the child that was asked is gone, and so was the question
        if message.failed:
            asked.fail(EngineError(message.text))
        else:
            asked.set(message.text)

    def _known(self, known: m.KnownBatch) -> None:
        """Take in a batch that was there before this client, or before its child."""
        number = known.opened.batch
        batch = self._by_number.get(number)
        if batch is None:
            batch = self._batch(known.opened)
            batch.found(known)
            self._by_number[number] = batch
            self.batches.add(batch)
        else:
            batch.resent()
        if self._watchers.get(number):
            self._link.post(m.Watch(number, on=True))

    def _show(self, batch: int, view: dict[str, Any]) -> None:
        view["session"]["name"] = self.name
        self._views[batch] = view
        for callback in list(self._watchers.get(batch, ())):
            try:
                callback(view)
            except BaseException:  # noqa: BLE001  (a display that fails, in whatever way, must not end the I/O)
                log.exception("A callback that watches batch %d failed.", batch)

    def _pool_changed(self, message: m.PoolChanged) -> None:
        self._pool.took(message)
        if self._pool.all_here():
            importable.forget_workers(self.id)
        elif self._over is None:
            importable.workers_have(self.id, self._path)
        for batch in list(self._by_number.values()):
            batch.poke()

    def connection_broken(self, reason: str) -> bool:
        """See `link.Receiver`: with a journal nothing is lost."""
        self._reconnects += 1
        if not self._started.store or self._reconnects > settings.RECONNECTS:
            end = "" if self._started.store else ", and without a journal there is nothing to go on from"
            self._ending = self._ending or f"its connection to its background process broke ({reason}){end}."
            return False
        log.warning("The connection of session %r has broken (%s); it is made anew.", self.name, reason)
        self._fail_asks("its connection broke meanwhile: ask again.")
        return True

    def child_gone(self) -> Started | None:
        """See `link.Receiver`: revive the session from its journal, unless it ended on purpose."""
        how = "" if self._parting else self._started.release()
        if self._ending or not self._started.store:
            self._ending = self._ending or f"its background process ended with {how}."
            return None
        self._fail_asks("its background process was killed meanwhile: ask again.")
        while (record := self._record_to_revive(how)) is not None:
            log.warning("The background process of session %r ended with %s; it is revived.", self.name, how)
            try:
                self._started = find_child(record)
            except ChildKilledError:  # it counts like one that was killed later
                how = "a signal before it listened"
            except DsageError as error:
                self._ending = f"its background process ended with {how}, and cannot be revived: {error}"
                return None
            else:
                return self._started
        return None

    def _record_to_revive(self, how: str) -> Record | None:
        """Count a child that was killed; return the session's record, None where it is not to be revived once more."""
        now = clock.monotonic()
        self._revivals = [at for at in self._revivals if now - at < settings.REVIVAL_SECONDS] + [now]
        record = read(Path(self._started.store))
        if record is not None and len(self._revivals) <= settings.REVIVALS:
            return record
        often = f", {len(self._revivals)} times within {settings.REVIVAL_SECONDS:.0f} s" if record else ""
        self._ending = f"its background process ended with {how}{often}."
        return None

    def broken(self, error: BaseException) -> None:
        """See `link.Receiver`."""
        text = safely(lambda: str(error), "")
        what = f"{type(error).__name__}: {text}" if text else type(error).__name__
        self._ending = f"the thread that serves it has ended by a defect of jupyter_dsage ({what})."
        self._parting = self._parting or bool(self._started.store)  # it lives on: attach finds it

    def ended(self) -> None:
        """See `link.Receiver`."""
        if self._parting:
            self._started.detach()
        reason = self._ending
        self._over = reason
        self._pool.ended()
        for batch in list(self._by_number.values()):
            batch.session_ended(reason)
        for number, view in list(self._views.items()):
            session = {"id": self.id, "name": self.name, "alive": False, "note": reason}
            self._show(number, view | {"session": session, "workers": []})
        self._fail_asks(reason)
        if not self._synced.done:
            self._synced.fail(SessionLost(f"Session {self.name!r} is over: {reason}"))
        self._shelf.close()
        self._gone()

    def _fail_asks(self, reason: str) -> None:
        asks, self._asks = self._asks, {}
        for answer in asks.values():
            answer.fail(SessionLost(f"Session {self.name!r}: {reason}"))

    def _gone(self) -> None:
        """Take note that the session is over, here."""
        raise NotImplementedError
