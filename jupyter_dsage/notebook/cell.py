"""A `%%scatter` cell as Python: its body becomes a function, or runs as an ordinary cell that defines one.

Called by `magics`. All of it is compiled under the cell's own file name and line numbers, and the cell's text, magic
line included, is put where tracebacks look, here and (see `wire.sources`) at the workers.
"""

from __future__ import annotations

import ast
import linecache
import re
import sys
from typing import TYPE_CHECKING, Any

from jupyter_dsage.errors import CellSyntaxError, UsageError
from jupyter_dsage.notebook import body as said

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType

_STRAY = {ast.Return: "return", ast.Yield: "yield", ast.YieldFrom: "yield from"}
_AWAITS = (ast.Await, ast.AsyncFor, ast.AsyncWith)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


class Cell:
    """The line and the body of a cell, in one IPython shell."""

    def __init__(self, shell: Any, line: str, body: str) -> None:
        self._shell = shell
        self._line = line
        self._body = body
        text = f"%%scatter {line}\n{body}".rstrip("\n")
        own = _own_name(sys._getframe(1), shell, line, body)  # noqa: SLF001  (the cell's frame tells its file name)
        self.filename: str = own or shell.compile.cache(text, shell.execution_count, raw_code=text)
        lines = [each + "\n" for each in text.splitlines()]
        linecache.cache[self.filename] = (len(text), None, lines, self.filename)
        self._lines = lines
        self.hints: tuple[str, ...] = ()
        """What the author of the body may not expect of its jobs."""

    # --- the line ------------------------------------------------------------------------------------------

    def generator(self, text: str, start: int) -> ast.Module:
        """Return a loop, which begins at `start` of the line, as the generator expression ``(None for …)``."""
        before = len(f"%%scatter {self._line[:start]}".encode())
        source = self._shell.transform_cell("(None".ljust(before) + f"{text}\n)\n")
        return self._parsed_line(source, text, "a Python loop")

    def expression(self, text: str, start: int) -> ast.Expression:
        """Return an expression, which begins at `start` of the line."""
        before = len(f"%%scatter {self._line[:start]}".encode())
        source = self._shell.transform_cell("(".ljust(before) + f"{text}\n)\n")
        match self._parsed_line(source, text, "a Python expression").body:
            case [ast.Expr(value=value)]:
                return ast.Expression(value)
            case _:
                raise UsageError(f"{text!r} is not a Python expression.")

    def _parsed_line(self, source: str, text: str, what: str) -> ast.Module:
        try:
            tree: ast.Module = self._shell.transform_ast(ast.parse(source))  # no shell's flags: they blur its messages
        except SyntaxError as error:
            message = (error.msg or "invalid syntax").rstrip(".")
            raise UsageError(f"{text!r} is not {what}: {message}{'' if message.endswith('?') else '.'}") from None
        return tree

    # --- the body ------------------------------------------------------------------------------------------

    def function(self, name: str, parameters: tuple[str, ...]) -> Callable[..., Any]:
        """Return the body as a function whose last expression is its value; an ``async def`` where it awaits.

        Raises CellSyntaxError, and UsageError for what has no place in a loop's body, or what no job could do.
        """
        body = self._parsed_body().body
        for keyword, number in _stray(body):
            raise UsageError(
                f"Line {number} of the cell says '{keyword}', but the body of a loop has no place for it: "
                "the value of the last expression is the job's result."
            )
        awaits = any(isinstance(node, _AWAITS) for node in _own_nodes(body))
        tree = ast.parse(f"{'async ' if awaits else ''}def {name}({', '.join(parameters)}): pass")
        definition = tree.body[0]
        if not isinstance(definition, (ast.FunctionDef, ast.AsyncFunctionDef)):
            raise TypeError(definition)
        if isinstance(body[-1], ast.Expr):
            body[-1] = ast.copy_location(ast.Return(body[-1].value), body[-1])
        definition.body = body
        names, code = self._shell.user_ns, self._code(tree, "exec")
        said.check(definition, names, self._lines)
        self.hints = tuple(said.hints(definition, names))
        made: dict[str, Any] = {}
        exec(code, names, made)  # noqa: S102  (the user's own cell)
        function: Callable[..., Any] = made[name]
        function.__module__ = "__main__"
        said.check_names(function, names)
        return function

    def run(self) -> Callable[..., Any]:
        """Run the body as an ordinary cell; return the function that its last top-level ``def`` made.

        Raises CellSyntaxError, UsageError if it has no ``def``, and whatever the body raises.
        """
        tree = self._parsed_body()
        made = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
        if not made:
            raise UsageError("The cell has no 'def' at its top level: the last one is the function that jobs call.")
        codes = [self._code(tree, "exec")]
        if isinstance(tree.body[-1], ast.Expr):
            codes = [
                self._code(ast.Module(tree.body[:-1], []), "exec"),
                self._code(ast.Interactive([tree.body[-1]]), "single"),
            ]
        for code in codes:
            exec(code, self._shell.user_ns)  # noqa: S102  (the user's own cell)
        function: Callable[..., Any] = self._shell.user_ns[made[-1].name]
        said.check_names(function, self._shell.user_ns)
        return function

    def _parsed_body(self) -> ast.Module:
        # The comment stands for the magic line: the numbers agree, and no transformer takes a one-line body for a
        # command such as %time.
        source = self._shell.transform_cell("#\n" + _flush_left(self._body))
        try:
            tree = self._tree(source)
        except SyntaxError as error:
            raise self._shown(error) from None
        if not tree.body:
            raise UsageError("The cell has no body: the lines below the first say what a job does.")
        return tree

    # --- Python --------------------------------------------------------------------------------------------

    def compiled(self, tree: ast.Expression) -> CodeType:
        """Return an expression of the line as code."""
        return self._code(tree, "eval")

    def _tree(self, source: str) -> ast.Module:
        tree: ast.Module = self._shell.compile.ast_parse(source, self.filename)
        transformed: ast.Module = self._shell.transform_ast(tree)
        return transformed

    def _code(self, tree: ast.AST, mode: str) -> CodeType:
        try:
            code: CodeType = self._shell.compile(tree, self.filename, mode)
        except SyntaxError as error:  # such as a 'break' without a loop
            raise self._shown(error) from None
        return code

    def _shown(self, error: SyntaxError) -> CellSyntaxError:
        return CellSyntaxError(str(error), self._shell.SyntaxTB.structured_traceback(type(error), error, []))


