"""The spelling of 2008: ``from jupyter_dsage.compat import spawnScatterGather``."""

from jupyter_dsage.client.compat import ScatterGather, spawnScatterGather

__all__ = ["ScatterGather", "spawnScatterGather"]
