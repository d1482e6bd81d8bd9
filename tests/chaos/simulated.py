"""A session in simulated time in which everything fails that can: links, workers, the child itself; and its history.

What is real: the child's loop with its recorder, journal, revival and telling; the scheduler; the codec and the
conversations of a link; the client's outbox and ledger. What is simulated: time, the network, the workers. One seed is
one history, the same every time.
"""

from __future__ import annotations

import heapq
import random
import shutil
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

from jupyter_dsage import settings
from jupyter_dsage.child.loop import Child
from jupyter_dsage.client.ledger import CANCELLED, Ledger
from jupyter_dsage.client.outbox import Outbox, encoded
from jupyter_dsage.client.record import Ended
from jupyter_dsage.core.ranges import Ranges
from jupyter_dsage.errors import WorkerLost
from jupyter_dsage.testing import FakeNet
from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire.setup import ChildSetup, EngineSetup
from tests.chaos.lossy import LossyEngine

FUNCTION = "f"
MEMORY = "/dev/shm"  # noqa: S108  (a journal each run; in memory it costs half)
LONGEST = 600.0
"""Simulated seconds in which everything must have ended."""


class Told:
    """How a run of jobs ended, as the client's ledger wants it."""

    state = "told"

    def __init__(self, row):
        self.row = row

    def ending(self, _job):
        return None, None


class Storm:
    """One run. `calm`: no faults at all."""

    def __init__(self, seed, *, calm=False):
        self.random = random.Random(seed)
        self.seed, self.now = seed, 0.0
        self._heap, self._count = [], 0
        self.folder = tempfile.mkdtemp(prefix="storm-", dir=MEMORY if Path(MEMORY).is_dir() else None)
        self.batches = {}
        self.story = defaultdict(list)
        """(batch, job) -> what happened to it, in order."""
        self.touched = set()
        """Jobs that a fault may have touched: they may start more than once."""
        self.charges = Counter()
        """(batch, job) -> how many workers it may have cost: with the third it is lost, whoever ended them."""
        self.leases = {}
        chance = self.random.choice
        self.faults = (
            (0.0, 0.0, 0.0) if calm else (chance([0, 0.02, 0.1]), chance([0, 0.02, 0.1]), chance([0, 0.1, 0.5]))
        )
        self.poison = set()
        self.coming_faults = dict.fromkeys(("loading", "refused"), 0)
        """How often a worker is still to die while it loads the function, and to tell what cannot be true."""
        self.seen = set()
        """The faults of these kinds that came."""
        self.calm = calm
        self.client = None
        self.child = None
        self.lives = 0

    # --- time ----------------------------------------------------------------------------------------------

    def after(self, seconds, act, *arguments):
        self._count += 1
        heapq.heappush(self._heap, (self.now + seconds, self._count, act, arguments))

    def clock(self):
        return self.now

    def run(self):
        """Run until every job has ended and nothing is on its way to anybody that counts."""
        while not self.client.done():
            assert self.now < LONGEST, f"seed {self.seed}: {self.client.open()} have not ended\n{self.tell()}"
            due = self.child_due()
            if self._heap and (due is None or self._heap[0][0] <= due):
                self.now, _, act, arguments = heapq.heappop(self._heap)
                act(*arguments)
            else:
                self.now = max(self.now, due)
            self.turn()

    def turn(self):
        """Let client and child do what they have to."""
        self.client.step()
        moved = True
        while moved and self.child is not None:
            self.child._poller.wake()  # time is ours: it is not to wait
            self.child.step()
            moved = self.client.step()

    def child_due(self):
        return None if self.child is None else self.now + max(0.0, self.child._timeout())

    # --- the child -----------------------------------------------------------------------------------------

    def start_child(self):
        self.lives += 1
        self.net = FakeNet()
        engines = (EngineSetup("near", 2), EngineSetup("far", 2))
        setup = ChildSetup("storm", self.folder, 1, 0.0, engines, "", (), self.folder, stay=True, idle=1e9)
        self.life = open("/dev/null", "rb")  # noqa: PTH123, SIM115
        self.engines = {}
        self.child = Child(setup, self.net, self.life, self.make_engine, self.clock)
        self.child._clients.check = lambda _now: []
        self.child._clients.next_due = lambda: self.now + 1e6
        self.child.open()
        self.client.connect(self.net)

    def make_engine(self, setup, _host, _network, _poller):
        faults = (0.0, 0.0, 0.0) if setup.name == "near" else self.faults
        self.engines[setup.name] = LossyEngine(self, setup.name, setup.slots, faults)
        return self.engines[setup.name]

    def kill_child(self):
        """Kill the child: what it had in memory is gone, and so are its engines' workers."""
        child, self.child = self.child, None
        for name, engine in self.engines.items():
            self.touch_all(name)
            engine.vanish()
        child._journal.close()
        child._listener.close()
        child._poller.close()
        self.life.close()
        self.leases.clear()
        self.client.cut()
        self.after(0.3, self.start_child)

    def close(self):
        if self.child is not None:
            self.child._recorder.close()
            self.child._listener.close()
            self.child._poller.close()
            self.life.close()
        shutil.rmtree(self.folder)

    # --- what workers and engines ask and tell -------------------------------------------------------------

    def duration(self):
        return self.random.choice([0.001, 0.005, 0.02, 0.2])

    def kills(self, run, job):
        return (self.batch_of(run), job) in self.poison

    def happens(self, fault):
        """Tell whether a fault of this kind comes now."""
        now = self.coming_faults[fault] > 0 and self.random.random() < 0.3
        self.coming_faults[fault] -= now
        self.seen |= {fault} if now else set()
        return now

    def fails(self, run, job):
        return job % 7 == 3 and self.batch_of(run) == 2

    def batch_of(self, run):
        return self.leases[run.lease][0] if run.lease in self.leases else 0

    def leased(self, lease, engine):
        self.leases[lease.lease] = (lease.batch, engine, lease.first, lease.stop)

    def touch(self, run, jobs):
        batch = self.batch_of(run)
        self.touched.update((batch, job) for job in jobs)

    def charge(self, run, job):
        self.charges[self.batch_of(run), job] += 1

    def touch_all(self, engine):
        for batch, name, first, stop in self.leases.values():
            if name == engine:
                self.touched.update((batch, job) for job in range(first, stop))

    def note(self, batch, job, what):
        self.story[batch, job].append((round(self.now, 4), what))

    def started(self, run, job, worker):
        batch = self.batch_of(run)
        if batch:
            self.note(batch, job, f"start {worker}")

    def ended(self, run, job, worker):
        batch = self.batch_of(run)
        if batch:
            self.note(batch, job, f"end {worker}")

    def interrupted(self, run, job):
        batch = self.batch_of(run)
        if batch:
            self.note(batch, job, "interrupted")

    def tell(self):
        """Return the stories of the jobs that have not ended."""
        return "\n".join(f"{key}: {self.story[key]}" for key in self.client.open()[:5])

    # --- the checks ----------------------------------------------------------------------------------------

    def check(self):
        """Check the whole history; raises AssertionError with the seed and the job's story."""
        for number, batch in self.client.batches.items():
            for job in range(batch.total):
                self.check_job(number, batch, job)
        self.child._scheduler.check()

    def check_job(self, number, batch, job):
        story = self.story[number, job]
        where = f"seed {self.seed}, batch {number}, job {job}: {story}"
        starts = sum(what.startswith("start") for _, what in story)
        outcomes = [what for _, what in story if what.startswith("outcome")]
        rounds = 1 + sum(what == "retry" for _, what in story)
        assert len(outcomes) == rounds, f"{len(outcomes)} outcomes in {rounds} rounds; {where}"
        touched = (number, job) in self.touched or (number, job) in self.poison
        if batch.once:
            assert starts <= 1, f"it may run only once; {where}"
        elif not touched:
            assert starts <= rounds, f"{starts} starts, and no fault touched it; {where}"
        assert starts <= 40, f"{starts} starts; {where}"
        word = outcomes[-1].split()[1]
        cancelled = any(what == "cancel" for _, what in story)
        if (number, job) in self.poison:
            assert word in ("lost", "cancelled"), where
        elif word == "lost":
            assert batch.once or self.charges[number, job] >= settings.LOSS_ATTEMPTS, where
            assert touched, where
        elif word == "cancelled":
            assert cancelled, where
        else:
            assert word == ("failed" if number == 2 and job % 7 == 3 else "finished"), where


