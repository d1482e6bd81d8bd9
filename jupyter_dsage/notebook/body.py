"""What the body of a `%%scatter` cell says that its jobs cannot mean, told before any of them runs.

Called by `cell` with the function that the body becomes, as `ast` gives it and as Python made it.
"""

from __future__ import annotations

import ast
import builtins
from collections import deque
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from jupyter_dsage.errors import CellBodyError
from jupyter_dsage.notebook.names import Uses, codes, global_reads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Definition = ast.FunctionDef | ast.AsyncFunctionDef

_CHANGING: dict[type, set[str]] = {
    list: {"append", "extend", "insert", "pop", "remove", "clear", "sort", "reverse"},
    deque: {"append", "appendleft", "extend", "extendleft", "insert", "pop", "popleft", "remove", "clear"},
    dict: {"update", "setdefault", "pop", "popitem", "clear"},
    set: {"add", "update", "discard", "remove", "pop", "clear"},
}
"""What changes an object, by its type."""
_OF_WORKERS = {"display", "__file__", "__builtins__"}
"""Names that a worker has, beside Python's own and those that a function brings along."""
_MAKES_NAMES = {"exec", "globals", "NameError"}
"""A body that says one of these may know names that are not seen here."""


def check(definition: Definition, names: Mapping[str, Any], lines: Sequence[str]) -> None:
    """Raise CellBodyError for what no job of a body could do. `names`: the notebook's; `lines`: the cell's."""
    for node in ast.walk(definition):
        if isinstance(node, ast.Name) and node.id == "get_ipython":
            raise CellBodyError(
                f"Line {node.lineno} of the cell says {_said(lines, node.lineno)!r}, but a job runs in a plain Python "
                "process, without magics and !commands: use subprocess.run(command, shell=True) for a command."
            )
    for name, line, changes in Uses(definition).early:
        if name not in names and not hasattr(builtins, name):
            continue
        if changes:
            raise CellBodyError(
                f"Line {line} of the cell changes {name!r}, which belongs to the notebook: a job cannot reach it. Let "
                "the last line be what one job contributes, and put that together afterwards, from results()."
            )
        raise CellBodyError(
            f"Line {line} of the cell reads {name!r} before the cell sets it: in a job, a name that the cell sets is "
            "the job's own and has no value before. Give the changed value another name."
        )


def check_names(function: Callable[..., Any], names: Mapping[str, Any]) -> None:
    """Raise CellBodyError for a name that neither the notebook nor Python knows: every job would raise NameError."""
    if not isinstance(function, FunctionType):
        return
    if any(name in _MAKES_NAMES for code in codes(function.__code__) for name in code.co_names):
        return
    for name, line, _ in global_reads(function.__code__):
        if name == "get_ipython":
            raise CellBodyError(
                f"Line {line} of the cell uses IPython (a magic, a !command or get_ipython), but a job runs in a plain "
                "Python process: use subprocess.run(command, shell=True) for a command."
            )
        if name not in names and not hasattr(builtins, name) and name not in _OF_WORKERS:
            raise CellBodyError(
                f"Line {line} of the cell uses {name!r}, which neither the notebook nor Python knows, so every job "
                "would fail: import or define it first."
            )


def hints(definition: Definition, names: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a job will do that its author may not expect, one sentence each; the value is a ``return`` already."""
    own, last = Uses(definition).own, definition.body[-1]
    for node in ast.walk(definition):
        name = _changed(node, names)
        if name and name not in own:
            yield (
                f"Line {node.lineno} changes {name!r} in the job alone, not in the notebook: "  # type: ignore[attr-defined]
                "what a job is to bring back is the value of its last line."
            )
    if not isinstance(last, (ast.Return, ast.Raise)):
        target = last.targets[-1] if isinstance(last, ast.Assign) else None
        way = f"add the line {target.id}" if isinstance(target, ast.Name) else "end with the value that a job has"
        yield f"Every result will be None, since the last line is no expression: {way}."


def _said(lines: Sequence[str], number: int) -> str:
    return lines[number - 1].strip() if 0 < number <= len(lines) else "get_ipython()"


def _changed(node: ast.AST, names: Mapping[str, Any]) -> str:
    """Return the name of the notebook whose object a node changes; empty where it changes none."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)):
            return name if method in _CHANGING.get(type(names.get(name)), ()) else ""
        case ast.Assign(targets=targets):
            found = [_base(target) for target in targets]
        case ast.AugAssign(target=target):
            found = [_base(target)]
        case _:
            return ""
    return next((name for name in found if name in names and not isinstance(names[name], ModuleType)), "")


def _base(target: ast.expr) -> str:
    """Return the name at the head of ``a[k]`` or ``a.b``; empty for anything else."""
    inside = target
    while isinstance(inside, (ast.Subscript, ast.Attribute)):
        inside = inside.value
    return inside.id if inside is not target and isinstance(inside, ast.Name) else ""
