"""The peers by name, in the order in which they take their turns. Each is imported only in a process of its own."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.benchmarks.peers.peer import Peer

PEERS = {
    "dsage": "dsage_peer:Dsage",
    "dsage-nojournal": "dsage_peer:DsageNoJournal",
    "bare": "bare_peer:Bare",
    "ppe": "futures_peer:PPE",
    "ppe-chunked": "futures_peer:PPEChunked",
    "ppe-spawn": "futures_peer:PPESpawn",
    "pool": "pool_peer:Pool",
    "loky": "futures_peer:Loky",
    "joblib": "joblib_peer:Joblib",
    "mpire": "mpire_peer:Mpire",
    "executorlib": "futures_peer:Executorlib",
    "ipyparallel": "ipyparallel_peer:IPyParallel",
    "dask": "dask_peer:Dask",
    "ray": "ray_peer:Ray",
    "ray-pool": "ray_peer:RayPool",
    "parsl": "parsl_peer:Parsl",
}
OURS = ("dsage", "dsage-nojournal")


def peer_class(name: str) -> type[Peer]:
    """Return a peer's class; its library is imported when one is made."""
    module, _, found = PEERS[name].partition(":")
    return getattr(import_module(f"{__name__}.{module}"), found)
