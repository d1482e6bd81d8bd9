"""P15: an exception that a signal raises at any point of the user's thread tears nothing.

Each public call is interrupted at each of its lines, one at a time (at any fifth step of the interpreter in
`make test-all`); then every result is that of its own arguments, and
nothing hangs.
"""

from __future__ import annotations

import asyncio
import concurrent.futures as cf
import itertools
import random
import signal
import sys
import threading
from concurrent.futures import CancelledError

import pytest

import jupyter_dsage as dsage
from jupyter_dsage.client.living import living
from jupyter_dsage.testing.fake_session import FakeSession
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire import payload
from tests.interrupts import Interrupter
from tests.process import jobs
from tests.until import until

COUNT = 12
SECONDS = 20
"""Within this everything ends."""


class Tried:
    """A session, and what was asked of it: for each name of a batch, the numbers whose squares it is to return."""

    def __init__(self, session):
        self.session = session
        self.numbers = itertools.count(1000)
        self.asked = {}

    def named(self, count=COUNT):
        """Return the name and the numbers of a new batch."""
        numbers = [next(self.numbers) for _ in range(count)]
        self.asked[name := f"b{numbers[0]}"] = numbers
        return name, numbers

    def batch(self, count=COUNT):
        """Return a new batch that nobody interrupts."""
        name, numbers = self.named(count)
        return self.session.map(jobs.square, numbers, name=name)

    def failed(self):
        """Return an ended batch with a failed job, and forget it: what a retry gives is no square."""
        batch = self.session.map(lambda x: 1 / x, [0, 1])
        batch.wait(SECONDS)
        return batch

    def check(self):
        """Submit and scatter once more: each value is the square of its own argument."""
        numbers = [next(self.numbers) for _ in range(3)]
        made = [self.session.submit(jobs.square, number) for number in numbers]
        assert [job.result(SECONDS) for job in made] == [number**2 for number in numbers]
        made = self.session.submit(sum, [numbers[0], 1])
        assert made.result(SECONDS) == numbers[0] + 1
        assert self.session.map(jobs.square, numbers).results(timeout=SECONDS) == [number**2 for number in numbers]

    def check_all(self):
        """Look at all batches that were asked for: what there is of them is right, and has ended."""
        for name, numbers in self.asked.items():
            if name not in self.session.batches:
                continue  # it was interrupted before it was begun
            for number, value in zip(numbers, self.session.batches[name].results("return", SECONDS), strict=False):
                assert value == number**2 or isinstance(value, CancelledError), (name, number, value)
        submitted = self.session.batches["submit"]
        assert submitted.wait(SECONDS)
        assert {"waiting": 0, "failed": 0, "lost": 0}.items() <= submitted.counts.items()


def scatter(tried):
    name, numbers = tried.named()
    return lambda: tried.session.scatter(jobs.square, [((number,), {}) for number in numbers], name=name)


def map_(tried):
    name, numbers = tried.named()
    return lambda: tried.session.map(jobs.square, numbers, name=name)


def map_a_generator(tried):
    name, numbers = tried.named()
    return lambda: tried.session.map(lambda x: x * x, (number for number in numbers), name=name)


def add(tried):
    name, numbers = tried.named(2 * COUNT)
    batch = tried.session.map(jobs.square, numbers[:COUNT], name=name)
    return lambda: batch.add(numbers[COUNT:])


def cancel(tried):
    batch = tried.batch()
    return batch.cancel


def cancel_a_job(tried):
    batch = tried.batch()
    return batch[5].cancel


def retry(tried):
    batch = tried.failed()
    return batch.retry


def results(tried):
    batch = tried.batch()
    return lambda: batch.results(timeout=SECONDS)


def wait(tried):
    batch = tried.batch()
    return lambda: batch.wait(SECONDS)


def as_completed(tried):
    batch = tried.batch()
    return lambda: [job.result(SECONDS) for job in batch.as_completed(SECONDS)]


def futures_wait(tried):
    batch = tried.batch(3)
    return lambda: cf.wait(batch, SECONDS)


def futures_as_completed(tried):
    batch = tried.batch(3)
    return lambda: [job.result() for job in cf.as_completed(batch, SECONDS)]


def callback(tried):
    batch = tried.batch()
    return lambda: batch[3].add_done_callback(lambda _: None)


def awaited(tried):
    batch = tried.batch()

    async def main():
        return await batch

    return lambda: asyncio.run(main())


def job_result(tried):
    batch = tried.batch()
    return lambda: (batch[7].result(SECONDS), batch[8].exception(SECONDS), batch[9].done(), batch[-1].output)


