"""Fakes for tests of jupyter_dsage and of what is built on it: a clock, a network, engines, sessions in memory."""

from jupyter_dsage.testing.clock import FakeClock
from jupyter_dsage.testing.fake_engine import FakeEngine
from jupyter_dsage.testing.fake_net import FakeNet
from jupyter_dsage.testing.fake_session import FakeSession
from jupyter_dsage.testing.fake_worker import WorkerDeath
from jupyter_dsage.testing.sim import Sim
from jupyter_dsage.testing.sim_batch import SimBatch

__all__ = ["FakeClock", "FakeEngine", "FakeNet", "FakeSession", "Sim", "SimBatch", "WorkerDeath"]
