"""What the child writes into its journal, and what waits for that: one line, first in, first out.

An entry is put when its fact is known, and *done* (told to clients, acknowledged, granted) when it is committed. Each
step of the child's loop commits together what has gathered. A large payload is written by one of two threads; what was
put behind it waits, so that the journal's order is that of the facts. Without a journal everything is done at once.
"""

from __future__ import annotations

import collections
import logging
import queue
import sqlite3
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from jupyter_dsage import settings
from jupyter_dsage.private_files import write as write_private

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.store.journal import Journal
    from jupyter_dsage.wire.codec import Frame

log = logging.getLogger(__name__)

_FULL = (sqlite3.Error, OSError)
T = TypeVar("T")


@dataclass(slots=True)
class Entry:
    """A row to be written. `client`: whose request it is (0: what is told)."""

    client: int
    header: Frame
    payload: Frame | None = None
    done: Callable[[], None] | None = None
    """Called when it is committed."""
    unstored: Callable[[str], None] | None = None
    """Called instead, with the reason, if its payload could not be stored; None if it must be kept in any case."""
    instead: Frame | None = None
    """The header to be kept where the payload could not be."""
    patient: bool = False
    """Whether it may wait for others; see `Recorder.flush_due`."""
    row: int = 0
    ready: bool = True
    filed: bool = False
    error: str = ""

    @property
    def size(self) -> int:
        """Bytes of its payload."""
        return 0 if self.payload is None else memoryview(self.payload).nbytes


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """Bring everything to the disk, these rows' files too; then what is to be forgotten may be."""

    files: list[int]
    forget: list[int]


