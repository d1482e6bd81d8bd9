"""A Ray cluster: a head's address, or one of this host that the adapter starts itself.

A place is a slot: an actor that holds one CPU, put where Ray has one. Without enough of them it waits, as all do there.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import tempfile
import time
import weakref
from typing import TYPE_CHECKING, Any

import ray

from jupyter_dsage import settings
from jupyter_dsage.adapters.cluster import words
from jupyter_dsage.adapters.parcel import Parcel
from jupyter_dsage.adapters.ray_agent import RaySlot
from jupyter_dsage.errors import EngineError
from jupyter_dsage.net.cluster_urls import name_of
from jupyter_dsage.wire import codec

if TYPE_CHECKING:
    from jupyter_dsage.adapters.agent import Hello
    from jupyter_dsage.wire.adapted import Adapt
    from jupyter_dsage.wire.codec import Frame

_LONGEST_FOLDER = 40
"""Ray's sockets lie below its folder, with names of 65 characters; the system takes 107."""


class RayCluster:
    """See `cluster.Cluster`."""

    reserves = True

    def __init__(self, adapt: Adapt) -> None:
        self._setup = adapt.engine
        self._token = adapt.dial.token
        self._greeting = [bytes(frame) for frame in codec.encode(adapt.dial)]
        self._address = self._setup.option("address")
        if not self._address and self._setup.host:
            self._address = name_of("ray", None, self._setup.host, self._setup.port)
        self._place = ("", ()) if self._address else (adapt.cwd, adapt.path)
        self._folder = adapt.folder
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._slots: dict[str, Any] = {}
        """Place -> its actor."""
        self._lost: set[str] = set()
        self._numbers = itertools.count(1)
        self._puts: dict[int, Any] = {}
        """A large frame's identity -> where it is in the object store, while the frame is kept here."""
        self.title = f"the Ray cluster at {self._address}" if self._address else "the local Ray"

    async def open(self) -> None:
        """See `cluster.Cluster`."""
        how: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self._address:
            how |= {"address": self._address}
        else:
            folder = self._folder
            if len(folder) > _LONGEST_FOLDER:
                self._temporary = tempfile.TemporaryDirectory(prefix="dsage-ray-")
                folder = self._temporary.name
            how |= {
                "num_cpus": self._setup.slots,
                "include_dashboard": False,
                "_node_ip_address": "127.0.0.1",
                "_temp_dir": folder,
            }
        soon = time.monotonic() + settings.ADAPTER_START_SECONDS / 3
        for again in (bool(self._address), False):  # a head that has much to do drops one that has just connected
            try:
                await asyncio.to_thread(lambda: ray.init(namespace=f"dsage-{self._token[:6]}", **how))
            except (OSError, RuntimeError, ValueError, ImportError) as error:
                if not again or isinstance(error, (ValueError, ImportError)) or time.monotonic() > soon:
                    raise EngineError(f"{self.title} cannot be reached: {words(error)}") from None
                await asyncio.to_thread(ray.shutdown)
            else:
                return

    async def places(self, wanted: int) -> dict[str, int]:
        """See `cluster.Cluster`. Slots that are lost are replaced by others, where there are CPUs."""
        try:
            total = await asyncio.wait_for(asyncio.to_thread(ray.cluster_resources), settings.AWAY_SECONDS)
        except TimeoutError:
            raise EngineError(f"{self.title} is lost: it does not answer") from None
        except Exception as error:  # noqa: BLE001  (whatever Ray raises without its head)
            raise EngineError(f"{self.title} is lost: {words(error)}") from None
        for place in self._lost & self._slots.keys():
            del self._slots[place]
        self._lost.clear()
        missing = min(wanted, int(total.get("CPU", 0))) - len(self._slots)
        fresh = {f"slot-{next(self._numbers)}" for _ in range(missing)}
        return dict.fromkeys([*self._slots, *sorted(fresh)], 1)

    async def settle(self, place: str) -> Hello:
        """See `cluster.Cluster`."""
        actor = ray.remote(RaySlot).options(num_cpus=1, max_restarts=0, max_task_retries=0)
        slot = self._slots[place] = actor.remote(self._greeting, self._place, self._token)
        try:
            hello: Hello = await _answer(slot.hello.remote())
        except BaseException as error:
            self._slots.pop(place, None)
            with contextlib.suppress(Exception):
                ray.kill(slot)
            if isinstance(error, ImportError) or "No module named" in str(error):
                why = f"a Ray worker lacks a package: install the same version of jupyter_dsage there ({words(error)})"
                raise EngineError(why) from None
            raise
        return hello

    async def _call(self, place: str, call: Any) -> Any:
        try:
            return await _answer(call)
        except ray.exceptions.RayActorError:
            self._lost.add(place)
            raise

    async def tell(self, place: str, parcel: Parcel) -> None:
        """See `cluster.Cluster`."""
        await self._call(place, self._slots[place].tell.remote(parcel))

    async def carry(self, place: str, parcel: Parcel) -> None:
        """See `cluster.Cluster`."""
        await self._call(place, self._slots[place].carry.remote(self._put(parcel)))

    def _put(self, parcel: Parcel) -> Any:
        """Return where a parcel is in the object store: one of the same frames is there once for all slots."""
        largest = max(parcel.letters[0], key=lambda frame: memoryview(frame).nbytes)
        known = self._puts.get(id(largest))
        if known is None:
            known = ray.put(parcel)
            if isinstance(largest, memoryview):
                self._puts[id(largest)] = known
                weakref.finalize(largest, self._puts.pop, id(largest), None)
        return known

    async def news(self, place: str, after: int) -> Parcel:
        """See `cluster.Cluster`."""
        told: Parcel = await self._call(place, self._slots[place].news.remote(after))
        return told

    async def run(self, place: str, worker: int, order: int, letter: list[Frame]) -> None:
        """See `cluster.Cluster`."""
        await self._call(place, self._slots[place].run_chunk.remote(worker, order, Parcel([letter])))

    async def part(self, place: str) -> bool:
        """See `cluster.Cluster`."""
        slot = self._slots.get(place)
        if slot is None:
            return True
        try:
            gone = bool(await _answer(slot.part.remote()))
        except ray.exceptions.RayActorError:
            gone = True
        if gone:
            del self._slots[place]
            ray.kill(slot)
        return gone

    async def close(self) -> None:
        """See `cluster.Cluster`."""
        with contextlib.suppress(TimeoutError):  # it may still be waiting for a head
            await asyncio.wait_for(asyncio.to_thread(ray.shutdown), settings.DIE_SECONDS - 3)
        if self._temporary is not None:
            self._temporary.cleanup()


async def _answer(call: Any) -> Any:
    """Return what a call returns. Ray's client ends with its thread where a call is cancelled, so none ever is.

    It also waits for its server before it gives a future, for half a minute where that is gone: on another thread.
    """

    async def wait() -> Any:
        return await asyncio.wrap_future(await asyncio.to_thread(call.future))

    waiting = asyncio.create_task(wait())
    waiting.add_done_callback(lambda done: done.cancelled() or done.exception())  # it may be nobody's any more
    return await asyncio.shield(waiting)
