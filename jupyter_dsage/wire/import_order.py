"""Packages whose modules cannot be imported in any order, as pickle does, but only after one of them.

Sage's import each other in circles: ``sage.rings.rational_field`` alone fails with "cannot import name QQ". Its own
kernel has ``sage.all`` from the start; a worker that meets such a failure imports that (2 s), and reads again.
"""

from __future__ import annotations

import importlib
import sys

_FIRST = {"sage": "sage.all"}
"""Package -> the module of it to import before all others."""


def repaired(error: ImportError) -> bool:
    """Tell whether an import failed inside such a package, and what must come first was imported now."""
    trace = error.__traceback__
    while trace is not None:
        package = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        if (first := _FIRST.get(package)) is not None and first not in sys.modules:
            try:
                importlib.import_module(first)
            except ImportError:
                return False
            return True
        trace = trace.tb_next
    return False
