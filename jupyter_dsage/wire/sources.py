"""The source lines of functions that have no file: a cell's, or what was typed at a prompt.

They travel with the function, so that a traceback made by a worker shows the user's lines (P9).
"""

from __future__ import annotations

import linecache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

Sources = dict[str, list[str]]


def collect(function: Any) -> Sources:
    """Return file name -> lines for the code of a function, and of those in ``__main__`` that it calls."""
    names: set[str] = set()
    seen: set[int] = set()
    queue = [function]
    while queue:
        value = queue.pop()
        if not isinstance(value, FunctionType) or id(value) in seen:
            continue
        seen.add(id(value))
        names |= _files(value.__code__)
        if value.__module__ == "__main__":
            queue += [value.__globals__[name] for name in value.__code__.co_names if name in value.__globals__]
        queue += [cell.cell_contents for cell in value.__closure__ or () if _filled(cell)]
    lines = {name: linecache.getlines(name) for name in names if not Path(name).exists()}
    return {name: text for name, text in lines.items() if text}


def install(sources: Sources) -> None:
    """Make the lines known to `linecache`, where tracebacks look."""
    for name, lines in sources.items():
        linecache.cache[name] = (sum(map(len, lines)), None, lines, name)


def _files(code: CodeType) -> set[str]:
    out = {code.co_filename}
    for const in code.co_consts:
        if isinstance(const, CodeType):
            out |= _files(const)
    return out


def _filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True
