"""Which modules of the user's a worker has imported, and whether their files were edited since (stale code).

Modules of the standard library, of installed packages and of this one are left out: nobody edits those meanwhile.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from types import ModuleType

from jupyter_dsage import clock, settings
from jupyter_dsage.wire import safe_text

_INSTALLED = tuple({sysconfig.get_paths()[kind] + os.sep for kind in ("stdlib", "platstdlib", "purelib", "platlib")})


class Modules:
    """One worker's. `imported` right after something may have been imported; `edited` now and then."""

    def __init__(self) -> None:
        self._known = 0
        self._files: dict[str, tuple[str, int, int]] = {}
        """Module -> its file, and that file's time (ns) and size when it was imported."""
        self._looked: set[str] = set(sys.modules)
        self._due = 0.0

    def imported(self) -> None:
        """Note the modules that are new, with the state of their files."""
        count = len(sys.modules)  # before the look: what is imported meanwhile, by another thread, counts as new
        if count == self._known:
            return
        for name in [*sys.modules.copy().keys() - self._looked]:
            self._looked.add(name)
            path = _file(sys.modules.get(name))
            if path and type(name) is str and _is_users(name, path) and (state := _state(path)) is not None:
                self._files[name] = (path, *state)
        self._known = count

    def edited(self) -> tuple[tuple[str, str], ...]:
        """Return the modules whose files were edited since, each once: name and file. Looks once a second at most."""
        if not self._files or clock.monotonic() < self._due:
            return ()
        self._due = clock.monotonic() + settings.MODULES_SECONDS
        found = []
        for name, (path, *before) in list(self._files.items()):
            state = _state(path)
            if state is not None and list(state) != before:
                found.append((safe_text.exact(name)[:1000], safe_text.exact(path)))
                del self._files[name]
        return tuple(found)


def _file(module: object) -> str:
    """Return the file of a module; empty for what has none, or only pretends to be a module."""
    path = module.__dict__.get("__file__") if type(module) is ModuleType else None
    return path if type(path) is str else ""


def _is_users(name: str, path: str) -> bool:
    installed = path.startswith(_INSTALLED) or "site-packages" in path or "dist-packages" in path
    return not installed and name.partition(".")[0] != "jupyter_dsage"


def _state(path: str) -> tuple[int, int] | None:
    try:
        stat = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size
