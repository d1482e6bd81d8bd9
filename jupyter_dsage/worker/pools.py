"""Functions and classes of the notebook in processes that a job starts with `multiprocessing`: they go by value.

`multiprocessing` pickles them by their names in ``__main__``, where a worker has none of them. Its pickler is taught as
soon as it is there; nothing of it is loaded for this.
"""

from __future__ import annotations

import sys
from types import FunctionType
from typing import Any

from jupyter_dsage.wire import payload
from jupyter_dsage.wire.by_value import CACHED, is_local

_MODULE = "multiprocessing.reduction"


def teach() -> None:
    """Teach the pickler of `multiprocessing`, if it is loaded; called after imports, and before forks."""
    pickler = getattr(sys.modules.get(_MODULE), "ForkingPickler", None)
    if pickler is not None and not hasattr(pickler, "reducer_override"):
        pickler.reducer_override = _reduced


def _reduced(_pickler: object, obj: Any) -> Any:
    if (isinstance(obj, (type, FunctionType)) or type(obj) is CACHED) and is_local(obj):
        return _load, (payload.dumps(obj, getattr(obj, "__qualname__", "what a process is to get")),)
    return NotImplemented


def _load(data: bytes) -> Any:
    teach()  # the values that come back are of the same classes
    return payload.loads(data)
