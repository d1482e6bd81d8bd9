"""Fakes for tests of jupyter_dsage and of what is built on it: a clock that stands still, a session in memory."""

from jupyter_dsage.testing.clock import FakeClock
from jupyter_dsage.testing.sim import Sim
from jupyter_dsage.testing.sim_batch import SimBatch

__all__ = ["FakeClock", "Sim", "SimBatch"]
