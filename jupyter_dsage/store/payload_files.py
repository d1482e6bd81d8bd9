"""The large payloads of a journal, each in a file of its own, and whether a file found again is whole.

Written past the page cache where the file system allows it (O_DIRECT, open(2)): the disk reads the pages of the segment
itself. 100 MB take 45 ms and 5 ms of processor time so, 280 ms when they are copied into fresh pages of the cache first
(2 cores, virtual machine). Used by `store.journal`.

A file is noted in the journal when it is written. A crash of a process takes nothing of it back; a crash of the machine
may. So a file counts if it has its size, and is *sure* (synced, and noted as such) or was written since this boot.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.process_identity import boot_id
from jupyter_dsage.wire import segments

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    Frame = bytes | memoryview

SURE = ""
"""Stands where the boot would, once the file is on the disk itself."""
_DIRECT = getattr(os, "O_DIRECT", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


class PayloadFiles:
    """Those in a folder, which is made; may be used from several threads. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, exist_ok=True)
        self.boot = boot_id() or os.urandom(8).hex()  # unknown: only what is sure counts later

    def path(self, row: int) -> Path:
        """Return the file of a row's payload, if it has one."""
        return self.folder / str(row)

    def write(self, row: int, payload: Frame) -> None:
        """Write a payload. Raises OSError before it fills a disk that has no room for it: others write there too."""
        disk, size = os.statvfs(self.folder), memoryview(payload).nbytes
        if disk.f_bavail * disk.f_frsize < size + settings.BALLAST_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        path = self.path(row)
        try:
            self._write(path, payload, size, _DIRECT)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._write(path, payload, size, 0)  # a file system without O_DIRECT

    def _write(self, path: Path, payload: Frame, size: int, flags: int) -> None:
        descriptor = os.open(path, _NEW | flags, 0o600)
        try:
            at = 0
            for part in segments.whole_pages(payload):
                done = 0
                while done < part.nbytes:
                    done += os.pwrite(descriptor, part[done:], at + done)
                at += part.nbytes
            os.ftruncate(descriptor, size)
        finally:
            os.close(descriptor)

    def sync(self, rows: Iterable[int]) -> None:
        """Have these rows' files written to the disk itself."""
        for row in rows:
            with contextlib.suppress(FileNotFoundError), self.path(row).open("rb") as file:
                os.fsync(file.fileno())

    def whole(self, row: int, size: int, boot: str) -> bool:
        """Tell whether a row's file is all there; `boot`: when it was written, or `SURE`."""
        try:
            found = self.path(row).stat().st_size
        except OSError:
            return False
        return found == size and boot in (SURE, self.boot)
