"""The sessions of this process: `attach` finds them here, and they end or are left when the process ends."""

from __future__ import annotations

import atexit
import os
import shutil
from typing import TYPE_CHECKING

from jupyter_dsage.wire import importable

if TYPE_CHECKING:
    from jupyter_dsage.client.session import Session

_alive: dict[Session, None] = {}
"""In the order in which they were started."""
_unread: list[str] = []
"""Folders of sessions that are over and whose outcomes somebody may still look at; they go with this process."""


def living() -> list[Session]:
    """Return the sessions that this process started and that have not ended, oldest first."""
    return [session for session in list(_alive) if session.owned()]


def enlist(session: Session) -> None:
    """Make a session that has begun one of them."""
    _alive[session] = None


def strike(session: Session) -> None:
    """Take out a session that has ended, if it is there."""
    _alive.pop(session, None)
    importable.forget_workers(session.id)


def keep_journal(folder: str) -> None:
    """Keep the journal of a session that has ended until this process ends: its outcomes may still be read."""
    _unread.append(folder)


def _disown() -> None:
    """Leave the sessions to the process that this one was forked from: the socket and the numbers of jobs are its."""
    for session in _alive:
        session.disown()
    _unread.clear()  # the other one reads in them


os.register_at_fork(after_in_child=_disown)


@atexit.register
def _end_all() -> None:
    for session in list(_alive):
        session.detach()
    for folder in _unread:
        shutil.rmtree(folder, ignore_errors=True)