class Batch:
    """A batch as the client has it."""

    def __init__(self, number, *, once):
        self.number, self.once, self.total = number, once, 0
        self.ledger = Ledger(f"b{number}", self)


class Client:
    """The client's side: the real outbox and ledger around a link that breaks with the child."""

    def __init__(self, storm):
        self.storm = storm
        self.outbox = Outbox()
        self.batches = {}
        self.link = None
        self.ready = False
        self.number = 0
        self.coming = 0
        """Calls of `add` that are still to come."""

    def post(self, message, *frames):
        self.outbox.put(encoded(message, *frames))

    def connect(self, net):
        self.link = net.connect(f"ipc://{self.storm.folder}/client.sock")
        self.ready = False
        package = self.storm.child._clients._package
        python = self.storm.child._clients._python
        self.link.send(codec.encode(m.Hello(settings.PROTOCOL, package, python, 1, 0.0, self.number)))

    def cut(self):
        self.link.close()
        self.link = None

    def step(self):
        """Take what has come and send what is posted; tell whether there was anything."""
        moved = False
        while self.link is not None and (frames := self.link.receive()) is not None:
            moved = True
            self.take(*codec.to_client(frames))
        if self.link is not None and self.ready:
            for frames in self.outbox.due(closing=False):
                moved = True
                self.link.send(frames)
        return moved

    def take(self, message, frames):
        match message:
            case m.Welcome():
                self.number = message.client
                self.outbox.stored(message.got)
                for kept in self.outbox.again():
                    self.link.send(kept)
                self.link.send(codec.encode(m.Sync()))
                self.ready = True
            case m.Stored():
                self.outbox.stored(message.count)
            case m.Refused():
                raise AssertionError(f"seed {self.storm.seed}: {message.reason}")
            case m.Outcomes():
                if frames:
                    assert bytes(frames[0]) == f"{FUNCTION}:{message.first}-{message.stop}".encode()
                self.end(message.batch, message.runs, Told(message.row), message.failed)
            case m.Lost():
                state = "failed" if message.failed else "lost"
                self.end(message.batch, message.runs, Ended(lambda _: WorkerLost(""), state, message.row))
            case m.Cancelled():
                self.end(message.batch, message.runs, CANCELLED)

    def end(self, number, runs, holder, failed=()):
        bad = Ranges.of(failed)
        for first, stop in self.batches[number].ledger.end(runs, holder, failed):
            for job in range(first, stop):
                word = holder.state if holder.state != "told" else "failed" if job in bad else "finished"
                self.storm.note(number, job, f"outcome {word}")

    def done(self):
        return not self.coming and all(len(batch.ledger.record.ended) == batch.total for batch in self.batches.values())

    def open(self):
        return [
            (number, job)
            for number, batch in self.batches.items()
            for job in range(batch.total)
            if job not in batch.ledger.record.ended
        ]

    # --- what a user does ----------------------------------------------------------------------------------

    def open_batch(self, number, *, once, retries=0):
        self.batches[number] = Batch(number, once=once)
        self.post(m.OpenBatch(number, f"b{number}", retries, None, once=once))

    def add(self, number, count):
        batch = self.batches[number]
        first = batch.total
        batch.total += count
        batch.ledger.grow(batch.total)
        self.post(m.AddJobs(number, FUNCTION, count, first=first), b"segment")

    def add_later(self, number, count):
        self.coming -= 1
        self.add(number, count)

    def cancel(self, number, job):
        run = (job, job + 1)
        if self.batches[number].ledger.end([run], CANCELLED):
            self.storm.note(number, job, "cancel")
            self.storm.note(number, job, "outcome cancelled")
            self.post(m.Cancel(number, (run,)))

    def retry(self, number):
        runs = self.batches[number].ledger.reopen()
        for first, stop in runs:
            for job in range(first, stop):
                self.storm.note(number, job, "retry")
        if runs:
            self.post(m.Retry(number, tuple(runs)))


