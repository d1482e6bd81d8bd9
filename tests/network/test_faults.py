"""What networks and hosts do to a session: its child on host `a`, a worker server or an sshd on host `b`, a cable.

Each job writes its history (`history.py`), so a test sees also what ran on a host that nobody hears. Outages last until
what they are to lead to has happened, or for as long as the test's name says; nothing else is timed.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest

import jupyter_dsage as dsage
from tests.leftovers import PATIENCE
from tests.network import history
from tests.network.history import History, until
from tests.network.hosts import Wire
from tests.sshd import Sshd, ssh_command, sshd
from tests.worker_server import WorkerServer, worker_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

pytestmark = [pytest.mark.needs("namespaces"), pytest.mark.timeout(240)]


REMOTE = ("dsage:", "ssh:")
"""How the names of engines on host `b` begin."""


_SPAWNING = threading.Lock()
"""Held while a child is started: what the environment says is for that one, and there are two fields in some tests."""


class Field:
    """A wire, its server on `b`, the history of the jobs, the child's log. `scheme`: how `b` is reached."""

    def __init__(self, wire: Wire, folder: Path, scheme: str = "dsage") -> None:
        self.wire = wire
        self.scheme = scheme
        self._sshd = folder / "sshd"
        self.history = History(folder / "history")
        self.folder = str(self.history.folder)
        self.history.folder.mkdir()
        self._log = folder / "child.log"

    def server(self, slots: int = 2, port: int = 0, runtime: str = "") -> AbstractContextManager[WorkerServer | Sshd]:
        """Start one. `runtime`: its folder for sockets, where it is to die and to leave things in it."""
        if self.scheme == "ssh":
            self._sshd.mkdir(exist_ok=True)
            b = self.wire.b
            return sshd(self._sshd, host=b.address, port=port, popen=b.popen, slots=slots, runtime=runtime)
        env = {**os.environ, "XDG_RUNTIME_DIR": runtime} if runtime else None
        return worker_server(slots=slots, host=self.wire.b.address, port=port, env=env, popen=self.wire.b.popen)

    @contextlib.contextmanager
    def session(self, *urls: str):
        with self._log.open("w") as log:
            with _SPAWNING, pytest.MonkeyPatch.context() as patch:
                if self.scheme == "ssh":
                    patch.setenv("DSAGE_SSH", ssh_command(self._sshd))
                with self.wire.a.inside():
                    session = dsage.spawn(list(urls), log=log)
            with session:
                assert session.wait_for_workers(history.DEADLINE)
                yield session
        assert "defect" not in self.log(), self.log()

    def log(self) -> str:
        return self._log.read_text()

    def scatter(self, session: dsage.Session, count: int, seconds: float, first: int = 0) -> dsage.Batch:
        """Scatter short jobs."""
        jobs = [((self.folder, number, seconds), {}) for number in range(first, first + count)]
        return session.scatter(history.short, jobs)

    def held(self, session: dsage.Session, *names: str, gate: str) -> dsage.Batch:
        """Scatter jobs that wait at a gate, and wait until all have started."""
        batch = session.scatter(history.held, [((self.folder, name, gate), {}) for name in names])
        until(lambda: self.history.started(*names), f"the start of {names}")
        return batch

    def nobody_was_lost(self) -> bool:
        return "ended with" not in self.log()

    def never_away(self) -> bool:
        return "does not answer" not in self.log()


@pytest.fixture(params=["dsage", pytest.param("ssh", marks=[pytest.mark.slow, pytest.mark.needs("sshd")])])
def field(request: pytest.FixtureRequest, wire: Wire, tmp_path: Path) -> Field:
    return Field(wire, tmp_path, request.param)


@pytest.fixture
def mortal() -> Iterator[str]:
    """Return a folder for a host that dies and cannot clean up; its path is short, as those of sockets must be."""
    with tempfile.TemporaryDirectory(prefix="dm-") as folder:
        yield folder


def state(session):
    (engine,) = [engine for engine in session.engines if engine.name.startswith(REMOTE)]
    return engine.state


def pids(session, engine):
    return {worker.pid for worker in session.workers if worker.engine.startswith(engine)}


def names(count):
    return [f"short-{number}" for number in range(count)]


def squares(count):
    return [number * number for number in range(count)]


def hold(seconds, begun):
    """Let an outage be as long as its name says: here the time itself is the fault."""
    time.sleep(max(0.0, begun + seconds - time.monotonic()))


def say(text):
    print(f"\n  {text}", flush=True)  # noqa: T201  (figures, for people)


# --- a pulled cable, one-way loss --------------------------------------------------------------------------


