"""The ``dsage://`` engine: a worker server on another host, or on this one, that somebody started.

The child dials out, by CURVE and mutual TLS (`net.dialer`); see `host.HostEngine` for all the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dsage.child.engines.host import HostEngine
from jupyter_dsage.net.dialer import Dialer
from jupyter_dsage.net.keys import Keys, parse_key
from jupyter_dsage.net.tls import make_identity
from jupyter_dsage.net.zmq_transport import ZmqNetwork

if TYPE_CHECKING:
    from jupyter_dsage.net.transport import Poller
    from jupyter_dsage.wire.setup import EngineSetup


class DsageEngine(HostEngine):
    """See `engine.Engine`."""

    def __init__(self, setup: EngineSetup, poller: Poller) -> None:
        self._keys = Keys()
        self._network = ZmqNetwork()
        identity = make_identity()
        address = (setup.host, setup.port, parse_key(setup.key))
        super().__init__(
            setup,
            lambda hello: Dialer(address, self._keys.client(), identity, hello, self._network, poller),
            identity.cert_pem,
        )

    def _know(self) -> None:
        """Remember the server's key: that it has changed is noticed the next time."""
        host, port = self._setup.host, self._setup.port
        if self._keys.known(host, port) != parse_key(self._setup.key):
            self._keys.trust(host, port, self._setup.key)

    def wait_gone(self, seconds: float) -> None:  # noqa: ARG002
        """See `engine.Engine`."""
        self._network.close()
