"""A storm over real processes: workers, supervisors, child and client killed and stopped at random; then the history.

Every job writes its start and its end into its own file, every client what it submitted and what it was told. The seed
is in the test's name and in each message; `DSAGE_SEED` sets another.
"""

from __future__ import annotations

import collections
import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

import jupyter_dsage as dsage
from jupyter_dsage.client import orders
from jupyter_dsage.errors import PeerGoneError, ProtocolError
from jupyter_dsage.wire import messages as m
from tests.leftovers import MARK, PATIENCE, Watch
from tests.process.operator import Operator
from tests.until import until
from tests.worker_server import worker_server

ROOT = Path(__file__).parents[2]
SEED = int(os.environ.get("DSAGE_SEED", "1"))
LEASE_SECONDS = 20.0
"""A lease may outlast its worker so long: a remote host's silence is taken for its loss after 10 s."""
DEADLINE = 120.0
"""Seconds after the storm in which everything must have ended."""


class Client:
    """The client of the moment; killed, the next one takes its place."""

    def __init__(self, folder, batches, jobs, pause, urls):
        words = [str(folder), str(batches), str(jobs), str(pause), *urls]
        self.command = [sys.executable, "-m", "tests.chaos.client", *words]
        self.log = (folder / "client.log").open("ab")
        self.lives = 0
        self.all = folder / "all"
        self.start()

    def ended(self):
        """Tell whether it has said that all has ended; where it went without that, the next one takes its place."""
        if self.process.poll() is not None and not self.all.exists():
            self.start()
        return self.all.exists()

    def start(self):
        self.lives += 1
        self.process = subprocess.Popen(self.command, cwd=ROOT, stdout=self.log, stderr=self.log)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.start()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()


class Storm:
    """What is done to whom. `hit`: pid -> when it, or what it depends on, was killed or stopped."""

    def __init__(self, seed, client, server):
        self.random = random.Random(seed)
        self.client, self.server = client, server
        self.hit = collections.defaultdict(list)
        self.killed = {}
        self.stopped = []
        self.log = []

    def processes(self):
        """Return child, supervisors and workers that live now, by what they are."""
        found = {"child": [], "supervisor": [], "worker": []}
        for info in dsage.sessions():
            if info.alive:
                found["child"].append(psutil.Process(info.pids[0]))
        roots = [*found["child"], *([psutil.Process(self.server.pid)] if self.server else [])]
        for root in roots:
            supervisors = root.children()
            found["supervisor"] += supervisors
            for supervisor in supervisors:
                found["worker"] += supervisor.children()
        return found

    def strike(self):
        """Do one thing to somebody."""
        try:
            found = self.processes()
        except psutil.NoSuchProcess:
            return  # somebody ended meanwhile; the next strike will find the others
        kind = self.random.choice(["worker"] * 5 + ["supervisor"] * 2 + ["child"] * 2 + ["client"])
        kill = self.random.random() < 0.6
        if kind == "client" and self.client.process.poll() is not None:
            return  # it has ended; the next one is started in a moment
        if kind == "client":
            self.log.append((time.monotonic(), "kill" if kill else "stop", kind, self.client.process.pid))
            if kill:
                self.client.kill()
            else:
                self.stop(psutil.Process(self.client.process.pid))
            return
        if not found[kind]:
            return
        victim = self.random.choice(found[kind])
        try:
            family = [victim.pid, *(process.pid for process in victim.children(recursive=True))]
            if kind == "child":
                family += [process.pid for process in found["worker"]]  # also those at the other host
            self.log.append((time.monotonic(), "kill" if kill else "stop", kind, victim.pid))
            for pid in family:
                self.hit[pid].append(time.monotonic())
            if kill:
                self.killed[victim.pid] = (time.monotonic(), kind)
                victim.kill()
            else:
                self.stop(victim)
        except psutil.NoSuchProcess:
            return

    def stop(self, process):
        process.suspend()
        self.stopped.append((time.monotonic() + self.random.choice([0.05, 0.5, 2.0]), process))

    def go_on(self, *, all_of_them=False):
        """Let those go on whose time is over."""
        now = time.monotonic()
        for due, process in list(self.stopped):
            if due <= now or all_of_them:
                self.stopped.remove((due, process))
                if process.is_running():
                    process.resume()


