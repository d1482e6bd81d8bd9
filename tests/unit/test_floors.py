"""The house stands: imports run downwards, the core is pure, files are of a readable size.

The floors are those of ARCHITECTURE.md. A module may import modules of lower floors and of its own package;
not of a higher floor, and not of a sibling on its own floor. Imports count wherever they stand: at the top,
inside a function, under TYPE_CHECKING, or as a constant given to `import_module`.
"""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "jupyter_dsage"
SOURCE = Path(__file__).parents[2] / PACKAGE

FLOORS: list[set[str]] = [
    {"errors", "settings", "ids", "lazy", "clock", "process_identity", "descriptors", "version"},
    {"core", "wire", "services", "private_files"},
    {"net", "store"},
    {"child", "worker", "client"},
    {"notebook", "server", "cli", "testing", "adapters"},
    {"__init__", "__main__", "compat"},  # the roof: public names only, nothing below may look up here
]
FLOOR = {house: number for number, floor in enumerate(FLOORS) for house in floor}
ROOF = len(FLOORS) - 1

PURE = {
    *("__future__", "bisect", "collections", "dataclasses", "enum"),
    *("functools", "heapq", "itertools", "math", "typing"),
}
MOST_LINES = 450
NO_NOUNS = {"util", "utils", "helper", "helpers", "manager", "managers", "common"}


