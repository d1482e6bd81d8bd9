"""How fast large frames go one way over mutual TLS between two processes of this host: MB/s, beside memcpy.

``python -m tests.benchmarks.bulk``; the median of 5 frames of 100 MB. The promise is 300 MB/s.
"""

from __future__ import annotations

import argparse
import multiprocessing
import queue
import statistics
import time
from typing import TYPE_CHECKING

from jupyter_dsage.net.bulk import UP, BulkReceiver, BulkSender, dial
from jupyter_dsage.net.bulk_door import BulkDoor
from jupyter_dsage.net.tls import Identity, make_identity

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

MEGABYTE = 1_000_000


def send(port: int, identity: Identity, server: str, size: int, orders: Connection) -> None:
    """Dial, and send one frame for each order."""
    sender = BulkSender(dial("127.0.0.1", port, identity, server, UP))
    frame = bytes(size)
    orders.send("ready")
    while (key := orders.recv()) is not None:
        sender.send(key, frame)
    sender.close()


def receive(size: int, rounds: int) -> list[float]:
    """Return the seconds that each frame takes from the order to its last byte."""
    arrived: queue.SimpleQueue[tuple[int, bytearray]] = queue.SimpleQueue()
    receivers = []
    door = BulkDoor("127.0.0.1", 0)
    dialer = make_identity()
    door.pin(
        dialer.cert_pem,
        lambda sock, _: receivers.append(
            BulkReceiver(sock, lambda *record: arrived.put(record), lambda _: None, lambda *_: True)
        ),
    )
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=send, args=(door.port, dialer, door.identity.cert_pem, size, there)
    )
    process.start()
    here.recv()
    seconds = []
    for key in range(rounds):
        started = time.perf_counter()
        here.send(key)
        got, frame = arrived.get(timeout=60)
        seconds.append(time.perf_counter() - started)
        assert (got, len(frame)) == (key, size)
        del frame
    here.send(None)
    process.join()
    for receiver in receivers:
        receiver.close()
    door.close()
    return seconds


def copy(size: int, rounds: int) -> list[float]:
    """Return the seconds that one plain copy takes."""
    frame, seconds = bytes(size), []
    for _ in range(rounds):
        started = time.perf_counter()
        bytearray(frame)
        seconds.append(time.perf_counter() - started)
    return seconds


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    size = given.megabytes * MEGABYTE
    for name, measured in (("bulk, one way", receive(size, given.rounds)), ("memcpy", copy(size, given.rounds))):
        rates = sorted(given.megabytes / seconds for seconds in measured)
        print(f"{name:14} {statistics.median(rates):7,.0f} MB/s (from {rates[0]:,.0f} to {rates[-1]:,.0f})")


if __name__ == "__main__":
    main()
