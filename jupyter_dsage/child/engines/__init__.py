"""Engines: what a URL names, a place that has slots. One file each; `make` is where a setup becomes one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_dsage.child.engines.engine import Engine
    from jupyter_dsage.net.transport import Network, Poller
    from jupyter_dsage.wire import messages as m
    from jupyter_dsage.wire.setup import EngineSetup


def make(setup: EngineSetup, supervisor: m.SupervisorSetup, network: Network, poller: Poller) -> Engine:
    """Return the engine that a setup describes; `supervisor`: what workers on this host run in."""
    if setup.kind == "dsage":
        from jupyter_dsage.child.engines.dsage import DsageEngine

        return DsageEngine(setup, poller)
    if setup.kind == "ssh":
        from jupyter_dsage.child.engines.ssh import SshEngine

        return SshEngine(setup, poller)
    if setup.kind == "slurm":
        from jupyter_dsage.child.engines.slurm import SlurmEngine

        return SlurmEngine(setup, poller)
    if setup.kind in ("dask", "ray"):
        from jupyter_dsage.child.engines.adapter import AdapterEngine

        return AdapterEngine(setup, supervisor, poller)
    from jupyter_dsage.child.engines.local import LocalEngine

    return LocalEngine(setup, supervisor, network, poller)
