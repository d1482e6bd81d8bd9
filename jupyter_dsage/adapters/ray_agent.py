"""What Ray runs for us: an actor a slot, which holds one CPU of the cluster while it lives, with an agent inside.

Its methods are coroutines, so orders and news are seen to while a chunk waits for its end. It is never restarted, and
no call of it is repeated: what a lost one ran is for the child to judge.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jupyter_dsage.adapters import agent

if TYPE_CHECKING:
    from jupyter_dsage.adapters.parcel import Parcel


class RaySlot:
    """The actor; made into one by `ray_cluster`. See `cluster.Cluster` for what each call is."""

    def __init__(self, greeting: list[bytes], place: agent.Place, token: str) -> None:
        self._token = token
        self._hello = agent.settle(greeting, place)

    async def hello(self) -> agent.Hello:
        """Return what the agent says of itself."""
        return self._hello

    async def tell(self, parcel: Parcel) -> None:
        """Give the agent its next messages."""
        agent.found(self._token).tell(parcel)

    async def carry(self, parcel: Parcel) -> None:
        """Bring the agent large payloads."""
        agent.found(self._token).carry(parcel)

    async def news(self, after: int) -> Parcel:
        """Return the agent's news behind this number, when there are some."""
        return await agent.found(self._token).news(after)

    async def run_chunk(self, worker: int, order: int, parcel: Parcel) -> None:
        """Be a chunk's task: hand it over, and wait until it is over."""
        chunk, _ = agent.found(self._token).grant(worker, order, parcel.letters[0])
        await asyncio.wrap_future(chunk.over)

    async def part(self) -> bool:
        """Have the agent leave; tell whether everything is gone that it had."""
        return agent.part(self._token)
