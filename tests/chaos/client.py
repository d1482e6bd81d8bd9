"""A client in the storm: starts or finds the session, submits batches, and writes down what it submits and is told.

``python -m tests.chaos.client FOLDER BATCHES JOBS PAUSE URL…``. It may be killed at any moment; the next one goes on.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import jupyter_dsage as dsage
from jupyter_dsage import settings

NAME = "storm"


def note(path, words):
    """Append a line to a file: what, when (monotonic seconds), who."""
    with path.open("a") as file:
        file.write(f"{words} {time.monotonic():.6f} {os.getpid()}\n")


def job(folder, batch, number, seconds):
    """Write down the start and the end; return what only this job returns."""
    path = Path(folder) / "jobs" / f"{batch}-{number}"
    note(path, "start")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))
        time.sleep(0.0005)
    note(path, "end")
    return batch * 10_000 + number


def follow(folder, name, batch):
    """Write down each outcome of a batch as it comes."""
    told = folder / f"told-{name}"
    for done in batch.as_completed():
        error = done.exception()
        note(told, f"{done.index} {done.result() if error is None else type(error).__name__}")
    note(folder / "ended", f"{name} {len(batch)}")


def main(folder, batches, count, pause, urls):
    """Submit what is not submitted yet, follow everything, and say when all has ended."""
    settings.REVIVALS = 1000  # it is the storm that kills, not a defect
    known = [info.name for info in dsage.sessions()]
    session = dsage.attach(NAME) if NAME in known else dsage.spawn(urls, NAME, on_kernel_exit="stay")
    followers = []
    for number in range(batches):
        name = f"b{number}"
        if name not in session.batches:
            calls = [((str(folder), number, n, (0.002, 0.01, 0.05)[n % 3]), {}) for n in range(count)]
            note(folder / "submitted", name)
            session.scatter(job, calls, name=name, at_most_once=number % 4 == 3)
            session.settle()  # what is not in the journal is not submitted
            time.sleep(pause)
        follower = threading.Thread(target=follow, args=(folder, name, session.batches[name]))
        follower.start()
        followers.append(follower)
    for follower in followers:
        follower.join()
    note(folder / "all", "ended")
    session.detach()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), sys.argv[5:])
