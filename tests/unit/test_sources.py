"""The lines of functions that have no file travel with them, so that tracebacks show them."""

from __future__ import annotations

import functools
import linecache
import subprocess
import sys
import textwrap
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from jupyter_dsage.wire import payload, sources

if TYPE_CHECKING:
    from collections.abc import Iterator

CELL = "<cell 7 of a test>"
OTHER = "<cell 8 of a test>"


@pytest.fixture(autouse=True)
def clean_cache() -> Iterator[None]:
    yield
    for name in (CELL, OTHER, "<nowhere>"):
        linecache.cache.pop(name, None)


def cell(text: str, name: str = CELL, module: str = "__main__", into: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run code as a cell does: its lines are known to linecache, and it has no file."""
    text = textwrap.dedent(text)
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    space = {"__name__": module} if into is None else into
    exec(compile(text, name, "exec"), space)  # noqa: S102 - it is what a cell is
    return space


def forget() -> None:
    for name in (CELL, OTHER):
        linecache.cache.pop(name, None)


def test_the_lines_of_a_cell_are_collected() -> None:
    space = cell("def f():\n    return 1\n")
    assert sources.collect(space["f"]) == {CELL: ["def f():\n", "    return 1\n"]}


def test_a_function_with_a_file_needs_none() -> None:
    assert sources.collect(textwrap.dedent) == {}
    assert sources.collect(test_a_function_with_a_file_needs_none) == {}


def test_what_has_no_code_needs_none() -> None:
    for thing in (print, 3, None, int, functools.partial(print), [].append):
        assert sources.collect(thing) == {}


def test_code_without_known_lines_is_passed_over() -> None:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile("def f(): pass", "<nowhere>", "exec"), space)  # noqa: S102
    exec(compile("def g(): pass", "x" * 5000, "exec"), space)  # noqa: S102
    assert sources.collect(space["f"]) == {}
    assert sources.collect(space["g"]) == {}


@pytest.mark.parametrize(
    "text",
    [
        "def f(): return helper()",
        "def f(): return [helper() for _ in 'ab']",
        "def f():\n    def inner(): return helper()\n    return inner()",
        "def make(g):\n    def f(): return g()\n    return f\nf = make(helper)",
        "import functools\nf = functools.partial(helper)",
        "class Model:\n    def run(self): return helper()\nf = Model().run",
        "class Model:\n    def run(self): return helper()\nmodel = Model()\ndef f(): return model.run()",
        "class Model:\n    @staticmethod\n    def run(): return helper()\ndef f(): return Model.run()",
        "class Model:\n    @classmethod\n    def run(cls): return helper()\nf = Model.run",
        "class Model:\n    @property\n    def run(self): return helper()\ndef f(): return Model().run",
    ],
)
def test_the_lines_of_what_it_calls_are_collected(text: str) -> None:
    space = cell("def helper():\n    return 1\n", OTHER)
    space = cell(text, CELL, into=space)
    assert OTHER in sources.collect(space["f"])


def test_functions_that_call_each_other_come_to_an_end() -> None:
    space = cell("def f(): return g()\ndef g(): return f()\nh = lambda: f\n")
    assert list(sources.collect(space["f"])) == [CELL]


def test_an_empty_cell_of_a_closure_is_passed_over() -> None:
    space = cell("def make():\n    def f(): return later\n    return f\n    later = 1\nf = make()\n")
    assert list(sources.collect(space["f"])) == [CELL]


def test_installed_lines_are_shown_in_tracebacks() -> None:
    space = cell("def f():\n    x = 1\n    raise ValueError(x)  # this very line\n")
    collected = sources.collect(space["f"])
    forget()
    sources.install(collected)
    linecache.checkcache()
    with pytest.raises(ValueError, match="1") as caught:
        space["f"]()
    assert "raise ValueError(x)  # this very line" in "".join(traceback.format_exception(caught.value))


def test_lines_travel_with_the_function_to_another_process() -> None:
    space = cell("def helper(x):\n    raise ValueError(x)  # deep down\n", OTHER)
    space = cell("def f(x):\n    return helper(x)  # on the way\n", into=space)
    data = payload.dump_function(space["f"])
    code = (
        "import sys, traceback\n"
        "from jupyter_dsage.wire import payload\n"
        "function = payload.load_function(sys.stdin.buffer.read())\n"
        "try: function(3)\n"
        "except ValueError: traceback.print_exc(file=sys.stdout)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
    assert b"return helper(x)  # on the way" in done.stdout
    assert b"raise ValueError(x)  # deep down" in done.stdout
