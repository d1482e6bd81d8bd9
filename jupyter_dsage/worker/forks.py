"""Copies of a worker that its jobs make with ``os.fork``: they run the job's own code to its end, and nothing of ours.

A copy has the worker's socket, page and output. It loses the socket as soon as it exists; where the job's code returns
or raises, it ends as a process does whose program has returned or raised. Copies that live without coming back, as
those of `multiprocessing`, do not notice. One made by C code beside Python's own fork is found by its process id.
"""

from __future__ import annotations

import os
import sys
import traceback
from os import getpid  # bound now: a job may patch `os`
from typing import TYPE_CHECKING

from jupyter_dsage.worker import pools

if TYPE_CHECKING:
    from collections.abc import Callable


class Forks:
    """Tells a worker from its copies. `halt`: what ends a stride (`worker.stride`) with the job that runs."""

    def __init__(self, halt: list[None]) -> None:
        self._halt = halt
        self._pid = getpid()
        self._socket = -1
        self.copied = False
        """Whether this process is a copy, as far as Python made it."""

    def watch(self, socket: int, flush: Callable[[], None]) -> None:
        """Have copies lose this descriptor. `flush`: writes what was printed before, so that no copy does it again."""
        self._socket = socket
        os.register_at_fork(before=flush, after_in_child=self._copy)
        os.register_at_fork(before=pools.teach)  # a thread has imported `multiprocessing`: nobody watched it

    def _copy(self) -> None:
        self.copied = True
        self._halt.append(None)
        try:  # its number stays taken, so that nothing of the job's gets it and is closed with our objects
            null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            os.dup2(null, self._socket, inheritable=False)
            os.close(null)
        except OSError:
            os.close(self._socket)

    def leave_copy(self, error: BaseException | None = None) -> None:
        """In a copy, end the process: the job's code has returned, or raised `error`. In the worker, do nothing."""
        if self.copied or getpid() != self._pid:
            _end(error)

    def leave_marked(self, error: BaseException | None = None) -> None:
        """As `leave_copy`, at no cost: only of copies that Python has made."""
        if self.copied:
            _end(error)


def _end(error: BaseException | None) -> None:
    """End as Python does: with the code of ``sys.exit``, with 1 and a traceback after another exception, or with 0."""
    code = 0 if error is None else 1
    try:
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
            if not isinstance(error.code, (int, type(None))):
                print(error.code, file=sys.stderr)  # noqa: T201
        elif error is not None:
            traceback.print_exception(error)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code & 0xFF)
