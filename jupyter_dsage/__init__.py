"""Scatter/gather computing from notebooks: a cell becomes a batch of jobs, and the cell returns at once.

>>> import jupyter_dsage as dsage
>>> session = dsage.spawn("local:?slots=2")
>>> session.map(abs, [-1, 2, -3]).results()
[1, 2, 3]
>>> session.die()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jupyter_dsage.errors import (
    DsageError,
    EngineError,
    JobExitedError,
    JobMemoryError,
    JobTimeout,
    JournalError,
    NotDataError,
    RemoteError,
    ServerKeyError,
    SessionLost,
    StartError,
    StorageFull,
    UnknownServiceError,
    UnpicklableError,
    UsageError,
    WorkerLost,
)
from jupyter_dsage.version import VERSION

if TYPE_CHECKING:
    from jupyter_dsage.client.batch import Batch
    from jupyter_dsage.client.job import Job
    from jupyter_dsage.client.opening import SessionInfo, attach, sessions, spawn
    from jupyter_dsage.client.session import Session
    from jupyter_dsage.services import TimeSeries

__version__ = VERSION

__all__ = [
    "Batch",
    "DsageError",
    "EngineError",
    "Job",
    "JobExitedError",
    "JobMemoryError",
    "JobTimeout",
    "JournalError",
    "NotDataError",
    "RemoteError",
    "ServerKeyError",
    "Session",
    "SessionInfo",
    "SessionLost",
    "StartError",
    "StorageFull",
    "TimeSeries",
    "UnknownServiceError",
    "UnpicklableError",
    "UsageError",
    "WorkerLost",
    "attach",
    "sessions",
    "spawn",
]

_LAZY = {
    "Batch": "jupyter_dsage.client.batch",
    "Job": "jupyter_dsage.client.job",
    "Session": "jupyter_dsage.client.session",
    "TimeSeries": "jupyter_dsage.services",
    "SessionInfo": "jupyter_dsage.client.opening",
    "attach": "jupyter_dsage.client.opening",
    "sessions": "jupyter_dsage.client.opening",
    "spawn": "jupyter_dsage.client.opening",
}


def __getattr__(name: str) -> Any:
    """Import what is used: `import jupyter_dsage` alone loads neither zmq nor numpy."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(ip: Any) -> None:
    """Give an IPython shell the magics `%%scatter` and `%dsage`; called by ``%load_ext jupyter_dsage``."""
    from jupyter_dsage.notebook import magics

    magics.register(ip)


def unload_ipython_extension(ip: Any) -> None:
    """Take the magics away again; sessions live on."""
    from jupyter_dsage.notebook import magics

    magics.unregister(ip)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "jupyter_dsage"}]


def _load_jupyter_server_extension(server: Any) -> None:
    from jupyter_dsage.server import extension

    extension.load(server)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