def _own_name(frame: FrameType | None, shell: Any, line: str, body: str) -> str | None:
    """Return the file name of the running cell, if it is nothing but this magic."""
    call = f"get_ipython().run_cell_magic('scatter', {line!r}, {body!r})\n"
    while frame is not None:
        name = frame.f_code.co_filename
        if frame.f_globals is shell.user_ns and linecache.getlines(name) == [call]:
            return name
        frame = frame.f_back
    return None


def _flush_left(body: str) -> str:
    """Take the indentation of the first line that is not empty from all lines, as IPython does for cells."""
    found = re.match(r"(?:[ \t]*\n)*([ \t]+)", body)
    return re.sub(f"^{found[1]}", "", body, flags=re.MULTILINE) if found else body


def _stray(body: list[ast.stmt]) -> Iterator[tuple[str, int]]:
    """Yield what only a function written with ``def`` may say, and its line."""
    for node in _own_nodes(body):
        if type(node) in _STRAY:
            yield _STRAY[type(node)], node.lineno  # type: ignore[attr-defined]


def _own_nodes(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """Yield the nodes of a body but for those inside functions and classes that it defines."""
    queue: list[ast.AST] = list(body)
    while queue:
        node = queue.pop(0)
        yield node
        if not isinstance(node, _SCOPES):
            queue += ast.iter_child_nodes(node)
