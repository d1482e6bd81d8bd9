"""The loop of a `%%scatter` line: its variables, and the jobs that it stands for.

Called by `magics` with the loop as `ast` gives it. It decides how the jobs are given to a session; it starts nothing.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from types import CodeType
from typing import TYPE_CHECKING, Any

from jupyter_dsage.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Compile = Callable[[ast.Expression], CodeType]


@dataclass(frozen=True, slots=True)
class Jobs:
    """The jobs of a loop: plain items, or (args, kwargs) pairs."""

    jobs: Iterable[Any]
    bare: bool


class Loop:
    """``for VARS in EXPR [if COND] [for …]``, parsed. `names`: the variables, in order, each once."""

    def __init__(self, tree: ast.Module, text: str) -> None:
        self._generators = _generators(tree, text)
        found = [name for generator in self._generators for name in _names(generator.target)]
        self.names = tuple(dict.fromkeys(found))

    def jobs(self, namespace: dict[str, Any], compiled: Compile) -> Jobs:
        """Evaluate the first EXPR and return the jobs; what it raises is the user's.

        One variable and no condition: the iterable itself, so that its length is known. Else pairs, drawn as they are
        needed, with the names as they are now: the next cell may change them.
        """
        first = self._generators[0]
        alone = len(self._generators) == 1 and not first.ifs
        iterable = eval(compiled(ast.Expression(first.iter)), namespace)  # noqa: S307  (it is the user's own cell)
        if alone and isinstance(first.target, ast.Name):
            return Jobs(iterable, bare=True)
        pairs = self._pairs(iterable, namespace, compiled)
        if alone and hasattr(iterable, "__len__"):
            return Jobs(list(pairs), bare=False)
        return Jobs(pairs, bare=False)

    def _pairs(self, iterable: Iterable[Any], namespace: dict[str, Any], compiled: Compile) -> Iterator[Any]:
        """Return the loop as a generator of (args, kwargs) pairs."""
        first = self._generators[0]
        outer = ast.copy_location(ast.Name(_OUTER, ast.Load()), first.iter)
        generators = [
            ast.comprehension(target=first.target, iter=outer, ifs=first.ifs, is_async=0),
            *self._generators[1:],
        ]
        values = ast.Tuple([ast.Name(name, ast.Load()) for name in self.names], ast.Load())
        pair = ast.Tuple([values, ast.Dict([], [])], ast.Load())
        expression = ast.copy_location(ast.GeneratorExp(pair, generators), first.iter)
        code = compiled(ast.fix_missing_locations(ast.Expression(expression)))
        used = {name: namespace[name] for name in _used(code) if name in namespace}
        pairs: Iterator[Any] = eval(code, used | {_OUTER: iterable})  # noqa: S307
        return pairs


_OUTER = "__dsage_iterable__"


def _generators(tree: ast.Module, text: str) -> list[ast.comprehension]:
    match tree.body:
        case [ast.Expr(value=ast.GeneratorExp(generators=generators))]:
            pass
        case _:
            raise UsageError(f"{text!r} is no loop such as: for x in range(100) if x % 2.")
    if any(generator.is_async for generator in generators):
        raise UsageError("'async for' has no place here: jobs run in other processes; write 'for'.")
    return generators


def _names(target: ast.expr) -> Iterator[str]:
    """Yield the names that a target binds."""
    match target:
        case ast.Name(id=name):
            yield name
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from _names(part)
        case ast.Starred(value=part):
            yield from _names(part)
        case _:
            raise UsageError(
                f"{ast.unparse(target)!r} is no variable: what stands between 'for' and 'in' "
                "names the arguments of a job, as in: for a, b in pairs."
            )


def _used(code: CodeType) -> Iterator[str]:
    """Yield the global names that a code object, or one inside it, refers to."""
    yield from code.co_names
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _used(const)
