"""``python -m jupyter_dsage.adapters.serve FD``: an adapter, talking to its child over the socket FD.

It holds what another scheduler's library has of a client, so that the child needs none and unpickles nothing. The
socket's end is its child's end; then it has its agents leave, and goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.adapters.cluster import connect
from jupyter_dsage.adapters.relay import Relay
from jupyter_dsage.errors import EngineError, PeerGoneError, ProtocolError
from jupyter_dsage.net.stream import StreamLink
from jupyter_dsage.wire import adapted, remote
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire.safe_text import set_up_logging

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from jupyter_dsage.adapters.cluster import Cluster
    from jupyter_dsage.wire.codec import Frame

log = logging.getLogger(__name__)


class Server:
    """The adapter's two sides, and its life."""

    def __init__(self, link: StreamLink) -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._writing = False
        self._over = asyncio.Event()
        self._greeted: asyncio.Future[adapted.Adapt] = self._loop.create_future()
        self._relay: Relay | None = None
        self._early: list[tuple[int, list[Frame]]] = []
        """What came before there was a relay."""
        self._loop.add_reader(link.fileno(), self._readable)

    async def run(self) -> None:
        """Serve until the child is gone or says so, or the cluster is lost; leaves nothing behind."""
        over = asyncio.create_task(self._over.wait())
        work = asyncio.create_task(self._serve())
        try:
            await asyncio.wait({over, work}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (over, work):
                task.cancel()
            await asyncio.gather(over, work, return_exceptions=True)
        if not work.cancelled() and (error := work.exception()) is not None:
            raise error

    async def _serve(self) -> None:
        adapt = await self._greeted
        cluster, beating = None, None
        try:
            cluster = connect(adapt)
            await asyncio.wait_for(cluster.open(), settings.ADAPTER_START_SECONDS)
            relay = Relay(cluster, adapt.dial.slots, self._say)
            beating = asyncio.create_task(relay.beat())
            await relay.open()
            self._relay = relay
            for early in self._early:
                relay.hear(*early)
            await relay.watch()
        except (EngineError, TimeoutError) as error:
            why = str(error) or f"{cluster.title if cluster else 'the cluster'} does not answer"
            self._say(remote.greeting(m.Refused(why)))
            if self._relay is not None:
                self._relay.let_go()
                self._relay = None  # the cluster is lost: nobody there would answer
        finally:
            if beating is not None:
                beating.cancel()
            if cluster is not None:
                await asyncio.shield(self._leave(cluster))

    async def _leave(self, cluster: Cluster) -> None:
        """Leave nothing behind, within the time that the child has, whatever does not answer any more."""
        until = self._loop.time() + settings.DIE_SECONDS - 1
        if self._relay is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._relay.part(), settings.DIE_SECONDS - 1.5)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(cluster.close(), max(0.5, until - self._loop.time()))

    # --- the socket ----------------------------------------------------------------------------------------

    def _readable(self) -> None:
        try:
            while (frames := self._link.receive()) is not None:
                envelope, rest = remote.unseal(frames)
                self._hear(envelope.worker, rest)
        except (PeerGoneError, ProtocolError) as error:
            if isinstance(error, ProtocolError):
                log.error("the child sent what it should not: %s", error)  # noqa: TRY400  (a sentence says it)
            self._loop.remove_reader(self._link.fileno())
            self._over.set()

    def _hear(self, worker: int, frames: list[Frame]) -> None:
        message = adapted.from_child.header(frames[0])
        if isinstance(message, adapted.Adapt) and not self._greeted.done():
            self._greeted.set_result(message)
        elif isinstance(message, remote.Part):
            self._over.set()
        elif self._relay is None:
            self._early.append((worker, frames))
        else:
            self._relay.hear(worker, frames)

    def _say(self, frames: list[Frame]) -> None:
        try:
            self._link.send(frames)
        except PeerGoneError:
            self._over.set()
            return
        self._write()

    def _write(self) -> None:
        """Have the loop say when the socket takes more, if something is kept for it."""
        if self._writing:
            self._link.flush()
        if self._link.wants_write != self._writing:
            self._writing = self._link.wants_write
            if self._writing:
                self._loop.add_writer(self._link.fileno(), self._write)
            else:
                self._loop.remove_writer(self._link.fileno())


async def _serve(descriptor: int) -> None:
    """Be an adapter, and end: threads of a library that still waits for its cluster would keep the process for long."""
    code = 1
    try:
        await Server(StreamLink(socket.socket(fileno=descriptor))).run()
        code = 0
    except Exception:  # whatever it is, it is told, and the child starts another adapter or says why it cannot
        log.exception("the adapter ends because of a defect; please report it")
    finally:
        logging.shutdown()
        os._exit(code)


def main() -> None:
    """Be an adapter until the socket ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_up_logging("%(levelname)s %(message)s", logging.WARNING, stream=sys.stderr)
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "warning")  # else each worker that comes and goes is a line
    serving: Coroutine[object, object, None] = _serve(int(sys.argv[1]))
    asyncio.run(serving)


if __name__ == "__main__":
    main()
