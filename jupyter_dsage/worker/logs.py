"""Gives a function the recursion limit and the root logger that it had in the notebook (`wire.surroundings`)."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from jupyter_dsage.wire.surroundings import RECURSION

if TYPE_CHECKING:
    from jupyter_dsage.wire.surroundings import Form, Surroundings
    from jupyter_dsage.worker.process_state import ProcessState


class AsInTheNotebook:
    """One worker's. What a job sets itself stays until a function with other surroundings comes."""

    def __init__(self) -> None:
        self.now: Surroundings | None = None
        """Those of the function that runs; None: a worker's own."""
        self._handler: logging.Handler | None = None

    def take_on(self, wanted: Surroundings | None, state: ProcessState | None) -> None:
        """Change the process to what a function is to find."""
        recursion, level, form = wanted or (RECURSION, logging.WARNING, None)
        root, self.now = logging.getLogger(), wanted
        if state is not None:
            state.set_recursion_limit(recursion)
        root.setLevel(level)
        if self._handler is not None:
            root.removeHandler(self._handler)
            self._handler = None
        if form is not None and not root.handlers:
            self._handler = logging.StreamHandler()
            self._handler.setFormatter(_formatter(form))
            root.addHandler(self._handler)


def _formatter(form: Form) -> logging.Formatter:
    with contextlib.suppress(ValueError):
        return logging.Formatter(form[0], form[1], form[2])  # type: ignore[arg-type]
    return logging.Formatter(logging.BASIC_FORMAT)