def watch(tried):
    batch = tried.batch()
    return lambda: (batch.watch(lambda _: None)(),)


def looks(tried):
    batch = tried.batch()
    return lambda: (batch.counts, batch.failed, repr(batch), batch.ready(), batch.snapshot(), batch.describe(2))


def executor(tried):
    made = tried.session.executor()
    return lambda: (made.submit(jobs.square, 3), list(made.map(jobs.square, [1, 2])), made.shutdown())


def limit(tried):
    batch = tried.batch()
    return lambda: setattr(batch, "limit", 2)


CALLS = {
    "submit": lambda tried: lambda: tried.session.submit(jobs.square, next(tried.numbers)),
    "submit a list": lambda tried: lambda: tried.session.submit(sum, [1, 2]),
    "submit a lambda": lambda tried: lambda: tried.session.submit(lambda x: x * x, 4),
    "submit and wait": lambda tried: lambda: tried.session.submit(jobs.square, 5).result(SECONDS),
    "scatter": scatter,
    "map": map_,
    "map a generator": map_a_generator,
    "add": add,
    "cancel": cancel,
    "cancel a job": cancel_a_job,
    "retry": retry,
    "results": results,
    "wait": wait,
    "as_completed": as_completed,
    "futures.wait": futures_wait,
    "futures.as_completed": futures_as_completed,
    "a callback": callback,
    "await": awaited,
    "a job's result": job_result,
    "watch": watch,
    "looks": looks,
    "an executor": executor,
    "settle": lambda tried: lambda: tried.session.settle(SECONDS),
    "attach": lambda tried: lambda: dsage.attach(tried.session.id),
    "sessions": lambda _: dsage.sessions,
    "len of submitted": lambda tried: lambda: len(tried.session.batches["submit"]),
    "limit": limit,
    "engines": lambda tried: lambda: (tried.session.scale("local:", 2), tried.session.wait_for_workers(SECONDS)),
}


OFTEN = ("submit", "submit a list", "map", "add", "cancel", "retry", "results", "a callback")
"""Those that `make test` interrupts; `make test-all` does all."""
EACH = [
    pytest.param(name, False, marks=() if name in OFTEN else pytest.mark.slow, id=f"{name}-lines") for name in CALLS
]
EACH += [pytest.param(name, True, marks=pytest.mark.slow, id=f"{name}-steps") for name in CALLS]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a file is closed as it is collected
@pytest.mark.parametrize(("name", "steps"), EACH)
def test_an_interrupt_at_any_place_of_a_call_tears_nothing(shared, name, steps):
    interrupter = Interrupter(steps=steps)
    shared.check()
    while interrupter.raises(CALLS[name](shared)):
        shared.check()
    assert interrupter.count > 3, "hardly anything was interrupted"
    shared.check_all()


@pytest.fixture(scope="module")
def one_session():
    with dsage.spawn("local:?slots=2") as session:
        assert session.wait_for_workers(SECONDS)  # else the first test is blamed for what is still starting
        yield session


@pytest.fixture
def shared(one_session):
    """Return the one session, with no batches of other tests to look at."""
    return Tried(one_session)


def test_the_first_submit_of_a_session_is_made_or_not_at_any_line():
    interrupter = Interrupter()
    reached = True
    while reached:
        with FakeSession({"here": 2}) as session:
            reached = interrupter.raises(lambda session=session: session.submit(jobs.square, 3))
            assert session.submit(jobs.square, 4).result(SECONDS) == 16
    assert interrupter.count > 30


def made_beside(others):
    return [session for session in living() if session not in others]


@pytest.mark.slow
def test_an_interrupted_spawn_leaves_no_session_behind():
    """`nothing_left` looks for what a test leaves: processes, folders, threads."""
    interrupter, others = Interrupter(), list(living())  # the one that other tests share
    ids = {session.id for session in others}
    while interrupter.raises(lambda: dsage.spawn("local:?slots=1")):
        for session in made_beside(others):
            session.die()
        until(lambda: {info.id for info in dsage.sessions()} <= ids)
    [session] = made_beside(others)
    session.die()
    assert interrupter.count > 50


@pytest.mark.slow
def test_an_interrupted_attach_leaves_the_session_to_be_attached_again():
    with dsage.spawn("local:?slots=1", on_kernel_exit="stay") as session:
        session.map(jobs.square, range(3), name="three").results(timeout=SECONDS)
        session.detach()
    name, interrupter, reached, others = session.id, Interrupter(), True, list(living())
    while reached:
        reached = interrupter.raises(lambda: dsage.attach(name))
        for made in made_beside(others):
            made.detach()
        again = dsage.attach(name)
        assert again.batches["three"].results(timeout=SECONDS) == [0, 1, 4]
        again.detach()
    dsage.attach(name).die()
    assert interrupter.count > 50