def modules(source: Path) -> dict[str, Path]:
    """Return the modules under `source` by their dotted names; a package by the name of its folder."""
    found = {}
    for path in sorted(source.rglob("*.py")):
        parts = (source.name, *path.relative_to(source).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def house(module: str) -> str:
    """Return the part of the package that `module` belongs to: `jupyter_dsage.core.ranges` -> `core`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imported(tree: ast.Module, module: str, *, is_package: bool, known: set[str]) -> Iterator[tuple[int, str]]:
    """Yield the line and dotted name of everything that `module`, whose source is `tree`, imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                package = package[: len(package) - node.level + 1]
                base = ".".join([*package, *filter(None, [node.module])])
            for alias in node.names:  # `from package import module` imports the module, not only the package
                name = f"{base}.{alias.name}"
                yield node.lineno, name if name in known else base
        elif isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            first = node.args[0]
            if called in {"import_module", "__import__"} and isinstance(first, ast.Constant):
                yield node.lineno, str(first.value)


def forbidden(here: str, name: str) -> str | None:
    """Say why a module of the house `here` may not import `name`; None when it may."""
    top = name.partition(".")[0]
    if top != PACKAGE:
        return f"core is pure: it may not import {name}" if here == "core" and top not in PURE else None
    there = house(name)
    if there == here or here not in FLOOR:
        return None
    if there not in FLOOR:
        return f"imports {name}, which stands on no floor"
    if FLOOR[there] > FLOOR[here]:
        return f"imports upwards: {here} (floor {FLOOR[here]}) -> {name} (floor {FLOOR[there]})"
    if FLOOR[there] == FLOOR[here] != ROOF:
        return f"imports sideways: {here} -> {name} (both on floor {FLOOR[here]})"
    return None


def crooked(source: Path) -> list[str]:
    """Return one line for each fault of the package at `source`."""
    found = modules(source)
    packages = {module.rpartition(".")[0] for module in found}
    faults = []
    for module, path in found.items():
        where = path.relative_to(source.parent).as_posix()
        text = path.read_text(encoding="utf-8")
        if house(module) not in FLOOR:
            faults.append(f"{where}: stands on no floor")
        if path.stem in NO_NOUNS:
            faults.append(f"{where}: a file is named after one noun, not {path.stem}")
        if (lines := len(text.splitlines())) > MOST_LINES:
            faults.append(f"{where}: {lines} lines, {MOST_LINES} is the limit: split it")
        is_package = path.stem == "__init__"
        for line, name in imported(ast.parse(text), module, is_package=is_package, known={*found, *packages}):
            if fault := forbidden(house(module), name):
                faults.append(f"{where}:{line}: {fault}")
    return faults


def test_the_house_stands():
    assert modules(SOURCE), f"no modules in {SOURCE}"
    assert crooked(SOURCE) == []


# What follows proves that the check can fail, on made-up trees.


def faults_of(tmp_path: Path, files: dict[str, str]) -> list[str]:
    for name, text in {"__init__.py": "", **files}.items():
        path = tmp_path / PACKAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return crooked(tmp_path / PACKAGE)


EMPTY = {
    "errors.py": "",
    "settings.py": "",
    "core/__init__.py": "",
    "core/ranges.py": "",
    "net/__init__.py": "",
    "wire/codec.py": "",
}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("core/job.py", "from jupyter_dsage.errors import DsageError"),
        ("core/job.py", "from __future__ import annotations\nimport collections.abc\nfrom . import ranges"),
        ("core/job.py", "from jupyter_dsage.core.ranges import Ranges"),
        (
            "net/frames.py",
            "import socket, zmq\nfrom jupyter_dsage import errors, settings\nfrom ..wire import codec",
        ),
        ("child/loop.py", "import jupyter_dsage.net, jupyter_dsage.core.ranges"),
        ("__init__.py", "from jupyter_dsage.client import Session"),
        ("__main__.py", "from jupyter_dsage import compat, cli"),
        ("core/exactly.py", "x = 1\n" * 450),
    ],
)
def test_what_is_allowed_passes(tmp_path, name, text):
    extra = {"client/__init__.py": "", "cli.py": "", "compat.py": ""}
    assert faults_of(tmp_path, {**EMPTY, **extra, name: text}) == []


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        (
            "core/job.py",
            "from jupyter_dsage.net import zmq",
            "job.py:1: imports upwards: core (floor 1) -> jupyter_dsage.net",
        ),
        (
            "core/job.py",
            "from jupyter_dsage.wire import codec",
            "job.py:1: imports sideways: core -> jupyter_dsage.wire.codec",
        ),
        ("core/job.py", "from ..wire import codec", "imports sideways: core -> jupyter_dsage.wire.codec"),
        ("core/__init__.py", "from .. import wire", "imports sideways: core -> jupyter_dsage.wire"),
        (
            "services.py",
            "import jupyter_dsage.core.ranges",
            "imports sideways: services -> jupyter_dsage.core.ranges",
        ),
        (
            "settings.py",
            "from jupyter_dsage import errors",
            "imports sideways: settings -> jupyter_dsage.errors",
        ),
        (
            "worker/run.py",
            "def f():\n    from jupyter_dsage.client import job",
            "run.py:2: imports sideways: worker -> ",
        ),
        (
            "wire/page.py",
            "if TYPE_CHECKING:\n    from ..child import loop",
            "page.py:2: imports upwards: wire (floor 1)",
        ),
        (
            "net/a.py",
            "import importlib\nimportlib.import_module('jupyter_dsage.child')",
            "a.py:2: imports upwards: net",
        ),
        (
            "client/a.py",
            "from jupyter_dsage import __version__",
            "imports upwards: client (floor 3) -> jupyter_dsage (floor 5)",
        ),
        (
            "client/a.py",
            "import jupyter_dsage",
            "imports upwards: client (floor 3) -> jupyter_dsage (floor 5)",
        ),
        ("errors.py", "from jupyter_dsage.compat import x", "imports upwards: errors (floor 0)"),
        ("core/job.py", "import time", "job.py:1: core is pure: it may not import time"),
        ("core/job.py", "def f():\n    from os import path", "job.py:2: core is pure: it may not import os"),
        ("core/job.py", "import numpy as np", "core is pure: it may not import numpy"),
        ("attic/x.py", "", "attic/x.py: stands on no floor"),
        ("net/a.py", "import jupyter_dsage.attic", "imports jupyter_dsage.attic, which stands on no floor"),
        ("net/utils.py", "", "net/utils.py: a file is named after one noun, not utils"),
        ("core/long.py", "x = 1\n" * 451, "core/long.py: 451 lines, 450 is the limit"),
    ],
)
def test_what_is_crooked_is_named(tmp_path, name, text, fault):
    (line,) = faults_of(tmp_path, {**EMPTY, name: text})
    assert fault in line
    assert line.startswith(f"{PACKAGE}/{name}:")
