"""What the machine itself allows, with no library in between: read the other figures against these."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import pickle
import queue
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import jobs
from tests.benchmarks.run import timed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.run import Run

MESSAGE = b"x" * 64
TUPLES = 100_000
STEP = 1 << 20


def limits(run: Run) -> None:
    laps = run.count(2000, least=50)
    run.add("unix_us", _unix(laps))
    run.add("relay_us", _relay(laps))
    run.add("zmq_us", _zmq(laps))
    _memcpy(run)
    size = max(1, int(100 * run.scale)) * STEP
    for _ in range(5):
        run.add("fresh_mb_s", size / timed(lambda: _fresh(size))[0] / 1e6)
        run.add("disk_mb_s", _disk(size))
        run.add("python_ms", 1000 * timed(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))[0])
    calls = [((i,), {}) for i in range(run.count(TUPLES, least=1000))]
    seconds, data = timed(lambda: pickle.dumps(calls, -1))
    run.add("dumps_m_s", len(calls) / seconds / 1e6)
    run.add("loads_m_s", len(calls) / timed(lambda: pickle.loads(data))[0] / 1e6)
    run.add("call_m_s", len(calls) / timed(lambda: [jobs.noop(i) for i in range(len(calls))])[0] / 1e6)


def _answer(there: socket.socket, laps: int) -> None:
    for _ in range(laps):
        there.send(there.recv(256))


def _unix(laps: int) -> float:
    """Return the median microseconds of a message to another process and back, by a socket pair."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    other = multiprocessing.get_context("fork").Process(target=_answer, args=(there, laps))
    other.start()
    took = _laps(here.send, lambda: here.recv(256), laps)
    other.join()
    here.close()
    there.close()
    return took


def _pass_on(near: socket.socket, far: socket.socket, laps: int) -> None:
    for _ in range(laps):
        far.send(near.recv(256))
        near.send(far.recv(256))


def _relay(laps: int) -> float:
    """Return the same by way of a process in between, the answer taken by a thread: four messages and two wakes more.

    It is the way of a job of ours, with nothing done on it.
    """
    here, near = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    far, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    fork = multiprocessing.get_context("fork")
    others = [fork.Process(target=_answer, args=(there, laps)), fork.Process(target=_pass_on, args=(near, far, laps))]
    for other in others:
        other.start()
    answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    reader = threading.Thread(target=lambda: [answers.put(here.recv(256)) for _ in range(laps)])
    reader.start()
    took = _laps(here.send, answers.get, laps)
    reader.join()
    for other in others:
        other.join()
    for end in (here, near, far, there):
        end.close()
    return took


def _answer_zmq(address: str, laps: int) -> None:
    import zmq

    with zmq.Context() as context, context.socket(zmq.PAIR) as there:
        there.connect(address)
        for _ in range(laps):
            there.send(there.recv())


def _zmq(laps: int) -> float:
    """Return the same by zmq over ipc."""
    import zmq

    with tempfile.TemporaryDirectory() as folder, zmq.Context() as context, context.socket(zmq.PAIR) as here:
        address = f"ipc://{Path(folder) / 's'}"
        here.bind(address)
        other = multiprocessing.get_context("spawn").Process(target=_answer_zmq, args=(address, laps))
        other.start()
        took = _laps(here.send, here.recv, laps)
        other.join()
    return took


def _laps(send: Callable[[bytes], object], receive: Callable[[], object], laps: int) -> float:
    """Return the median microseconds of a message there and back; the first few may wait for the other to be there."""
    took = []
    for _ in range(laps):
        began = time.perf_counter()
        send(MESSAGE)
        receive()
        took.append(time.perf_counter() - began)
    return statistics.median(took[10:]) * 1e6


def _memcpy(run: Run) -> None:
    import numpy as np

    source = np.ones(max(1000, int(run.scale * 12_500_000)))
    target = source.copy()
    for _ in range(5):
        run.add("memcpy_gb_s", source.nbytes / timed(lambda: np.copyto(target, source))[0] / 1e9)


def _fresh(size: int) -> None:
    """Write into shared memory that was not there before."""
    descriptor = os.memfd_create("limit")
    try:
        for at in range(0, size, STEP):
            os.pwrite(descriptor, _STEP, at)
    finally:
        os.close(descriptor)


def _disk(size: int) -> float:
    """Return the MB/s at which a new file is written past the page cache, where the journals of the benchmark lie."""
    with tempfile.NamedTemporaryFile() as place:
        flags = os.O_WRONLY | getattr(os, "O_DIRECT", 0)
        try:
            descriptor = os.open(place.name, flags)
        except OSError:
            descriptor = os.open(place.name, os.O_WRONLY)  # a file system without it
        try:
            seconds = timed(lambda: [os.pwrite(descriptor, _STEP, at) for at in range(0, size, STEP)])[0]
        finally:
            os.close(descriptor)
    return size / seconds / 1e6


_STEP = mmap.mmap(-1, STEP)
_STEP.write(bytes(range(256)) * (STEP // 256))