class Recorder:
    """Used by the child's loop, on its thread. `wake`: makes the loop's next wait return; from any thread."""

    def __init__(self, journal: Journal | None, wake: Callable[[], None]) -> None:
        self.journal = journal
        self.wake = wake
        self.trouble = ""
        """Why something could not be stored last; empty while all is well."""
        self._line: collections.deque[Entry] = collections.deque()
        self._urgent = False
        """Whether something in it may not wait for others."""
        self._flushed = 0.0
        """When something that may wait was written last (monotonic seconds)."""
        self._owed: collections.deque[Entry] = collections.deque()
        """Entries without payload that could not be written, and must be before any other."""
        self._forgotten: list[int] = []
        """Rows whose payload nobody needs, once what says so is surely on the disk."""
        self._surely_forgotten: collections.deque[int] = collections.deque()
        """Those of them of which that is so."""
        self._synced: collections.deque[int] = collections.deque()
        """Rows whose files are on the disk itself, which the journal does not say yet."""
        self._files: list[int] = []
        """Rows with files written since the last checkpoint."""
        self._written = 0
        """Bytes that the log has grown by since then."""
        self._filed = 0
        """... and those of the files."""
        self._quiet_since = 0.0
        """When there was no file to be synced last (monotonic seconds)."""
        self._writers = _Threads("dsage-journal", self._write_file, settings.FILE_WRITERS)
        self._tidier = _Threads("dsage-checkpoint", self._checkpoint)
        """Waits for the disk, where the others do not."""
        self.stored: dict[int, int] = {}
        """Client -> its requests committed since `take_stored`."""
        if journal is not None:
            self._take_ballast()

    def _take_ballast(self) -> None:
        """Have some room set aside; where there is none it must go without."""
        if self.journal is None or (self.journal.ballast.exists() and not self._short()):
            return
        try:
            write_private(self.journal.ballast, bytes(settings.BALLAST_BYTES))
        except OSError as error:
            self._note(error)

    def _short(self) -> bool:
        return self.journal is not None and self.journal.ballast.stat().st_size < settings.BALLAST_BYTES

    def next_row(self) -> int:
        """Return the row that the next entry gets; 0 where there is no journal."""
        return 0 if self.journal is None else self.journal.next_id

    def put(self, entry: Entry) -> None:
        """Put an entry into the line."""
        self._urgent = self._urgent or not entry.patient
        if self.journal is None:
            self._line.append(entry)
            return
        entry.row = self.journal.next_id
        self.journal.next_id += 1
        if entry.size > settings.LARGE_PAYLOAD_BYTES:
            entry.ready = False
            self._writers.order(entry)
        self._line.append(entry)

    def note(self, key: str, value: str) -> None:
        """Keep a small fact beside the log; where there is no room it is kept for this child only."""
        if self.journal is not None:
            try:
                self.journal.set_meta(key, value)
            except _FULL as error:
                self._note(error)

    def forget(self, row: int) -> None:
        """Let go of a row's payload some time after the next checkpoint."""
        self._forgotten.append(row)

    def flush_due(self, now: float) -> None:
        """Do as `flush`; where all that stands in the line may wait, only when the last time is long enough ago.

        Then what comes next takes along what has waited: nobody wakes for it alone, unless nothing comes.
        """
        if self._line and not self._urgent and now - self._flushed < settings.GROUP_SECONDS:
            return
        if self._line:
            self._flushed = now
        self.flush()

    def next_due(self) -> float | None:
        """Return when to call `flush_due` though nothing has come (monotonic seconds), or None."""
        return self._flushed + settings.GROUP_LATEST_SECONDS if self._line and not self._urgent else None

    def flush(self) -> None:
        """Commit what is ready, and do what waited for it."""
        if self.journal is None:
            while self._line:
                self._do(self._line.popleft())
        while self._line and self._line[0].ready:
            ready: list[Entry] = []
            while self._line and self._line[0].ready:
                ready.append(self._line.popleft())
            self._store(ready)
        self._urgent = bool(self._line)  # what a thread still writes is waited for
        if (self._synced or self._surely_forgotten) and not self._line and not self._owed:
            self._store([])

    def tidy(self, now: float) -> None:
        """Have files brought to the disk when none has come for some seconds; to be called now and then."""
        if not self._files:
            self._quiet_since = now
        elif now - self._quiet_since > settings.SYNC_SECONDS:
            self._order_checkpoint()

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be written."""
        return not self._line

    def _store(self, entries: list[Entry]) -> None:
        if not self._owed and not any(entry.error for entry in entries):
            try:
                self._write(entries)
            except _FULL as error:
                self._note(error)
            else:
                self._finish(entries)
                return
        for entry in entries:  # one by one, so that only what has no room is not stored
            self._store_one(entry)

    def _write(self, entries: list[Entry]) -> None:
        journal = self.journal
        if journal is None:
            raise RuntimeError("there is no journal to write")
        journal.begin()
        try:
            for entry in entries:
                journal.add(entry.row, entry.client, entry.header, entry.payload, filed=entry.filed)
            forgotten, synced = list(self._surely_forgotten), list(self._synced)
            for row in forgotten:
                journal.forget(row)
            for row in synced:
                journal.sure(row)
            journal.commit()
        except _FULL:
            journal.roll_back()
            raise
        for _ in forgotten:
            self._surely_forgotten.popleft()  # the thread may have added to it
        for _ in synced:
            self._synced.popleft()
        self._files += [entry.row for entry in entries if entry.filed]
        self._written += sum(4096 + (entry.size if not entry.filed else 0) for entry in entries)
        self._filed += sum(entry.size for entry in entries if entry.filed)
        if self._written > settings.CHECKPOINT_BYTES or self._filed > settings.CHECKPOINT_FILES_BYTES:
            self._order_checkpoint()

    def _order_checkpoint(self) -> None:
        self._tidier.order(_Checkpoint(self._files, self._forgotten))
        self._written, self._filed, self._files, self._forgotten = 0, 0, [], []

    def _store_one(self, entry: Entry) -> None:
        owing = self._pay()
        if not owing and not entry.error:
            try:
                self._write([entry])
            except _FULL as error:
                self._note(error)
                entry.error = str(error)
            else:
                self._finish([entry])
                return
        if entry.payload is None or entry.unstored is None:
            self._owe(entry)
            self._finish([entry])
            return
        if entry.instead is not None:
            self._owe(Entry(entry.client, entry.instead, row=entry.row))
            self.stored[entry.client] = self.stored.get(entry.client, 0) + (entry.client > 0)
        entry.unstored(entry.error or self.trouble)

    def _owe(self, entry: Entry) -> None:
        entry.payload, entry.filed = None, False
        self._owed.append(entry)
        self._pay()

    def _pay(self) -> bool:
        """Write what is owed; tell whether some still is."""
        while self._owed:
            try:
                self._write([self._owed[0]])
            except _FULL as error:
                self._note(error)
                return True
            self._owed.popleft()
        return False

    def _note(self, error: Exception) -> None:
        if self.journal is not None:
            self.journal.ballast.unlink(missing_ok=True)
        if str(error) != self.trouble:
            self.trouble = str(error)
            log.error("the journal in %s cannot be written: %s", self.journal and self.journal.folder, error)

    def _finish(self, entries: list[Entry]) -> None:
        for entry in entries:
            if entry.client:
                self.stored[entry.client] = self.stored.get(entry.client, 0) + 1
            self._do(entry)

    def _do(self, entry: Entry) -> None:
        if entry.done is not None:
            entry.done()

    def take_stored(self) -> dict[int, int]:
        """Return the requests committed since the last call, by client."""
        stored, self.stored = self.stored, {}
        return stored

    # --- the threads ---------------------------------------------------------------------------------------

    def _write_file(self, entry: Entry) -> None:
        if self.journal is None:
            return
        try:
            self.journal.write_file(entry.row, entry.payload or b"")
            entry.filed = True
        except OSError as error:
            entry.error = str(error)
        entry.ready = True
        self.wake()

    def _checkpoint(self, order: _Checkpoint) -> None:
        if self.journal is None:
            return
        try:
            self.journal.checkpoint(order.files)
            self._surely_forgotten.extend(order.forget)
            self._synced.extend(order.files)
            self.wake()
        except _FULL as error:
            log.warning("the journal in %s could not be tidied: %s", self.journal.folder, error)

    def close(self) -> None:
        """Write what is left, and close the journal."""
        self._writers.close()
        self.flush()
        if self._files:
            self._order_checkpoint()
        self._tidier.close()
        self.flush()
        if self.journal is not None:
            self.journal.close()


class _Threads(Generic[T]):
    """Do one kind of thing; `most` at once, in threads that are started when there is something to do."""

    def __init__(self, name: str, do: Callable[[T], None], most: int = 1) -> None:
        self._name = name
        self._do = do
        self._most = most
        self._orders: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def order(self, what: T) -> None:
        """Have something done."""
        self._orders.put(what)
        if len(self._threads) < self._most:
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def _run(self) -> None:
        while (what := self._orders.get()) is not None:
            self._do(what)

    def close(self) -> None:
        """Wait until all is done."""
        for _ in self._threads:
            self._orders.put(None)
        for thread in self._threads:
            thread.join()
