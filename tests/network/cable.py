"""The cable between two hosts: a process of its own that carries Ethernet frames from one TAP device to the other.

`hosts.Wire` starts it with three descriptors: both devices, and a socket on which it is told how the cable is. Each
message is the whole state; the answer, how many frames passed, were lost and are in flight, says that it is in force.
It ends when the socket does. It is a process so that a test that holds the interpreter lock slows no frame, and it
imports nothing but the standard library so that it stands in a few milliseconds.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import random
import select
import socket
import sys
import time
from typing import Any

FRAME = 2048  # bytes: more than a frame of 1,500 bytes and its header
BURST = 64  # frames taken from one side before the other is looked at
QUEUE = 0.02  # seconds of frames that a cable of limited rate takes ahead: the rest waits in the sender's kernel


class Way:
    """One direction: what is in flight, and what becomes of the next frame."""

    def __init__(self, source: int, target: int, name: str) -> None:
        self.source = source
        self.name = name
        self.passed = 0
        self.lost = 0
        self._target = target
        self._flying: collections.deque[tuple[float, bytes]] = collections.deque()
        self._open = True
        self._shape: tuple[float, float, int, float] = (0.0, 0.0, 0, 0.0)
        self._free_at = 0.0
        """When the last frame taken is wholly on the cable, if its rate is limited."""
        self._random = random.Random()

    def set(self, state: dict[str, Any]) -> None:
        """Be as told; the dice start anew only when the shape is another."""
        shape = (state["delay"], state["loss"], state["seed"], state["rate"])
        if shape != self._shape:
            self._shape = shape
            self._free_at = 0.0
            self._random = random.Random(f"{state['seed']} {self.name}")
        self._open = state["plugged"] and self.name not in state["dropped"]
        if not self._open:
            self.lost += len(self._flying)
            self._flying.clear()

    def take(self) -> None:
        """Take what waits at the source; send it, keep it for its time, or lose it."""
        delay, loss, _, rate = self._shape
        with contextlib.suppress(BlockingIOError):
            for _ in range(BURST):
                frame = os.read(self.source, FRAME)
                now = time.monotonic()
                if rate:
                    self._free_at = max(now, self._free_at) + len(frame) / rate
                if not self._open or (loss and self._random.random() < loss):
                    self.lost += 1
                elif delay or rate or self._flying:  # also when the delay has become shorter: frames stay in order
                    due = max(now, self._free_at) + delay
                    self._flying.append((max(due, self._flying[-1][0]) if self._flying else due, frame))
                else:
                    self._send(frame)

    def deliver(self) -> None:
        """Send what is due."""
        while self._flying and self._flying[0][0] <= time.monotonic():
            self._send(self._flying.popleft()[1])

    def count(self) -> tuple[int, int, int]:
        """Return how many frames passed, were lost, are in flight."""
        return self.passed, self.lost, len(self._flying)

    def full(self) -> bool:
        """Tell whether it takes no more frames now."""
        return self._free_at - QUEUE > time.monotonic()

    def due(self) -> float | None:
        """Return when to look at it again though nothing comes, or None."""
        dues = [self._flying[0][0]] if self._flying else []
        return min([*dues, self._free_at - QUEUE] if self.full() else dues, default=None)

    def _send(self, frame: bytes) -> None:
        try:
            os.write(self._target, frame)
            self.passed += 1
        except OSError:  # a device that is down takes nothing
            self.lost += 1


def carry(a: int, b: int, control: socket.socket) -> None:
    """Carry frames until the control socket ends."""
    ways = (Way(a, b, "a->b"), Way(b, a, "b->a"))
    for way in ways:
        os.set_blocking(way.source, False)
    while True:
        dues = [due for way in ways if (due := way.due()) is not None]
        timeout = max(0.0, min(dues) - time.monotonic()) if dues else None
        open_ends = [way.source for way in ways if not way.full()]
        ready = select.select([control.fileno(), *open_ends], [], [], timeout)[0]
        if control.fileno() in ready:
            message = control.recv(65536)
            if not message:
                return
            for way in ways:
                way.set(json.loads(message))
            control.send(json.dumps({way.name: way.count() for way in ways}).encode())
            continue  # what was ready before the new state is judged by it
        for way in ways:
            way.deliver()
            if way.source in ready:
                way.take()


if __name__ == "__main__":
    carry(int(sys.argv[1]), int(sys.argv[2]), socket.socket(fileno=int(sys.argv[3])))