def test_p5_a_cable_pulled_for_5_s_loses_nothing_and_runs_nothing_twice(field):
    with field.server(slots=3) as server, field.session(server.url) as session:
        long = field.held(session, "long", gate="gate")
        batch = field.scatter(session, 120, 0.05)
        until(lambda: batch.counts["finished"] > 10)
        begun = time.monotonic()
        field.wire.pull()
        hold(5, begun)
        before = batch.counts["finished"]
        field.wire.plug()
        begun = time.monotonic()
        until(lambda: batch.counts["finished"] > before)
        say(f"5 s: the first outcome came {time.monotonic() - begun:.1f} s after the plug")
        assert batch.results(timeout=60) == squares(120)
        field.history.open("gate")
        assert long.results(timeout=30) == ["long"]
        assert field.history.check([*names(120), "long"]) == 0
        assert field.never_away()
        assert field.nobody_was_lost()


def outage(field, cut, seconds):
    """A host is cut off and comes back: its jobs go on elsewhere or wait for it, and who tells first counts."""
    count = int(60 * seconds)
    past = field.history
    with field.server(slots=7) as server, field.session(server.url) as session:
        kept = field.held(session, "kept-0", "kept-1", gate="kept")
        reclaimed = field.held(session, "reclaimed", gate="reclaimed")
        for batch in (kept, reclaimed):
            batch.pause()  # what is queued again stays so
        dropped, taken = (
            session.scatter(history.raced, [((field.folder, name, *gates), {})])
            for name, *gates in (("dropped", "dropped"), ("taken", "taken", "never"))
        )
        until(lambda: past.started("dropped", "taken"))
        session.add("local:?slots=3")
        assert session.wait_for_workers(history.DEADLINE)
        local, remote = pids(session, "local"), pids(session, REMOTE)
        batch = field.scatter(session, count, 0.05)
        until(lambda: past.worked("start", local) > 4 and past.worked("start", remote) > 9)

        begun = time.monotonic()
        cut()
        until(lambda: state(session) == "away")
        say(f"away after {time.monotonic() - begun:.1f} s")
        assert dropped[0].result(60) in local
        until(lambda: len(past.pids("start", "taken")) == 2)
        for gate in ("kept", "dropped", "taken"):
            past.open(gate)
        until(lambda: past.ended("kept-0", "kept-1", "taken") and set(past.pids("end", "dropped")) & remote)
        hold(seconds, begun)
        assert state(session) == "away"
        assert kept.counts["finished"] == taken.counts["finished"] == 0
        before = past.worked("start", remote)
        field.wire.restore()
        begun = time.monotonic()
        until(lambda: state(session) == "open")
        say(f"open {time.monotonic() - begun:.1f} s after the cable was whole again")

        reclaimed.resume()  # it still runs on the host that is back, so there is nothing to run
        assert kept.results(timeout=30) == ["kept-0", "kept-1"]
        assert taken[0].result(30) in remote
        until(lambda: past.pids("interrupt", "taken"), "the end of the attempt that came second")
        until(lambda: past.worked("start", remote) > before, "work for the host that is back")
        assert batch.results(timeout=120) == squares(count)
        past.open("reclaimed")
        assert reclaimed.results(timeout=30) == ["reclaimed"]
        assert past.check(["kept-0", "kept-1", "reclaimed"]) == 0
        twice = past.check([*names(count), "dropped"], moved_from=remote)
        say(f"{twice} jobs ran twice")
        assert dropped[0].result() in local
        assert kept.counts["finished"] == 2
        assert pids(session, REMOTE) == remote
        assert field.nobody_was_lost()


def test_p5_a_cable_pulled_for_15_s_moves_jobs_and_what_is_told_first_counts(field):
    outage(field, field.wire.pull, 15)


@pytest.mark.slow
def test_p5_a_cable_pulled_for_60_s_moves_jobs_and_what_is_told_first_counts(field):
    outage(field, field.wire.pull, 60)


def test_p5_one_way_loss_for_15_s_moves_jobs_and_what_is_told_first_counts(field, tmp_path):
    (tmp_path / "other").mkdir()
    with Wire() as wire, ThreadPoolExecutor(2) as pool:  # side by side, since most of it is waiting
        other = Field(wire, tmp_path / "other", field.scheme)
        runs = [
            pool.submit(outage, each, functools.partial(each.wire.drop, direction), 15)
            for each, direction in ((field, "a->b"), (other, "b->a"))
        ]
        for run in runs:
            run.result()


# --- a slow cable ------------------------------------------------------------------------------------------


@pytest.mark.timeout(600)
def test_p5_300_ms_of_delay_and_1_percent_of_loss_only_cost_time(field):
    field.wire.shape(0.3, loss=0.01, seed=4)
    with field.server() as server, field.session(server.url) as session:
        begun = time.monotonic()
        data = np.random.default_rng(4).integers(256, size=5_000_000, dtype=np.uint8)
        flipped = session.submit(np.flip, data)
        batch = field.scatter(session, 2000, 0.005)
        assert batch.results(timeout=120) == squares(2000)
        taken = time.monotonic() - begun
        say(f"2,000 jobs of 5 ms on 2 slots took {taken:.1f} s: an efficiency of {2000 * 0.005 / 2 / taken:.0%}")
        assert field.history.check(names(2000)) == 0
        assert np.array_equal(flipped.result(500), np.flip(data))  # BBR takes 20 s for it, Reno 365
        say(f"5 MB there and back took {time.monotonic() - begun:.1f} s")
        assert field.never_away()
        assert field.nobody_was_lost()