def storm(seed, *, calm=False):
    """Run one history and check it; return it for a look."""
    made = Storm(seed, calm=calm)
    try:
        made.client = Client(made)
        made.start_child()
        made.client.post(m.Function(FUNCTION), b"function")
        chance = made.random
        once = chance.random() < 0.3
        made.client.open_batch(1, once=once)
        made.client.open_batch(2, once=False)
        sizes = [chance.randrange(1, 25) for _ in range(3)]
        made.client.add(1, sizes[0])
        made.client.add(2, sizes[1])
        made.client.coming = 1
        made.after(chance.random(), made.client.add_later, 1, sizes[2])
        if not calm:
            plan(made, sizes)
        made.after(chance.random() * 2, lambda: None)
        made.run()
        while made._heap and made._heap[0][0] < made.now + 0.05:
            made.now, _, act, arguments = heapq.heappop(made._heap)
            act(*arguments)
            made.turn()
        made.run()
        if chance.random() < 0.3:
            made.client.retry(2)
            made.run()
        if made.child is None:
            made.now += 1.0
            while made.child is None:
                made.now, _, act, arguments = heapq.heappop(made._heap)
                act(*arguments)
        made.turn()
        made.check()
    finally:
        made.close()
    return made


def plan(made, sizes):
    """Decide what goes wrong, and when."""
    chance = made.random
    if chance.random() < 0.3:
        made.poison.add((1, chance.randrange(sizes[0])))
    for _ in range(chance.randrange(3)):
        made.after(chance.random() * 1.5, lambda: made.child is not None and made.kill_child())
    for _ in range(chance.randrange(3)):
        seconds = chance.choice([0.1, 1.0, 12.0])
        made.after(chance.random(), lambda s=seconds: made.engines and made.engines["far"].link.cut(s))
    for _ in range(chance.randrange(4)):
        made.after(chance.random(), kill_some_worker, made)
    for _ in range(chance.randrange(2)):
        made.after(chance.random(), end_some_supervisor, made)
    made.coming_faults = {"loading": chance.randrange(3), "refused": chance.randrange(2)}
    for _ in range(chance.randrange(3)):
        made.after(chance.random(), made.client.cancel, 1, chance.randrange(sizes[0]))


def end_some_supervisor(made):
    hosts = [engine.far for engine in made.engines.values() if engine.far.workers]
    if hosts and made.child is not None:
        made.seen.add("supervisor")
        made.random.choice(hosts).end_supervisor()


def kill_some_worker(made):
    hosts = [engine.far for engine in made.engines.values() if engine.far.workers]
    if hosts and made.child is not None:
        host = made.random.choice(hosts)
        host.kill(made.random.choice(list(host.workers)))
