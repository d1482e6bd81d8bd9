"""A Dask cluster: its scheduler's address, or one of this host that the adapter starts itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import distributed
from distributed.protocol import to_serialize

from jupyter_dsage import settings
from jupyter_dsage.adapters import dask_agent
from jupyter_dsage.adapters.cluster import words
from jupyter_dsage.adapters.parcel import Parcel
from jupyter_dsage.errors import EngineError
from jupyter_dsage.net.cluster_urls import name_of
from jupyter_dsage.wire import codec

if TYPE_CHECKING:
    from jupyter_dsage.adapters.agent import Hello
    from jupyter_dsage.wire.adapted import Adapt
    from jupyter_dsage.wire.codec import Frame

log = logging.getLogger(__name__)

_REACH_SECONDS = 2.0
"""A Dask worker that does not answer a call of ours within this time is spoken to through its scheduler."""


class DaskCluster:
    """See `cluster.Cluster`."""

    reserves = False

    def __init__(self, adapt: Adapt) -> None:
        self._setup = adapt.engine
        self._token = adapt.dial.token
        self._greeting = [bytes(frame) for frame in codec.encode(adapt.dial)]
        self._own = not self._setup.host
        """Whether it is one that is started here."""
        self._place = (adapt.cwd, adapt.path) if self._own else ("", ())
        self._folder = adapt.folder
        self._cluster: Any = None
        self._client: Any = None
        self._ways: dict[str, Any] = {}
        """Place -> what calls of it are made on: its own connections, or the scheduler's."""
        self.title = f"the Dask cluster at {self._address}" if self._setup.host else "the local Dask cluster"

    @property
    def _address(self) -> str:
        return name_of("tls" if self._setup.option("tls") else "tcp", None, self._setup.host, self._setup.port)

    def _security(self) -> Any:
        files = {name: self._setup.option(name) for name in ("ca", "cert", "key")}
        if not self._setup.option("tls"):
            return None
        names = {"ca": "tls_ca_file", "cert": "tls_client_cert", "key": "tls_client_key"}
        given = {names[name]: path for name, path in files.items() if path}
        return distributed.Security(require_encryption=True, **given)

    async def open(self) -> None:
        """See `cluster.Cluster`."""
        try:
            if self._own:
                self._cluster = await distributed.LocalCluster(
                    n_workers=self._setup.slots,
                    threads_per_worker=1,
                    processes=True,
                    asynchronous=True,
                    dashboard_address=None,
                    host="127.0.0.1",
                    local_directory=self._folder,
                    silence_logs=logging.ERROR,
                )
            self._client = await distributed.Client(
                self._cluster or self._address,
                asynchronous=True,
                security=self._security(),
                name="jupyter_dsage",
                timeout=settings.AWAY_SECONDS,
            )
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            raise EngineError(f"{self.title} cannot be reached: {words(error)}") from None

    async def places(self, wanted: int) -> dict[str, int]:  # noqa: ARG002
        """See `cluster.Cluster`. All workers there are, whatever is wanted."""
        try:
            identity = await asyncio.wait_for(self._client.scheduler.identity(), settings.AWAY_SECONDS)
        except (OSError, TimeoutError) as error:
            raise EngineError(f"{self.title} is lost: {words(error)}") from None
        if self._client.status != "running":
            raise EngineError(f"{self.title} is lost: its scheduler has closed the connection")
        return {
            address: worker["nthreads"]
            for address, worker in identity["workers"].items()
            if worker.get("status", "running") in ("running", "paused")
        }

    async def settle(self, place: str) -> Hello:
        """See `cluster.Cluster`."""
        try:
            said = await self._client.run(dask_agent.settle, self._greeting, self._place, workers=[place])
        except ImportError as error:
            why = f"its worker {place} lacks a package ({error}): install the same version of jupyter_dsage there"
            raise EngineError(why) from None
        hello: Hello = said[place]
        self._ways[place] = await self._way(place)
        return hello

    async def _way(self, place: str) -> Any:
        """Return how to call a worker: directly, if it can be reached from here, else through the scheduler."""
        direct = self._client.rpc(place)
        try:
            await asyncio.wait_for(direct.identity(), _REACH_SECONDS)
        except (OSError, TimeoutError):
            log.info("the Dask worker %s is spoken to through its scheduler", place)
            return _Through(self._client.scheduler, place)
        return direct

    async def tell(self, place: str, parcel: Parcel) -> None:
        """See `cluster.Cluster`."""
        await self._ways[place].dsage_tell(token=self._token, parcel=to_serialize(parcel))

    async def carry(self, place: str, parcel: Parcel) -> None:
        """See `cluster.Cluster`."""
        await self._ways[place].dsage_carry(token=self._token, parcel=to_serialize(parcel))

    async def news(self, place: str, after: int) -> Parcel:
        """See `cluster.Cluster`."""
        told: Parcel | None = await self._ways[place].dsage_news(token=self._token, after=after)
        if told is None:
            raise LookupError(f"There is no agent any more in the Dask worker {place}.")
        return told

    async def run(self, place: str, worker: int, order: int, letter: list[Frame]) -> None:
        """See `cluster.Cluster`."""
        future = self._client.submit(
            dask_agent.run_chunk,
            self._token,
            worker,
            order,
            Parcel([letter]),
            key=f"dsage-{self._token[:6]}-{worker}-{order}",
            workers=[place],
            allow_other_workers=False,
            retries=0,
            pure=False,
        )
        try:
            await distributed.wait(future)
            if future.status == "error":
                raise await future.exception()
        finally:
            future.release()

    async def part(self, place: str) -> bool:
        """See `cluster.Cluster`."""
        return place not in self._ways or bool(await self._ways[place].dsage_part(token=self._token))

    async def close(self) -> None:
        """See `cluster.Cluster`."""
        for thing in (self._client, self._cluster):
            if thing is not None:
                with contextlib.suppress(TimeoutError, OSError, RuntimeError):
                    await asyncio.wait_for(thing.close(), settings.DIE_SECONDS - 2)


class _Through:
    """Calls of a Dask worker that the scheduler passes on; it looks into none of them."""

    def __init__(self, scheduler: Any, place: str) -> None:
        self._scheduler = scheduler
        self._place = place

    def __getattr__(self, op: str) -> Any:
        async def call(**said: Any) -> Any:
            answer = await self._scheduler.proxy(msg={"op": op, **said}, worker=self._place)
            if isinstance(answer, dict) and answer.get("status") == "uncaught-error":
                raise LookupError(str(answer.get("exception_text", "the Dask worker refused the call")))
            return answer

        return call