def test_a_large_argument_delays_no_beat_no_small_job_and_no_cancel(field):
    """200 MB at 40 MB/s."""
    past = field.history
    with field.server(slots=3) as server, field.session(server.url) as session:
        victim = field.held(session, "victim", gate="never")
        field.wire.shape(rate=40e6)
        begun = time.monotonic()
        large = session.submit(history.size_of, field.folder, "large", os.urandom(200_000_000))
        passed = field.wire.counts()["a->b"].passed
        until(lambda: field.wire.counts()["a->b"].passed > passed + 20_000, "a tenth of the argument")
        batch = field.scatter(session, 100, 0.01)
        until(lambda: batch.counts["finished"] > 10)
        ended = past.worked("end", pids(session, REMOTE))
        victim.cancel()
        until(lambda: past.pids("interrupt", "victim"))
        say(f"the cancelled job ended {past.worked('end', pids(session, REMOTE)) - ended} jobs after the cancel")
        assert batch.results(timeout=60) == squares(100)
        assert not past.started("large"), "the argument came before small things that were to pass it"
        assert large.result(60) == 200_000_000
        say(f"200 MB took {time.monotonic() - begun:.1f} s")
        assert past.check([*names(100), "large"]) == 0
        assert field.never_away()
        assert field.nobody_was_lost()


# --- hosts that die, sleep, or are left --------------------------------------------------------------------


def test_p1_jobs_of_a_host_that_dies_end_elsewhere(field, mortal):
    with field.server(runtime=mortal) as server, field.session(server.url) as session:
        held = field.held(session, "held-0", "held-1", gate="gate")
        session.add("local:?slots=2")
        assert session.wait_for_workers(history.DEADLINE)
        batch = field.scatter(session, 100, 0.05)
        field.history.open("gate")
        until(lambda: batch.counts["finished"] > 10)
        field.wire.b.kill_all()
        assert batch.results(timeout=60) == squares(100)
        assert held.results(timeout=60) == ["held-0", "held-1"]
        assert state(session) == "away"


def test_p1_jobs_that_only_a_dead_host_could_run_end_as_lost_and_it_may_come_back(field, mortal):
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(field.server(runtime=mortal))
        session = stack.enter_context(field.session(f"{server.url}&linger=12s"))
        batch = field.held(session, "held-0", "held-1", gate="gate")
        queued = field.scatter(session, 10, 0.01)
        field.wire.b.kill_all()
        silence = rf"{field.wire.b.address}:{server.port} has not answered for \d+ s"
        for lost in (*batch, *queued):
            with pytest.raises(dsage.WorkerLost, match=silence):
                lost.result(60)
        assert state(session) == "failed"
        field.wire.plug()
        again = stack.enter_context(field.server(port=server.port))
        assert again.url == server.url
        begun = time.monotonic()
        assert field.scatter(session, 20, 0.01, first=10).results(timeout=60) == squares(30)[10:]
        say(f"a new batch ended {time.monotonic() - begun:.1f} s after the host was back")
        assert state(session) == "open"


def test_p8_a_session_dies_while_the_cable_is_out_and_its_room_ends_later(field):
    with field.server() as server:
        with field.session(f"{server.url}&linger=2s", "local:?slots=1") as session:
            field.held(session, "held-0", "held-1", "held-2", gate="never")
            here = [session.pid, *(worker.pid for worker in session.workers if worker.engine == "local")]
            there = [worker.pid for worker in session.workers if worker.engine != "local"]
            field.wire.pull()
            session.die()
            until(lambda: not any(map(psutil.pid_exists, here)), "the end of all that was local", PATIENCE)
            assert all(map(psutil.pid_exists, there))
        if isinstance(server, WorkerServer):
            server.wait_for_log("nobody came back for")
        until(lambda: not any(map(psutil.pid_exists, there)))


def test_p5_a_laptop_that_sleeps_for_15_s_finds_its_jobs_done(field):
    with field.server() as server, field.session(server.url, "local:?slots=2") as session:
        held = field.held(session, "held-0", "held-1", "held-2", "held-3", gate="gate")
        batch = field.scatter(session, 100, 0.01)
        workers = pids(session, "")
        begun = time.monotonic()
        os.kill(session.pid, signal.SIGSTOP)
        try:
            field.history.open("gate")
            until(lambda: field.history.ended("held-0", "held-1", "held-2", "held-3"))
            hold(15, begun)
        finally:
            os.kill(session.pid, signal.SIGCONT)
        begun = time.monotonic()
        assert held.results(timeout=60) == ["held-0", "held-1", "held-2", "held-3"]
        assert batch.results(timeout=60) == squares(100)
        until(lambda: state(session) == "open")
        say(f"all had ended {time.monotonic() - begun:.1f} s after the child was awake")
        assert field.history.check([*names(100), *(f"held-{number}" for number in range(4))]) == 0
        assert pids(session, "") == workers
        assert field.never_away()
        assert field.nobody_was_lost()
