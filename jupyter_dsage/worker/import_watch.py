"""Tells what an import changes of a worker's process from what a job does: the former belongs to the module, and stays.

A module is imported once in a worker's life, by whichever job comes first. What it sets then (environment, filters of
warnings, handlers of signals) its later users count on.
"""

from __future__ import annotations

import sys
import threading
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ExtensionFileLoader, SourceFileLoader, SourcelessFileLoader
from typing import TYPE_CHECKING

from jupyter_dsage.worker import pools

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from jupyter_dsage.worker.process_state import ProcessState

_LOADERS = (SourceFileLoader, SourcelessFileLoader, ExtensionFileLoader)


class ImportWatch(MetaPathFinder):
    """The first finder of ``sys.meta_path``: finds what the others find, and compares the state before and after."""

    def __init__(self, state: ProcessState) -> None:
        self._state = state
        self._within = False
        """Whether a module is being imported: what that imports belongs to it."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec that another finder has, its loader watched; None leaves the import to the others."""
        if self._within or threading.current_thread() is not threading.main_thread():
            return None
        for finder in sys.meta_path:
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find is not None else None
            if spec is not None:
                if type(spec.loader) in _LOADERS:
                    spec.loader.exec_module = partial(self._run, spec.loader.exec_module)
                return spec  # type: ignore[no-any-return]
        return None

    def _run(self, run: Callable[[ModuleType], None], module: ModuleType) -> None:
        if self._within:
            run(module)
            return
        before = self._state.read()
        self._within = True
        try:
            run(module)
        finally:
            self._within = False
            self._state.keep(before)
            pools.teach()
