"""A host of simulated workers behind a link that drops, doubles, delays, reorders and breaks; one thread, its own time.

The link carries what the real one carries: numbered envelopes of `net.conversation` around messages of `wire.codec`.
Whatever a connection cannot bear (a message out of its place) breaks it, as the real ends do, and both dial again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from jupyter_dsage import settings
from jupyter_dsage.child import intake
from jupyter_dsage.child.engines.engine import heard
from jupyter_dsage.child.engines.local import run_jobs
from jupyter_dsage.core import events as e
from jupyter_dsage.errors import ProtocolError
from jupyter_dsage.net.conversation import Conversation
from jupyter_dsage.wire import codec, remote
from jupyter_dsage.wire import messages as m

DIAL_SECONDS = 0.5
to_host = codec.Decoder[m.Message](m.RunJobs | m.SpawnWorker | m.KillWorker | m.Recall | m.EndJob | m.Leave)
to_child = codec.Decoder[m.Message](m.WorkerHello | m.Report | m.WorkerGone | m.Recalled)


class Side:
    """One end of the link."""

    def __init__(self, link, take):
        self.link = link
        self.take = take
        self.talk = Conversation()
        self.other = None

    def post(self, worker, message, *frames):
        self.link.carry(self, self.talk.post(worker, codec.encode(message, *frames)))

    def arrive(self, life, frames):
        """Take what the network brings, if the connection on which it was sent still stands."""
        if life != self.link.life:
            return
        try:
            envelope, inline = remote.unseal(frames)
            self.talk.acknowledged(envelope.got)
            if envelope.number:
                self.talk.take(envelope, inline)
        except ProtocolError:
            self.link.broke()
            return
        ready = self.talk.ready()
        while ready:
            self.take(*ready.popleft())


class Link:
    """Both ends and what is between them. `faults`: the chances of one message to be dropped, doubled, delayed."""

    def __init__(self, storm, faults):
        self.storm, self.faults = storm, faults
        self.up = True
        self.life = 0
        self.cut_at = None
        self.sides = ()

    def carry(self, side, letter):
        if self.up:
            self.send(side, letter.sealed(side.talk.got))

    def send(self, side, frames):
        drop, double, delay = self.faults
        random = self.storm.random
        frames = [bytes(frame) for frame in frames]
        for _ in range(2 if random.random() < double else 1):
            if random.random() < drop:
                continue
            seconds = 0.0005 + (random.random() * 0.05 if random.random() < delay else 0.0)
            self.storm.after(seconds, side.other.arrive, self.life, frames)

    def beat(self):
        """Acknowledge, and notice what was dropped at the end: the real ends beat once a second."""
        if self.up:
            if any(side.talk.kept() for side in self.sides) and self.storm.random.random() < 0.5:
                self.broke()
            for side in self.sides:
                self.send(side, remote.seal(remote.Envelope(0, 0, side.talk.got), codec.encode(remote.Beat(0.0))))
        self.storm.after(1.0, self.beat)

    def broke(self):
        """Lose the connection; it is dialled again."""
        if self.up:
            self.up = False
            self.life += 1
            self.storm.after(DIAL_SECONDS, self.dial)

    def cut(self, seconds):
        self.broke()
        self.cut_at = self.storm.now + seconds

    def dial(self):
        if self.cut_at is not None and self.storm.now < self.cut_at:
            self.storm.after(DIAL_SECONDS, self.dial)
            return
        self.up, self.cut_at = True, None
        for side, other in (self.sides, self.sides[::-1]):
            side.talk.acknowledged(other.talk.got)
        for side in self.sides:
            for letter in side.talk.kept():
                self.carry(side, letter)


class LossyEngine:
    """See `child.engines.engine.Engine`."""

    host, note = "lossy", ""

    def __init__(self, storm, name, slots, faults):
        self.storm, self.name, self.slots = storm, name, slots
        self.news = deque()
        self.link = Link(storm, faults)
        self.side = Side(self.link, self.told)
        self.far = Host(storm, self.link)
        self.side.other, self.far.side.other = self.far.side, self.side
        self.link.sides = (self.side, self.far.side)
        self.workers = set()
        self.down_since = None
        self.away = False
        self.link.beat()

    def open(self):
        return [e.EngineOpened(self.name, self.slots)]

    def told(self, worker, frames):
        message, payload = to_child(frames)
        news = heard(worker, message, payload) or intake.from_host(message)
        if isinstance(message, m.WorkerGone):
            self.workers.discard(message.worker)
            if not message.known:  # whatever was on its way there may have run
                self.storm.touch_all(self.name)
        self.news.append(news)

    def read(self, _ready, now):
        self.down_since = None if self.link.up else self.down_since or now
        if self.away and self.link.up:
            self.away = False
            self.news.appendleft(e.EngineBack(self.name))
        if not self.away and self.down_since is not None and now - self.down_since >= settings.AWAY_SECONDS:
            self.away = True
            self.storm.touch_all(self.name)
            self.news.append(e.EngineAway(self.name))
        news = list(self.news)
        self.news.clear()
        return news

    def next_due(self):
        if self.news or (self.away and self.link.up) or (self.down_since is None and not self.link.up):
            return self.storm.now
        if self.down_since is not None and not self.away:
            return self.storm.now if self.link.up else self.down_since + settings.AWAY_SECONDS
        return None

    def start(self, worker):
        self.workers.add(worker)
        self.side.post(0, m.SpawnWorker(worker))

    def stop(self, worker):
        self.side.post(worker, m.Leave())

    def kill(self, worker):
        self.side.post(0, m.KillWorker(worker))

    def grant(self, lease, payloads):
        self.storm.leased(lease, self.name)
        segment = [payloads.segment(lease.segment)] if lease.with_segment else []
        self.side.post(lease.worker, run_jobs(lease), *segment)

    def recall(self, order):
        self.side.post(0, m.Recall(order.worker, order.lease, order.first, order.stop))

    def end_job(self, order):
        self.side.post(0, m.EndJob(order.worker, order.lease, order.first, order.stop))

    def forget(self, _segment):
        pass

    def pid(self, worker):
        return worker

    def vanish(self):
        """Be gone with the child that had it; its successor has a place of its own at the host."""
        self.link.life += 1
        self.link.up = False
        self.link.dial = self.link.beat = lambda: None
        self.far.vanish()


@dataclass
class Worker:
    number: int
    held: set = field(default_factory=set)
    leases: deque = field(default_factory=deque)
    job: int | None = None
    life: int = 0
    """Counts what interferes: a wake-up of an earlier one is void."""
    pending: list = field(default_factory=list)
    told: float = 0.0
    loaded: bool = False
    """Whether it has loaded the function."""
    refused: bool = False
    """Whether it has told what cannot be true: nothing that it tells counts any more."""


class Host:
    """The far end: a supervisor and its workers in simulated time."""

    def __init__(self, storm, link):
        self.storm = storm
        self.side = Side(link, self.ordered)
        self.workers = {}

    def ordered(self, number, frames):
        message, payload = to_host(frames)
        worker = self.workers.get(getattr(message, "worker", number))
        match message:
            case m.SpawnWorker():
                self.workers[message.worker] = Worker(message.worker)
                self.storm.after(0.1, self.join, message.worker)
            case m.Leave() if worker:
                self.gone(worker, "exit code 0")
            case m.KillWorker() if worker:
                self.gone(worker, "signal 9")
            case m.RunJobs() if worker:
                worker.held |= {message.segment} if payload else set()
                assert message.segment in worker.held, "a lease came without its segment"
                worker.leases.append([message, message.first, message.stop])
                self.go_on(worker)
            case m.Recall() if worker:
                self.recall(worker, message)
            case m.EndJob() if worker:
                self.end(worker, message)

    def join(self, number):
        if number in self.workers:
            self.side.post(number, m.WorkerHello(settings.PROTOCOL, number, number))

    def go_on(self, worker):
        if worker.job is not None or not worker.leases:
            return
        run, at, stop = worker.leases[0]
        if at >= stop:
            self.report(worker, ended=True)
            return
        worker.job = at
        if not worker.loaded and self.storm.happens("loading"):
            self.gone(worker, "signal 11", loading="function")
            return
        worker.loaded = True
        worker.life += 1
        self.storm.started(run, at, worker.number)
        self.storm.after(self.storm.duration(), self.done, worker, worker.life)

    def done(self, worker, life, *, interrupted=False):
        if self.workers.get(worker.number) is not worker or life != worker.life:
            return
        run, at, _ = worker.leases[0]
        if not interrupted and self.storm.kills(run, at):
            self.gone(worker, "signal 11")
            return
        failed = interrupted or self.storm.fails(run, at)
        if not interrupted:
            self.storm.ended(run, at, worker.number)
        worker.pending.append((at, failed))
        worker.leases[0][1], worker.job = at + 1, None
        if at + 1 >= worker.leases[0][2]:
            self.report(worker, ended=True)
        elif run.once or self.storm.now - worker.told > settings.FLUSH_SECONDS:
            self.report(worker, ended=False)
        self.go_on(worker)

    def report(self, worker, *, ended):
        run, at, _ = worker.leases[0]
        pending, worker.pending, worker.told = worker.pending, [], self.storm.now
        first = pending[0][0] if pending else at
        failed = tuple(job for job, bad in pending if bad)
        payload = [f"{run.function}:{first}-{at}".encode()] if pending else []
        seconds = 0.005 * len(pending)
        if pending and self.storm.happens("refused"):
            worker.refused = True
            self.storm.charge(run, pending[0][0])
            first, at = run.stop, run.stop + 1  # a job that is not in its lease
        if worker.refused:
            self.storm.touch(run, [job for job, _ in pending])
        self.side.post(worker.number, m.Report(run.lease, first, at, failed, (), seconds, ended), *payload)
        if ended:
            worker.leases.popleft()
            self.go_on(worker)

    def recall(self, worker, order):
        for lease in worker.leases:
            run, at, stop = lease
            if run.lease == order.lease:
                begun = at + 1 if lease is worker.leases[0] and worker.job is not None else at
                lease[2] = max(begun, min(stop, order.first))
                self.side.post(0, m.Recalled(worker.number, order.lease, lease[2]))
        self.go_on(worker)

    def end(self, worker, order):
        lease = worker.leases[0][0].lease if worker.leases else None
        if lease == order.lease and worker.job is not None and order.first <= worker.job < order.stop:
            self.storm.interrupted(worker.leases[0][0], worker.job)
            worker.life += 1
            self.storm.after(0.001, lambda life: self.done(worker, life, interrupted=True), worker.life)

    def kill(self, number):
        """Have a worker die, as by the hand of another."""
        if number in self.workers:
            self.gone(self.workers[number], "signal 9")

    def end_supervisor(self):
        """Have the supervisor end: all workers with it, and any of their jobs may be to blame."""
        for worker in list(self.workers.values()):
            self.gone(worker, "the end of its supervisor", known=False)

    def gone(self, worker, ending, *, loading="", known=True):
        del self.workers[worker.number]
        lease = worker.leases[0][0] if worker.leases else None
        if lease is not None:
            self.storm.touch(lease, range(lease.first, lease.stop))
        for run, at, stop in list(worker.leases)[1:]:
            self.storm.touch(run, range(at, stop))
        story = m.Story(worker.number, "lossy", worker.number, ending, 0.0, 0, "", loading=loading)
        on_page = (None, None)
        if lease is not None and worker.job is not None:
            on_page = lease.lease, worker.job
            self.storm.charge(lease, worker.job)
        self.side.post(0, m.WorkerGone(worker.number, *on_page, story, known=known))

    def vanish(self):
        self.workers.clear()
