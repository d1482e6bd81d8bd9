"""What a worker tells: an outcome that cannot be sent is its job's, and what cannot be true costs the worker (P18)."""

from __future__ import annotations

import os
import resource
import socket
import struct

import numpy as np
import pytest

import jupyter_dsage as dsage
from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m
from tests.process import jobs

MB = 1_000_000


def address_space():
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[0]) * resource.getpagesize()


def return_large(kind, size):
    """Return a value for which there is memory, but not for a copy of it."""
    value = bytes(size) if kind == "bytes" else np.ones(size, np.uint8) if kind == "array" else [bytes(size)]
    resource.setrlimit(resource.RLIMIT_AS, (address_space() + size // 3, resource.getrlimit(resource.RLIMIT_AS)[1]))
    return value


def sockets_to_the_child():
    for number in range(3, 256):
        try:
            with socket.socket(fileno=os.dup(number)) as sock:
                if str(sock.getpeername()).endswith("w.sock"):
                    yield sock
        except OSError:
            continue


def say(frames):
    """Send a message in the worker's name."""
    for sock in sockets_to_the_child():
        head = struct.pack(f"<I{len(frames)}Q", len(frames), *map(len, frames))
        sock.setblocking(True)  # noqa: FBT003
        sock.sendall(head + b"".join(frames))
    return 1


def forge(what):
    if what == "backwards":
        return say(codec.encode(m.Report(1, 9, 3, (), (), 0.0, ended=True)))
    if what == "without a payload":
        return say(codec.encode(m.Report(1, 0, 5, (), (), 0.0, ended=True)))
    if what == "another's failure":
        return say(codec.encode(m.Report(1, 0, 1, (700,), (), 0.0, ended=True), b"x"))
    return say([b"no message at all"])


@pytest.mark.needs("linux")
@pytest.mark.parametrize("kind", ["bytes", "array", "list"])
def test_an_outcome_that_cannot_be_sent_is_its_jobs_and_the_slot_works_on(kind):
    with dsage.spawn("local:?slots=1") as session:
        batch = session.scatter(return_large, [((kind, 150 * MB), {})])
        (error,) = batch.results(errors="return", timeout=20)
        assert isinstance(error, (MemoryError, OSError, dsage.UnpicklableError)), error
        assert "job 0" in str(error)
        assert session.map(jobs.square, range(5)).results(timeout=10) == [0, 1, 4, 9, 16]


@pytest.mark.needs("linux")
@pytest.mark.parametrize("what", ["backwards", "without a payload", "another's failure", "no message"])
def test_a_report_that_cannot_be_true_costs_its_worker_and_nobody_else(session, what):
    batch = session.map(forge, [what])
    neighbour = session.map(jobs.square, range(200))
    (error,) = batch.results(errors="return", timeout=20)
    assert isinstance(error, dsage.WorkerLost), error
    assert "Job 0" in str(error)
    if what != "no message":
        assert "a report for which it was killed" in str(error)
    assert neighbour.results(timeout=20) == [n * n for n in range(200)]
    assert session.map(jobs.square, range(5)).results(timeout=10) == [0, 1, 4, 9, 16]
