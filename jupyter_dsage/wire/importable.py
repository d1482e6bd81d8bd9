"""Tells which modules the workers can import: functions and classes of all others travel by value.

``__main__`` is the first of those that they cannot. Others: a module loaded from a file under a name of its own
(`importlib.util.spec_from_file_location`, pytest's importlib mode), one made by `types.ModuleType`, and, where workers
are on other hosts, one found in a folder that was added to `sys.path` after the session began. In doubt a module
counts as importable: a library sent by value would no longer be itself.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.machinery import ModuleSpec

_modules = sys.modules
_checked: dict[str, tuple[Any, bool]] = {}
"""Module name -> the module that was asked about, and the answer."""
_folders: dict[str, list[str]] = {}
"""Package that is only folders -> those of them that workers find."""
_paths: dict[str, list[str]] = {}
"""Session -> the folders of its start, for each that has workers which do not follow this process's path."""


def workers_have(session: str, path: Iterable[str]) -> None:
    """Note the import path of a session's workers, where they do not follow that of this process.

    A module must be found by those of all such sessions.
    """
    if _paths.get(session) != (known := [*path]):
        _paths[session] = known
        _ask_anew()


def forget_workers(session: str) -> None:
    """Forget a session that is over, or whose workers all follow this process."""
    if _paths.pop(session, None) is not None:
        _ask_anew()


def _ask_anew() -> None:
    _checked.clear()
    _folders.clear()


def importable(name: Any) -> bool:
    """Tell whether workers can import the module of this name, as it is here; at most 0.3 ms, once a module."""
    module, known = _modules.get(name), _checked.get(name)
    if known is not None and known[0] is module:
        return known[1]
    try:
        found = module is None or _is_found(name, module)
    except Exception:  # noqa: BLE001  (finders and modules may raise anything)
        found = name != "__main__"
    _checked[name] = module, found
    return found


def _path() -> list[str]:
    first, *others = list(_paths.values()) or [sys.path]
    return [entry for entry in first if all(entry in path for path in others)]


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
    where = _folders.get(package) or getattr(sys.modules.get(package), "__path__", None) if package else _path()
    found = None if where is None else _find(name, [*where])
    own = getattr(module, "__file__", None)
    if found is None:  # a package may make modules of its own, as C code does: they are there once it was imported
        return bool(package) and not (getattr(spec, "name", None) == name and getattr(spec, "has_location", False))
    if found.loader is None or (found.origin is None and found.submodule_search_locations is not None):
        _folders[name] = [*(found.submodule_search_locations or ())]
        return any(folder in _folders[name] for folder in getattr(module, "__path__", ()))  # else it is another one
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
