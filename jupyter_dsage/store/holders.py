"""Which processes have a session: whose it is, and by which kernel or notebook it is found again.

A *holder* is a client that keeps a session alive: the process that started it, and each that attached to it. They stand
in the session's record, in the order in which they came. The first of them that lives is the session's *owner*; only
its owner ends it without being asked. Holders that are gone stay for a while, as the places where it was before.
"""

from __future__ import annotations

from pathlib import PurePath

import msgspec

from jupyter_dsage.process_identity import Start, lives

_PLACES_KEPT = 20
"""Holders that are gone and stay in the record, the newest."""
_ID_SHOWN = 8
"""Characters of a kernel's id that tell it apart for people."""


class Holder(msgspec.Struct, frozen=True):
    """A process that has, or had, a session; its kernel's connection file and its notebook, where it has these."""

    pid: int
    started: Start
    kernel: str = ""
    notebook: str = ""

    @property
    def lives(self) -> bool:
        """Whether the process runs."""
        return lives(self.pid, self.started)

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return place(self.kernel, self.notebook) or f"process {self.pid}"

    def is_process(self, pid: int, started: Start) -> bool:
        """Tell whether it is this process."""
        return (self.pid, self.started) == (pid, started)


def place(kernel: str, notebook: str) -> str:
    """Name a kernel for people by its notebook and its id; empty where it has neither.

    >>> place("kernel-1a2b3c4d-5e6f.json", "/home/me/one.ipynb")
    '/home/me/one.ipynb, kernel 1a2b3c4d'
    """
    number = PurePath(kernel).stem.removeprefix("kernel-")[:_ID_SHOWN]
    return ", ".join(filter(None, (notebook, number and f"kernel {number}")))


def with_holder(holders: tuple[Holder, ...], new: Holder) -> tuple[Holder, ...]:
    """Return the holders with one more; it takes the place of what it was before."""
    kept = [each for each in holders if not each.is_process(new.pid, new.started)]
    gone = [each for each in kept if not each.lives]
    dropped = [each for each in gone if (each.kernel, each.notebook) == (new.kernel, new.notebook)]
    dropped += [each for each in gone if each not in dropped][:-_PLACES_KEPT]
    return (*(each for each in kept if each not in dropped), new)


def without_holder(holders: tuple[Holder, ...], pid: int, started: Start) -> tuple[Holder, ...]:
    """Return the holders after a process has let go: it stays as a place where the session was."""
    return tuple(
        msgspec.structs.replace(each, started="") if each.is_process(pid, started) else each for each in holders
    )