@pytest.mark.slow
def test_an_interrupted_refresh_tears_nothing(session):
    tried, interrupter = Tried(session), Interrupter()
    while interrupter.raises(lambda: session.refresh(SECONDS)):
        tried.check()
    assert interrupter.count > 3


@pytest.mark.parametrize("how", ["die", "detach"])
def test_a_session_whose_end_was_interrupted_ends_when_asked_again(how):
    interrupter = Interrupter()
    reached = True
    while reached:
        session = FakeSession({"here": 1})
        session.map(jobs.square, [1, 2])
        reached = interrupter.raises(getattr(session, how))
        session.die()
        with pytest.raises(dsage.SessionLost):
            session.map(jobs.square, [1])
    assert interrupter.count > 10


def test_a_signals_handler_may_submit_while_the_main_thread_does(session):
    made, numbers, handled = [], itertools.count(), itertools.count()

    def submit():
        number = next(numbers)
        made.append((session.submit(jobs.square, number), number))

    def handler(*_):
        next(handled)
        submit()

    with Alarms(1, handler):
        while next(handled) < 200:
            for _ in range(20):
                submit()
            made[-1][0].result(SECONDS)
        name = session.map(jobs.square, range(100)).name
    assert all(job.result(SECONDS) == number**2 for job, number in made)
    assert session.batches[name].results(timeout=SECONDS) == [number**2 for number in range(100)]


def test_a_gap_in_the_numbers_is_refused_and_ends_the_batch_in_a_sentence(caplog):
    """Nothing of ours makes one; were there a defect, no job may run under another one's number."""
    with FakeSession({"here": 1}) as session:
        batch = session.map(jobs.square, [1, 2])
        assert batch.results(timeout=SECONDS) == [1, 4]
        for message in (m.AddJobs(batch.number, batch.function, 1, first=7), m.SkipJobs(batch.number, 3, 1)):
            batch.session.call(lambda: batch.ledger.grow(len(batch) + 1))
            frames = (payload.dump_items([5], 7, strict=True),) if isinstance(message, m.AddJobs) else ()
            session.post(message, *frames)
            with pytest.raises(
                dsage.SessionLost, match=r"refused jobs: Jobs \d to \d of batch \d+ came where job 2 is"
            ):
                batch[-1].result(SECONDS)
        assert session.map(jobs.square, [3]).results(timeout=SECONDS) == [9]
    assert "refused" in caplog.text


class Alarms:
    """While it is used as a context, a thread sends the main thread a signal every 2 ms or so, by chance.

    Not the one of timers, which pytest's own timeout has. The handler raises KeyboardInterrupt, once after each time
    that `on` is set; or `handler` is called instead.
    """

    def __init__(self, seed, handler=None):
        self._dice = random.Random(seed)
        self._handler = handler or self._ring
        self._main = threading.get_ident()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self.on = False
        self.count = 0

    def _send(self):
        while not self._over.wait(self._dice.uniform(0, 0.004)):
            signal.pthread_kill(self._main, signal.SIGUSR1)

    def _ring(self, _number, _frame):
        if self.on:
            self.on = False
            self.count += 1
            raise KeyboardInterrupt

    def __enter__(self):
        self._before = signal.signal(signal.SIGUSR1, self._handler)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.on = False
        self._over.set()
        self._thread.join()
        signal.signal(signal.SIGUSR1, self._before)


def some_calls(tried, made):
    """Submit some calls, and scatter now and then (thousands of batches make a child slow)."""
    for _ in range(20):
        number = next(tried.numbers)
        made.append((tried.session.submit(jobs.square, number), number))
    made[-1][0].result(SECONDS)
    if len(tried.asked) < len(made) // 200:
        name, numbers = tried.named()
        batch = tried.session.map(jobs.square, numbers, name=name)
        batch[0].result(SECONDS)
        batch.cancel()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # one that falls into a finalizer
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3, 4))])
def test_two_thousand_interrupts_at_random_moments_tear_nothing(shared, seed, monkeypatch):
    shared.check()
    made = []
    monkeypatch.setattr(
        sys, "unraisablehook", lambda _: None
    )  # pytest's fails where an interrupt falls into a finalizer
    with Alarms(seed) as alarms:
        while alarms.count < 2000:
            try:
                alarms.on = True
                some_calls(shared, made)
                alarms.on = False
            except KeyboardInterrupt:
                continue
    for job, number in made:
        assert job.result(SECONDS) == number**2
    shared.check()
    shared.check_all()
