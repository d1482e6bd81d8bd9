"""The command line by which our own processes are started: same interpreter, same package, nobody's directory."""

from __future__ import annotations

import sys
from pathlib import Path

_ROOT = str(Path(__file__).resolve().parents[2])
_START = (
    "import runpy, sys; sys.path.append(sys.argv.pop(1)); runpy.run_module({!r}, run_name='__main__', alter_sys=True)"
)


def command(module: str, *args: str) -> list[str]:
    """Return the command that runs a module of this package.

    ``-P``: a file named ``random.py`` beside the user's notebook is not imported by our processes.
    """
    return [sys.executable, "-P", "-c", _START.format(module), _ROOT, *args]
