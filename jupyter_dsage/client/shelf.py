"""Outcomes that nobody has looked at yet: in memory up to a limit, beyond it on disk (P10).

Where the session has a journal they stand there already, and only the copy in memory goes; else they go to a temporary
file. The I/O thread brings outcomes and keeps the accounts; whoever looks at them only says so, in one step, so that an
interrupt of the user's thread leaves nothing locked and no account torn.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections import OrderedDict, deque
from typing import IO, TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.errors import JournalError
from jupyter_dsage.store.journal import JournalReader
from jupyter_dsage.wire import segments

if TYPE_CHECKING:
    from jupyter_dsage.client.record import Chunk
    from jupyter_dsage.wire.payload import Frame


class Shelf:
    """One session's outcomes."""

    def __init__(self) -> None:
        self._held: OrderedDict[int, tuple[Chunk, int]] = OrderedDict()
        """id of a chunk -> the chunk and its bytes, those that came first foremost."""
        self._bytes = 0
        self._segments: deque[tuple[Chunk, int]] = deque()
        """Those of them that came as memory segments; some may have been looked at since."""
        self._journal: JournalReader | None = None
        self._spool: IO[bytes] | None = None
        self._away: weakref.WeakSet[Chunk] = weakref.WeakSet()
        """Chunks whose payload, or a part of it, is in the journal only."""
        self._seen: deque[tuple[Chunk, bool]] = deque()
        """What other threads say: this chunk was looked at; its values were lent, and will be read again."""

    def use(self, store: str) -> None:
        """Read in the journal in this folder."""
        if self._journal is None and store:
            self._journal = JournalReader(store)

    # --- from the I/O thread -------------------------------------------------------------------------------

    def put(self, chunk: Chunk, data: Frame | None) -> None:
        """Take a chunk in, with its payload if that came along."""
        self._take_seen()
        if data is None:
            self._away.add(chunk)
            return
        size = memoryview(data).nbytes
        self._held[id(chunk)] = (chunk, size)
        self._bytes += size
        if segments.of(data) is not None:
            self._segments.append((chunk, size))
        while len(self._segments) > settings.SEGMENTS_KEPT:
            first = self._segments.popleft()
            if self._held.pop(id(first[0]), None) is not None:
                self._put_away(*first)
        while self._bytes > settings.OUTCOMES_KEPT_BYTES and self._held:
            self._put_away(*self._held.popitem(last=False)[1])

    def _take_seen(self) -> None:
        while self._seen:
            chunk, lent = self._seen.popleft()
            if lent:
                self._away.add(chunk)
                continue
            self._away.discard(chunk)
            known = self._held.pop(id(chunk), None)
            if known is not None:
                self._bytes -= known[1]

    def _put_away(self, chunk: Chunk, size: int) -> None:
        self._bytes -= size
        data = chunk.data
        if data is None:
            return
        if chunk.row and self._journal is not None:
            self._away.add(chunk)
        else:
            chunk.row = -1 - self._write(data)
        chunk.data = None

    def _write(self, data: Frame) -> int:
        """Write a payload into the temporary file; return where it begins."""
        if self._spool is None:
            self._spool = tempfile.TemporaryFile(prefix="dsage-")  # noqa: SIM115  (it lives as long as the outcomes)
            weakref.finalize(self, self._spool.close)
        at = self._spool.seek(0, os.SEEK_END)
        self._spool.write(memoryview(data).nbytes.to_bytes(8, "little"))
        self._spool.write(data)
        self._spool.flush()
        return at

    def close(self) -> None:
        """Close the journal, which is opened again if somebody looks, and hold no memory that others have mapped."""
        self._take_seen()
        while self._segments:
            chunk, _ = self._segments.popleft()
            if (data := chunk.data) is not None:
                chunk.data = bytes(data)
        if self._journal is not None:
            self._journal.close()

    # --- from any thread -----------------------------------------------------------------------------------

    def payload(self, chunk: Chunk) -> Frame:
        """Return a chunk's payload, wherever it is; raises JournalError if it is gone."""
        data = chunk.data
        if data is not None:
            return data
        if chunk.row < 0 and self._spool is not None:
            size = int.from_bytes(os.pread(self._spool.fileno(), 8, -1 - chunk.row), "little")
            return os.pread(self._spool.fileno(), size, 7 - chunk.row)
        return self.again(chunk)

    def looked_at(self, chunk: Chunk) -> None:
        """Take note that a chunk's payload is needed no more."""
        self._seen.append((chunk, False))

    def lends(self, chunk: Chunk) -> bool:
        """Tell whether a chunk's values can be read again, so that none need be kept; they will be, if it is so."""
        if chunk.row <= 0 or self._journal is None:
            return False
        self._seen.append((chunk, True))
        return True

    def again(self, chunk: Chunk) -> Frame:
        """Return the payload of a chunk from the journal; raises JournalError if it is gone."""
        if self._journal is None or chunk.row <= 0:
            raise JournalError(
                "This value came when this process had no file descriptor left, and there is no journal to read it in: "
                "close files or raise the limit (ulimit -n), and run the job again."
            )
        return self._journal.payload(chunk.row)

    def needs_journal(self) -> bool:
        """Tell whether there are outcomes that stand in the journal only; called when the I/O thread has ended."""
        self._take_seen()
        return len(self._away) > 0
