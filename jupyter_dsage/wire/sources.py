"""The source lines of functions that have no file: a cell's, or what was typed at a prompt.

They travel with the function, so that a traceback made by a worker shows the user's lines (P9).
"""

from __future__ import annotations

import linecache
import os
import re
import sys
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from jupyter_dsage.wire.by_value import CACHED, inner_functions, is_local
from jupyter_dsage.wire.importable import importable

if TYPE_CHECKING:
    from collections.abc import Iterator

Sources = dict[str, "list[str] | tuple[str, list[str]]"]
"""File name -> lines, or what people call it and its lines."""

_called: dict[str, str] = {}
"""File name -> what people call it, as in ``Cell In[28]``."""
_PLACE = re.compile(r'File "([^"\n]+)", line ')


def collect(function: Any) -> Sources:
    """Return the lines of the code of a function, and of what in ``__main__`` it calls."""
    names: set[str] = set()
    seen: dict[int, Any] = {}
    queue = [function]
    while queue:
        value = queue.pop()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        if isinstance(value, FunctionType):
            names |= _files(value.__code__)
        queue += _behind(value)
    lines = {name: linecache.getlines(name) for name in names if not os.path.exists(name)}  # noqa: PTH110  (never raises)
    known = {name: (cell_of(name), text) for name, text in lines.items() if text}
    return {name: (cell, text) if cell else text for name, (cell, text) in known.items()}


def cell_of(name: str) -> str:
    """Return what IPython calls the cell whose code has this file name, as in ``Cell In[28]``; empty if it is none."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    described = getattr(getattr(shell, "compile", None), "format_code_name", lambda _: None)(name)
    return " ".join(described) if described else ""


def with_cells(text: str) -> str:
    """Return a traceback in which code of cells is named as IPython names it."""
    return _PLACE.sub(lambda found: f"{_called[found[1]]}, line " if found[1] in _called else found[0], text)


def _behind(value: Any) -> Iterator[Any]:
    """Yield what a call of a value may call in turn."""
    if isinstance(value, FunctionType):
        yield from inner_functions(value)
        if is_local(value):
            for code in _codes(value.__code__):
                yield from (value.__globals__[name] for name in code.co_names if name in value.__globals__)
        yield from (cell.cell_contents for cell in value.__closure__ or () if _filled(cell))
    elif type(value) is CACHED:
        yield from inner_functions(value)
    elif isinstance(value, (MethodType, staticmethod, classmethod)):
        yield value.__func__
        yield getattr(value, "__self__", None)
    elif isinstance(value, property):
        yield value.fget
    elif isinstance(value, partial):
        yield value.func
    elif isinstance(value, type) and is_local(value):
        yield from vars(value).values()
    elif not importable(type(value).__module__):
        yield type(value)


def install(sources: Sources) -> None:
    """Make the lines known to `linecache`, where tracebacks look."""
    for name, known in sources.items():
        cell, lines = known if isinstance(known, tuple) else ("", known)
        if cell:
            _called[name] = cell
        linecache.cache[name] = (sum(map(len, lines)), None, lines, name)


def _files(code: CodeType) -> set[str]:
    return {part.co_filename for part in _codes(code)}


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and those inside it."""
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _codes(const)


def _filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True
