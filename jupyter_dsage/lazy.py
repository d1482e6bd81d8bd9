"""Modules that are loaded when something in them is first asked for: what starts ten processes a day must start fast.

psutil takes 12 ms; the child and the supervisor need it only when they look after others.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil
else:

    def _lazily(name: str) -> Any:
        """Return a module that loads itself (the recipe of `importlib.util.LazyLoader`)."""
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.find_spec(name)
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    psutil = _lazily("psutil")

__all__ = ["psutil"]
