"""Jobs that fork: the copy ends with the job's own code, and neither it nor its worker is anybody else's trouble."""

from __future__ import annotations

import concurrent.futures
import ctypes
import multiprocessing
import os
import sys
import time

import pytest

from tests.process import jobs


class ForksWherePickled:
    def __reduce__(self):
        os.fork()
        return int, ("7",)


class ForksWhereRead:
    def __reduce__(self):
        return os.fork, ()


class ForksInItsText(Exception):  # noqa: N818
    def __str__(self):
        if os.getpid() != self.args[0]:  # not in the client, where it is shown
            os.fork()
        return "forks"


def child_and_parent(leave):
    """Fork; the copy leaves in some way, and the parent returns its exit code."""
    pid = os.fork()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if pid else leave()


def outlives():
    if os.fork() == 0:
        time.sleep(0.3)
    return 1


def by_c_code():
    ctypes.CDLL(None).fork()
    time.sleep(0.01)
    return 2


def by_multiprocessing():
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(abs, [-1, -2])


def by_a_pool():
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        return list(pool.map(abs, [-1, -2]))


class Pair:
    def __init__(self, x):
        self.x = x


def pair(x):
    return Pair(x)


Pair.__module__ = pair.__module__ = "__main__"  # as if typed in a notebook: a worker's has none of them


def of_the_notebook(way):
    with multiprocessing.get_context(way).Pool(2) as pool:
        return [each.x for each in pool.map(pair, [1, 2]) if type(each) is Pair]


WAYS = {
    "returns": (lambda: child_and_parent(lambda: None), 0),
    "returns a list": (lambda: child_and_parent(lambda: [1, 2, 3]), 0),
    "sys.exit": (lambda: child_and_parent(lambda: sys.exit(3)), 3),
    "sys.exit with words": (lambda: child_and_parent(lambda: sys.exit("enough")), 1),
    "raises": (lambda: child_and_parent(lambda: 1 / 0), 1),
    "os._exit": (lambda: child_and_parent(lambda: os._exit(5)), 5),
    "interrupted": (lambda: child_and_parent(lambda: (_ for _ in ()).throw(KeyboardInterrupt)), 1),
    "outlives its job": (outlives, 1),
    "by C code": (by_c_code, 2),
    "its value": (ForksWherePickled, 7),
    "multiprocessing": (by_multiprocessing, [1, 2]),
    "a pool of processes": (by_a_pool, [1, 2]),
    "with functions of the notebook": (lambda: of_the_notebook("fork"), [1, 2]),
}


def forks(way):
    return WAYS[way][0]()


def fails(client):
    raise ForksInItsText(client)


def forks_late(n):
    if n == 3000:
        os.fork()
    return n


def test_no_copy_runs_on_as_a_worker(session):
    batches = {way: session.map(forks, [way] * 5) for way in WAYS}
    neighbour = session.map(jobs.square, range(200))
    for way, batch in batches.items():
        assert batch.results(timeout=20) == [WAYS[way][1]] * 5, way
    (error,) = session.map(fails, [os.getpid()]).results(errors="return", timeout=20)
    assert "forks" in str(error)
    assert session.map(of_the_notebook, ["spawn"]).results(timeout=20) == [[1, 2]]
    assert neighbour.results(timeout=20) == [n * n for n in range(200)]
    read = session.scatter(lambda pid: pid >= 0, [((ForksWhereRead(),), {}) for _ in range(5)])
    assert read.results(timeout=20) == [True] * 5
    assert session.map(jobs.square, range(200)).results(timeout=20) == [n * n for n in range(200)]


def test_a_copy_made_in_a_stride_of_very_short_jobs_ends(session):
    assert session.map(forks_late, range(6000)).results(timeout=20) == list(range(6000))
    assert session.map(jobs.square, range(200)).results(timeout=20) == [n * n for n in range(200)]


def test_what_was_printed_before_a_fork_is_printed_once(session):
    def prints_and_forks(_):
        print("before")
        pid = os.fork()
        if pid == 0:
            print("in the copy")
            return
        os.waitpid(pid, 0)
        print("after")

    batch = session.map(prints_and_forks, [1])
    batch.wait(20)
    assert sorted(batch[0].output.split("\n")) == ["", "after", "before", "in the copy"]


@pytest.mark.slow
def test_thousands_of_forks_leave_the_workers_whole(session):
    batch = session.map(forks, ["returns"] * 1000)
    assert batch.results(timeout=120) == [0] * 1000
