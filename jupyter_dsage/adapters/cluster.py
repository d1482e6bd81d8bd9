"""What an adapter asks of another scheduler's cluster: one small interface for Dask and Ray.

A *place* is a worker of theirs, with so many slots, in which an `agent` of ours can be. All calls are coroutines of the
adapter's one event loop. Orders (`tell`, `carry`) and news go to the agents at once, whatever runs there; a chunk
(`run`) is what the other scheduler sees and schedules: one task of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from jupyter_dsage.adapters import ray_surroundings
from jupyter_dsage.errors import EngineError

if TYPE_CHECKING:
    from jupyter_dsage.adapters.agent import Hello
    from jupyter_dsage.adapters.parcel import Parcel
    from jupyter_dsage.wire.adapted import Adapt
    from jupyter_dsage.wire.codec import Frame


class Cluster(Protocol):
    """One cluster, as an adapter is connected to it. Any call but `close` may raise what its library raises."""

    title: str
    """For sentences: ``the Dask cluster at tcp://…``."""
    reserves: bool
    """Whether a place takes something of the cluster though nothing runs there, so that unused ones are given back."""

    async def open(self) -> None:
        """Connect; raises EngineError, which says what is wrong."""

    async def places(self, wanted: int) -> dict[str, int]:
        """Return the places there are now, each with its slots; raises EngineError if the cluster is lost.

        `wanted`: how many slots are enough, for one that makes places when they are needed.
        """

    async def settle(self, place: str) -> Hello:
        """Have an agent at a place; raises EngineError where that cannot be."""

    async def tell(self, place: str, parcel: Parcel) -> None:
        """Give an agent its next messages."""

    async def carry(self, place: str, parcel: Parcel) -> None:
        """Bring an agent large payloads."""

    async def news(self, place: str, after: int) -> Parcel:
        """Return an agent's news behind this number, when there are some."""

    async def run(self, place: str, worker: int, order: int, letter: list[Frame]) -> None:
        """Have a chunk run as a task of the cluster, at this place and nowhere else; return when it is over."""

    async def part(self, place: str) -> bool:
        """Have an agent leave; tell whether everything is gone that it had."""

    async def close(self) -> None:
        """Disconnect, and end what `open` started."""


def words(error: BaseException) -> str:
    """Return an error of a library's as a part of a sentence: its first line."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")


def connect(adapt: Adapt) -> Cluster:
    """Return the cluster that an engine's URL names, not opened yet; raises EngineError without its library."""
    kind = adapt.engine.kind
    try:
        if kind == "ray":
            ray_surroundings.prepare(own=not (adapt.engine.host or adapt.engine.option("address")))
            from jupyter_dsage.adapters.ray_cluster import RayCluster

            return RayCluster(adapt)
        from jupyter_dsage.adapters.dask_cluster import DaskCluster

        return DaskCluster(adapt)
    except ImportError as error:
        raise EngineError(f"it needs a package ({error}): pip install 'jupyter_dsage[{kind}]'") from None
