"""Gathers consecutive `submit` calls: what is submitted while the I/O thread is busy travels in one segment."""

from __future__ import annotations

import threading
from itertools import groupby
from typing import TYPE_CHECKING, Any

from jupyter_dsage import settings
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire import payload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_dsage.client.batch import Batch
    from jupyter_dsage.client.job import Job
    from jupyter_dsage.client.link import ChildLink, Post


class Submitter:
    """The open batch of single jobs."""

    def __init__(self, batch: Batch, link: ChildLink) -> None:
        self.batch = batch
        self._link = link
        self._lock = threading.Lock()
        self._loose: list[tuple[str, payload.Call | bytes]] = []
        """(function, arguments) not yet sent; what is not plain has been pickled already, as a check."""

    def submit(self, function: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Job:
        """Number one job, have it sent, and return it; raises UnpicklableError, SessionLost."""
        call = payload.pack_call(args, kwargs, len(self.batch))
        with self._lock:
            number = self.batch.reserve(1)
            self._loose.append((function, call))
            first = len(self._loose) == 1
        if first:
            self._link.post_later(self._posts)
        return self.batch[number]

    def _posts(self) -> Iterator[Post]:
        """Make the messages for what has gathered; called on the I/O thread."""
        with self._lock:
            loose, self._loose = self._loose, []
        for function, group in groupby(loose, key=lambda item: item[0]):
            calls = [call for _, call in group]
            for at in range(0, len(calls), settings.SEGMENT_JOBS):
                part = calls[at : at + settings.SEGMENT_JOBS]
                yield m.AddJobs(self.batch.number, function, len(part)), (payload.dump_packed(part),)