class Audit(threading.Thread):
    """Asks the child again and again which jobs run where: none may stay with a worker that is not there (P1)."""

    def __init__(self):
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.looks = 0
        self.faults = []
        self._since = {}
        """(pid, batch, job) that runs in a process that is gone -> since when it is seen so."""

    def run(self):
        while not self.over.wait(0.5):
            seen = [view for info in dsage.sessions() if info.alive for view in self._views(info.id)]
            self._look(seen)

    @staticmethod
    def _views(session):
        try:
            with Operator(session) as operator:
                numbers = [batch["number"] for batch in json.loads(operator.ask(m.LookSession).text)["batches"]]
                return [json.loads(operator.ask(lambda ask, n=n: m.LookBatch(ask, n)).text) | {"number": n}
                        for n in numbers]  # fmt: skip
        except (PeerGoneError, ProtocolError, AssertionError, ValueError, OSError, KeyError):
            return []  # it was killed or stopped just now

    def _look(self, views):
        now, gone = time.monotonic(), {}
        for view in views:
            self.looks += 1
            for row in view["workers"]:
                if row["job"] is not None and row["pid"] and not psutil.pid_exists(row["pid"]):
                    key = (row["pid"], view["number"], row["job"])
                    gone[key] = self._since.get(key, now)
        self._since = gone
        self.faults += [key for key, since in gone.items() if now - since > LEASE_SECONDS]

    def stop(self):
        self.over.set()
        self.join(60)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Give a folder for one storm; when it is over nothing may be left of it."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    watch = Watch()
    monkeypatch.setenv(MARK, watch.mark)
    (tmp_path / "jobs").mkdir()
    yield tmp_path
    left = watch.wait(PATIENCE)
    if left:
        watch.clean()
        pytest.fail("after the storm this is left:\n  " + "\n  ".join(left), pytrace=False)


def blow(folder, seconds, batches, jobs, *, seed):
    """Let the storm blow for some seconds, wait until all has ended, and check the history."""
    with worker_server(slots=2) as server:
        client = Client(folder, batches, jobs, seconds / batches, ["local:?slots=2", server.url])
        storm, audit = Storm(seed, client, server), Audit()
        audit.start()
        try:
            end = time.monotonic() + seconds
            next_strike = time.monotonic() + 2.0
            while time.monotonic() < end:
                time.sleep(0.02)
                storm.go_on()
                client.ended()
                if time.monotonic() >= next_strike:
                    before = len(storm.log)
                    storm.strike()
                    pause = storm.random.uniform(0.3, 1.2) if len(storm.log) > before else 0.05
                    next_strike = time.monotonic() + pause
            storm.go_on(all_of_them=True)
            until(client.ended, DEADLINE, lambda: f"seed {seed}: the end of all\n{tell(folder, storm)}\n")
            client.process.wait(30)
            audit.stop()
            assert not audit.faults, f"seed {seed}: jobs without a worker: {audit.faults}\n{tell(folder, storm)}"
            assert audit.looks > seconds / 2, "hardly anything was audited"
            check(folder, storm, batches, jobs, seed)
        finally:
            storm.go_on(all_of_them=True)
            audit.stop()
            client.close()
            orders.die(None, everything=True)
    return storm


def lines(path):
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def check(folder, storm, batches, jobs, seed):
    """Check each job's history; raises AssertionError with the seed and the job's story."""
    twice = 0
    for batch in range(batches):
        told = collections.defaultdict(set)
        first_told = {}
        for index, word, when, _ in lines(folder / f"told-b{batch}"):
            told[int(index)].add(word)
            first_told.setdefault(int(index), float(when))
        once = batch % 4 == 3
        for number in range(jobs):
            starts = [(float(when), int(pid)) for what, when, pid in lines(folder / "jobs" / f"{batch}-{number}")
                      if what == "start"]  # fmt: skip
            story = lines(folder / "jobs" / f"{batch}-{number}")
            where = f"seed {seed}, batch {batch}, job {number}: {story}, told {told[number]}\n{tell(folder, storm)}"
            assert len(told[number]) == 1, f"{len(told[number])} outcomes; {where}"
            [word] = told[number]
            if once:
                assert len(starts) <= 1, f"it may run only once; {where}"
                assert word in (str(batch * 10_000 + number), "WorkerLost"), where
                assert word != "WorkerLost" or not starts or storm.hit, where
            else:
                assert word == str(batch * 10_000 + number), where
            for when, pid in starts[:-1]:
                assert any(hit >= when - 0.5 for hit in storm.hit[pid]), f"nobody touched process {pid}; {where}"
            assert len(starts) <= 12, where
            assert all(when <= first_told[number] for when, _ in starts), f"a start after the end; {where}"
            twice += len(starts) > 1
    return twice


def tell(folder, storm):
    strikes = "\n".join(f"{when:.3f} {what} {kind} {pid}" for when, what, kind, pid in storm.log[-30:])
    return f"strikes:\n{strikes}\nclient's log:\n{(folder / 'client.log').read_text()[-4000:]}"


@pytest.mark.needs("linux")
def test_storm_of_20_seconds(folder):
    storm = blow(folder, 20, batches=8, jobs=120, seed=SEED)
    assert len(storm.log) > 10


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.needs("linux")
@pytest.mark.parametrize("more", range(2))
def test_storm_of_60_seconds(folder, more):
    storm = blow(folder, 60, batches=40, jobs=150, seed=SEED + 1 + more)
    assert len(storm.log) > 40
