"""What Dask calls in its workers: an agent made there, spoken to by handlers of that worker, and chunks as tasks.

Orders and news are requests of the worker's own server, under names of ours, so they are answered on its event loop
whatever its threads do, and nothing of them is kept by the scheduler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distributed import rejoin, secede
from distributed.protocol import to_serialize

from jupyter_dsage.adapters import agent

if TYPE_CHECKING:
    from jupyter_dsage.adapters.parcel import Parcel


def settle(greeting: list[bytes], place: agent.Place, dask_worker: Any) -> agent.Hello:
    """Make a child's agent in this Dask worker, and the ways to it."""
    hello = agent.settle(greeting, place)
    dask_worker.handlers.update({"dsage_tell": _tell, "dsage_carry": _carry, "dsage_news": _news, "dsage_part": _part})
    return hello


def _tell(token: str, parcel: Parcel) -> None:
    agent.found(token).tell(parcel)


def _carry(token: str, parcel: Parcel) -> None:
    agent.found(token).carry(parcel)


async def _news(token: str, after: int) -> Any:
    try:
        return to_serialize(await agent.found(token).news(after))
    except LookupError:
        return None


def _part(token: str) -> bool:
    return agent.part(token)


def run_chunk(token: str, worker: int, order: int, parcel: Parcel) -> None:
    """Be a chunk's task: hand it over, and hold this worker's slot until it is over.

    One that its worker cannot begin yet leaves the slot to others meanwhile.
    """
    chunk, behind = agent.found(token).grant(worker, order, parcel.letters[0])
    if behind:
        secede()
        chunk.turn.result()
        if not chunk.over.done():
            rejoin()
    chunk.over.result()
