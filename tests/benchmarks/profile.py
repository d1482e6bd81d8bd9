"""Where the time goes: ``python -m tests.benchmarks.profile noop`` (or another of `LOADS`), with py-spy beside Python.

The workload runs for some ten seconds; client, child and a worker are recorded by pid meanwhile. The functions that had
most of the samples to themselves are printed, and kept in plots/profile-NAME.json, which the report takes in.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from tests.benchmarks import jobs
from tests.benchmarks.peers.dsage_peer import Dsage
from tests.benchmarks.run import WORKERS

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
TOP = 15


def noop(peer: Dsage) -> None:
    peer.map_many(jobs.noop, range(200_000))


def roundtrip(peer: Dsage) -> None:
    for _ in range(100):
        peer.one(jobs.noop, 1)


def echo(peer: Dsage) -> None:
    import numpy as np

    peer.echo(np.ones(12_500_000)).sum()


def arrays(peer: Dsage) -> None:
    import numpy as np

    for array in peer.echo_many([np.ones(125_000) for _ in range(200)]):
        array.sum()


def submit(peer: Dsage) -> None:
    peer.gather(peer.begin_single(jobs.noop, range(20_000)))


def histogram(peer: Dsage) -> None:
    peer.map_many(jobs.histogram, range(10_000))


def busy(peer: Dsage) -> None:
    peer.run_each(jobs.spin, [0.001] * 500)


LOADS: dict[str, Callable[[Dsage], None]] = {
    one.__name__: one for one in (noop, roundtrip, echo, arrays, submit, histogram, busy)
}


def main() -> int:
    """Record, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("workload", choices=LOADS)
    parser.add_argument("--seconds", type=int, default=10)
    given = parser.parse_args()
    spy = shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if spy is None:
        print("There is no py-spy beside this Python: `make profile` makes an environment that has it.")
        return 1
    peer = Dsage()
    peer.start(WORKERS)
    try:
        peer.ready()
        recorded, note = record(spy, peer, LOADS[given.workload], given.seconds)
    finally:
        peer.stop()
    show(recorded, note)
    kept = {"workload": given.workload, "note": note, "processes": recorded}
    (HERE / "plots").mkdir(exist_ok=True)
    (HERE / "plots" / f"profile-{given.workload}.json").write_text(json.dumps(kept, indent=1) + "\n")
    return 0


def record(
    spy: str, peer: Dsage, load: Callable[[Dsage], None], seconds: int
) -> tuple[dict[str, list[tuple[float, str]]], str]:
    """Run a workload while py-spy looks on; return the top functions of each process, and what went wrong."""
    pids = processes(peer)
    over = threading.Event()
    found, said = {}, []
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / name for name in pids}
        spies = {
            name: subprocess.Popen(
                [spy, "record", "-f", "raw", "-d", str(seconds), "-o", str(files[name]), "--pid", str(pid)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for name, pid in pids.items()
        }
        threading.Timer(seconds, over.set).start()
        while not over.is_set():
            load(peer)
        for name, one in spies.items():
            _, error = one.communicate(timeout=60)
            if files[name].exists() and files[name].stat().st_size:
                found[name] = top(files[name].read_text())
            else:
                said.append(f"py-spy could not record the {name}: {(error.strip().splitlines() or ['no sample'])[-1]}")
    return found, " ".join(said)


def processes(peer: Dsage) -> dict[str, int]:
    """Return the pids of client, child and one worker, by the words of the house."""
    me = psutil.Process()
    child = next(one for one in me.children() if "jupyter_dsage.child" in " ".join(one.cmdline()))
    return {"client": me.pid, "child": child.pid, "worker": min(peer.worker_pids())}


def top(raw: str) -> list[tuple[float, str]]:
    r"""Return the functions that were on top of the stack most often, with their part of all samples.

    >>> top("main (a.py:1);f (a.py:7) 3\nmain (a.py:1);f (a.py:9) 5\nmain (a.py:2) 2")
    [(0.8, 'f (a.py)'), (0.2, 'main (a.py)')]
    """
    counts: Counter[str] = Counter()
    for line in raw.splitlines():
        stack, _, samples = line.rpartition(" ")
        name, _, _ = stack.rpartition(";")[2].rpartition(":")
        counts[f"{name})" if name else stack] += int(samples)
    total = counts.total() or 1
    return [(count / total, name) for name, count in counts.most_common(TOP)]


def show(recorded: dict[str, list[tuple[float, str]]], note: str) -> None:
    """Print the tables."""
    for process, rows in recorded.items():
        print(f"\n{process}: part of the samples, function")
        for part, name in rows:
            print(f"{part:7.1%}  {name}")
    if note:
        print(f"\n{note}")


if __name__ == "__main__":
    began = time.perf_counter()
    code: Any = main()
    print(f"\n{time.perf_counter() - began:.0f} s")
    sys.exit(code)
