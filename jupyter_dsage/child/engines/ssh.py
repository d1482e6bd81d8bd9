"""The ``ssh://`` engine: a host that this user reaches by ssh, and where nobody needs to run a server.

ssh starts a bridge there (`worker.bridge`), which starts a room server if there is none, and carries the stream. No
port is opened, and no key of ours lies there. See `host.HostEngine` for all the rest.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

import msgspec

from jupyter_dsage import settings
from jupyter_dsage.child.engines.host import HostEngine
from jupyter_dsage.net.bootstrap import bootstrap
from jupyter_dsage.net.ssh_carrier import BRIDGE, SshCarrier, SshTarget, bridge_script
from jupyter_dsage.net.stream_dialer import StreamDialer

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.net.transport import Poller
    from jupyter_dsage.wire import remote
    from jupyter_dsage.wire.setup import EngineSetup


class SshEngine(HostEngine):
    """See `engine.Engine`."""

    def __init__(self, setup: EngineSetup, poller: Poller) -> None:
        secret = setup.lineage or secrets.token_hex(16)
        lineage = hashlib.sha256(f"{secret} {setup.name}".encode()).hexdigest()
        place = hashlib.sha256(lineage.encode()).hexdigest()[:12]
        """Names the room server there: the same for all children of this session, and no secret."""
        self._poller = poller
        self._target = SshTarget(setup.host, setup.option("user"), setup.port)
        self._seconds = (settings.SSH_DIAL_SECONDS, settings.SSH_PATIENCE)
        if setup.option("bootstrap") == "1":
            made = bootstrap(setup.option("python"), BRIDGE, place)
            self._script, self._first = made.script, made.first
            self._seconds = (settings.BOOTSTRAP_SECONDS, settings.BOOTSTRAP_SECONDS)
        else:
            self._script, self._first = bridge_script(setup.option("python", "python3"), place), b""
        super().__init__(msgspec.structs.replace(setup, lineage=lineage), self._reached)

    def _reached(self, hello: Callable[[], remote.Dial]) -> StreamDialer:
        self._dialer = StreamDialer(
            hello, lambda: SshCarrier(self._target, self._script, self._first), self._poller, *self._seconds
        )
        return self._dialer

    def wait_gone(self, seconds: float) -> None:
        """See `engine.Engine`."""
        self._dialer.wait_gone(seconds)
