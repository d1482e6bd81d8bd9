"""Tells which modules the workers can import: functions and classes of all others travel by value.

``__main__`` is the first of those that they cannot. Others: a module loaded from a file under a name of its own
(`importlib.util.spec_from_file_location`, pytest's importlib mode), one made by `types.ModuleType`, one found in a
folder that was added to `sys.path` after the session's workers got theirs. In doubt a module counts as importable: a
library sent by value would no longer be itself.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from importlib.machinery import ModuleSpec

_checked: dict[str, tuple[Any, bool]] = {}
"""Module name -> the module that was asked about, and the answer."""
_entries: tuple[str, ...] | None = None
"""The folders of `sys.path` that the workers of all sessions of this process have; None before there is a session."""


def workers_have(path: Iterable[str]) -> None:
    """Note the import path of a session's workers. A module must be on the paths of all sessions."""
    global _entries  # noqa: PLW0603
    known = dict.fromkeys(path)
    _entries = tuple(known) if _entries is None else tuple(entry for entry in _entries if entry in known)
    _checked.clear()


def importable(name: Any) -> bool:
    """Tell whether workers can import the module of this name, as it is here; at most 0.3 ms, once a module."""
    module = sys.modules.get(name)
    known = _checked.get(name)
    if known is not None and known[0] is module:
        return known[1]
    try:
        found = module is None or _is_found(name, module)
    except Exception:  # noqa: BLE001  (finders and modules may raise anything)
        found = name != "__main__"
    _checked[name] = module, found
    return found


def _path() -> Sequence[str]:
    return sys.path if _entries is None else _entries


def _is_found(name: str, module: Any) -> bool:
    if name == "__main__":
        return False
    spec = getattr(module, "__spec__", None)
    loader = getattr(spec, "loader", None)
    if loader is BuiltinImporter or loader is FrozenImporter or _stands_where_named(name, spec):
        return True
    package = name.rpartition(".")[0]
    if package and not importable(package):
        return False
    where = getattr(sys.modules.get(package), "__path__", None) if package else _path()
    found = None if where is None else _find(name, [*where])
    own = getattr(module, "__file__", None)
    if found is None:  # a package may make modules of its own, as C code does: they are there once it was imported
        return bool(package) and not (getattr(spec, "name", None) == name and getattr(spec, "has_location", False))
    if found.origin is None and not hasattr(module, "__path__"):
        return False  # a folder that happens to have this name
    return not (_is_file(own) and _is_file(found.origin)) or os.path.realpath(own) == os.path.realpath(found.origin)


def _stands_where_named(name: str, spec: ModuleSpec | None) -> bool:
    """Tell whether a module's file is where its name says, in a folder of the path: no need to look on the disk."""
    origin, relative = getattr(spec, "origin", None), os.sep + name.replace(".", os.sep)
    if not isinstance(origin, str):
        return False
    at = origin.rfind(relative)
    rest = origin[at + len(relative) :]
    return at >= 0 and (rest[:1] == "." or rest.startswith(os.sep + "__init__.")) and origin[:at] in _path()


def _find(name: str, where: list[str]) -> ModuleSpec | None:
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec: ModuleSpec | None = None if find is None else find(name, where)
        if spec is not None:
            return spec
    return None


def _is_file(path: Any) -> TypeGuard[str]:
    return isinstance(path, str) and os.path.isfile(path)  # noqa: PTH113  (pathlib is not needed in a worker)
