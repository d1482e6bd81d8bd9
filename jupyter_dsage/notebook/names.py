"""Which names the body of a function sets and reads, and in which order."""

from __future__ import annotations

import ast
import dis
import symtable
from types import CodeType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


class Use(NamedTuple):
    """One use of a name. `changes`: it is that of ``name += …``."""

    name: str
    line: int
    changes: bool = False


class Uses:
    """The names that a function's body sets, `own`, and those of them that it uses before it can have set them."""

    def __init__(self, definition: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        table = symtable.symtable(ast.unparse(definition), "body", "exec").get_children()[-1]
        self.own = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_local()}
        self._set = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_parameter()}
        self.early: list[Use] = []
        """In the order in which the lines run."""
        self._walk(*definition.body)

    def _walk(self, *nodes: ast.AST) -> None:
        for node in nodes:
            self._visit(node)

    def _visit(self, node: ast.AST) -> None:
        """Note what a node uses and sets, in the order in which Python does it."""
        match node:
            case ast.Name(ctx=ast.Load()):
                self._read(Use(node.id, node.lineno))
            case ast.Name():
                self._set.add(node.id)
            case ast.Assign():
                self._walk(node.value, *node.targets)
            case ast.AugAssign(target=ast.Name(id=name)):
                self._read(Use(name, node.lineno, changes=True))
                self._walk(node.value, node.target)
            case ast.AnnAssign(value=None):
                return
            case ast.AnnAssign() | ast.NamedExpr():
                self._walk(node.value, node.target)  # type: ignore[arg-type]
            case ast.For() | ast.AsyncFor():
                self._walk(node.iter, node.target, *node.body, *node.orelse)
            case ast.Import() | ast.ImportFrom():
                self._set |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
            case _ if isinstance(node, _COMPREHENSIONS):
                self._walk(node.generators[0].iter)  # the rest has a scope of its own, but for what := sets
                self._set |= {part.target.id for part in ast.walk(node) if isinstance(part, ast.NamedExpr)}
            case _ if isinstance(node, _SCOPES):
                self._set.add(getattr(node, "name", ""))  # its own lines run later, if at all
            case _:
                # an except clause and the patterns of a match set what they call by a name
                self._set |= {getattr(node, "name", None) or "", getattr(node, "rest", None) or ""}
                self._walk(*ast.iter_child_nodes(node))

    def _read(self, use: Use) -> None:
        if use.name in self.own and use.name not in self._set:
            self.early.append(use)


def codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and those inside it."""
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from codes(const)


def global_reads(code: CodeType) -> Iterator[Use]:
    """Yield the uses of global names in a code object and those inside it, but for names that it sets itself."""
    steps = [(part, list(dis.get_instructions(part))) for part in codes(code)]
    made = {step.argval for _, each in steps for step in each if step.opname == "STORE_GLOBAL"}
    for part, each in steps:
        own = made | {step.argval for step in each if step.opname == "STORE_NAME"}  # of a class's body
        line = part.co_firstlineno
        for step in each:
            line = (step.positions.lineno if step.positions else None) or line
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and step.argval not in own:
                yield Use(step.argval, line)
