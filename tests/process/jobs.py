"""Functions that tests run as jobs: importable, so that they travel by name; files say what happened."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import itertools
import os
import signal
import sys
import time
from pathlib import Path

from jupyter_dsage import settings
from jupyter_dsage.testing import WorkerDeath
from tests.until import until

DEADLINE = 20.0


READ = []
"""Numbers of the large values that were read in this process."""


class Large:
    """A value that notes where it is read."""

    def __init__(self, number, data):
        self.number, self.data = number, data

    def __reduce__(self):
        return _read_large, (self.number, self.data)


def _read_large(number, data):
    READ.append(number)
    return Large(number, data)


class NotesCollector:
    """A value that is, where it is read, whether the garbage collector is on there."""

    def __reduce__(self):
        return gc.isenabled, ()


def notes_collector(number):
    if number < 0:
        raise ValueError(number)
    return NotesCollector()


def large_unless_held(held, path, items, number):
    """Return a value of 8 bytes an item; where it is the one that is held, when there is a file."""
    import numpy as np

    if number == held:
        wait_for(path)
    return Large(number, np.full(items, number))


def square(x):
    return x * x


def wait_for(path, then=None):
    """Wait until a file exists; the way in which tests hold a job."""
    until(Path(path).exists, DEADLINE, str(path))
    return then


def note(folder, name):
    """Leave one line a call in a file: how often a job was started."""
    with (Path(folder) / str(name)).open("a") as file:
        file.write(f"{os.getpid()}\n")


def starts(folder, name):
    path = Path(folder) / str(name)
    return len(path.read_text().splitlines()) if path.exists() else 0


def pids(folder, name):
    path = Path(folder) / str(name)
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def noted(folder, number, seconds=0.0):
    note(folder, number)
    time.sleep(seconds)
    return number


def kill_once(folder, number, which):
    """Kill this worker in job `which`, the first time only."""
    note(folder, number)
    if number == which and starts(folder, number) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def misbehave(folder, number, way):
    """Do something bad in job 5, and return the number in every other."""
    note(folder, number)
    if number != 5:
        return number
    match way:
        case "raise":
            raise ValueError("five is right out")
        case "sys.exit":
            sys.exit(3)
        case "os._exit":
            os._exit(7)
        case "segfault":
            print("about to read address 0", file=sys.stderr)
            ctypes.string_at(0)
        case "keyboard interrupt":
            raise KeyboardInterrupt
        case "unpicklable value":
            return sys.stdout
        case "unpicklable exception":
            raise Unpicklable(sys.stdout)
        case "unreadable value":
            return Unreadable()
        case "print":
            for line in range(1_000_000):
                print("line", line)
            return number
        case "closed stdout":
            sys.stdout.close()
            return number
    raise AssertionError(way)


class Unpicklable(Exception):  # noqa: N818
    def __init__(self, stream):
        super().__init__("holds a stream")
        self.stream = stream


class Unreadable:
    def __reduce__(self):
        return (refuse, ())


def refuse():
    raise RuntimeError("cannot be read back")


def hold_the_lock(path):
    """Sit in C code that keeps the interpreter lock and looks at no signal, for minutes unless killed."""
    Path(path).touch()
    return sum(itertools.repeat(1, 10**11))


def ignore_interrupts(path):
    Path(path).touch()
    while True:
        try:
            time.sleep(60)
        except BaseException:  # noqa: BLE001, S112
            continue


def kill_parent(_):
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(DEADLINE)


def flood_output(count):
    """Write to descriptor 1 past Python, then wait until the file takes little room; say how much it takes."""
    for _ in range(count // 100_000):
        os.write(1, b"y" * 100_000)
    deadline = time.monotonic() + DEADLINE
    while os.fstat(1).st_blocks * 512 > 3_000_000 and time.monotonic() < deadline:
        time.sleep(0.005)
    return os.fstat(1).st_blocks * 512


def grandchild(path):
    """Start a process that outlives the job, in a session of its own."""
    import subprocess

    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    Path(path).write_text(str(process.pid))
    return process.pid


def change(items, extra):
    items.append(extra)
    return items


def die(fake):
    """Take the worker with it: by a signal, or where it is a thread of the test as `FakeEngine` has it."""
    if fake:
        raise WorkerDeath
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(DEADLINE)


def die_in(folder, number, which, times, fake):
    """Die in job `which`, the first few times. The others take so long that each is told by itself."""
    note(folder, number)
    if number != which:
        time.sleep(2 * settings.FLUSH_SECONDS)
    elif starts(folder, number) <= times:
        die(fake)
    return number


def held(folder, number):
    """Note the start, and wait for the gate."""
    note(folder, number)
    return wait_for(Path(folder) / "gate", number)


def first_last(folder, number, last):
    """Job 0 ends only when the last one runs."""
    if number == last:
        (Path(folder) / "last").touch()
    return wait_for(Path(folder) / "last", number) if number == 0 else number


def kilobyte(number):
    """Return 1 KB that begins with a number."""
    return number.to_bytes(4, "little") + bytes(1020)


def megabyte(number):
    """Return an array of 1 MB that begins with a number."""
    import numpy as np

    return np.full(125_000, number)


NOTED_SECONDS = 0.002


def noted_or_long(folder, number, how=None):
    """Leave a note and return the number soon, or in one of several ways not at all."""
    note(folder, number)
    if how is None:
        time.sleep(NOTED_SECONDS)
    elif how == "sleeps":
        time.sleep(30)
    elif how == "computes":
        sum(range(3_000_000_000))  # in C, with the interpreter held
    elif how == "ignores SIGINT":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        time.sleep(30)
    else:
        while True:
            with contextlib.suppress(BaseException):
                time.sleep(30)
    return number


def noted_when(path, word):
    """Append a word to a file."""
    with Path(path).open("a") as file:
        file.write(f"{word}\n")
    time.sleep(0.01)


def nap(seconds):
    """Sleep."""
    time.sleep(seconds)
    return seconds


def eat(megabytes, at_once):
    """Take memory, slowly or at once; hold much until somebody ends it."""
    if at_once:
        held = bytearray(megabytes * 1_000_000)
        held[::4096] = b"1" * len(held[::4096])
    else:
        held = []
        for _ in range(megabytes):
            held.append(b"1" * 1_000_000)
            time.sleep(0.001)
        time.sleep(DEADLINE if megabytes > 100 else 0)  # it is to be ended
    return len(held) and megabytes


def abort_with(word):
    """Say something and abort."""
    print(word, file=sys.stderr, flush=True)
    os.abort()


def grandchild_of_its_own(_):
    """Start a process in a session of its own that outlives the job."""
    import subprocess

    process = subprocess.Popen(["/bin/sleep", "1000"], start_new_session=True)
    process.returncode = 0  # it is left behind on purpose
    return process.pid


def say(number, how):
    """Print one line in one of several ways."""
    import subprocess

    line = f"job {number}\n"
    if how == "python":
        sys.stdout.write(line)
    elif how == "stderr":
        sys.stderr.write(line)
    elif how == "write":
        ctypes.CDLL(None).write(1, line.encode(), len(line))
    elif how == "printf":
        ctypes.CDLL(None).printf(b"%s", line.encode())
    else:
        subprocess.run(["/bin/echo", line.strip()], check=True)


def shout(count):
    """Have another process print so many bytes, and then the end."""
    import subprocess

    subprocess.run(f"yes | head -c {count}; echo; echo THE END", shell=True, check=True)  # noqa: S602


def shout_in_c(count):
    """Write so many bytes in C calls that keep the interpreter lock, and then the end."""
    lines = b"y" * 99 + b"\n"
    for _ in range(count // 1_000_000):
        ctypes.PyDLL(None).write(1, lines * 10_000, 1_000_000)
    os.write(1, b"THE END\n")


def write_briefly(number):
    """Write one line past Python, and nothing else: a job of 2 us."""
    os.write(1, b"job %d\n" % number)


def write_seldom(number):
    """Write past Python in a few jobs only."""
    if number % 97 == 5:
        os.write(1, b"job %d\n" % number)


def print_and_die(number):
    """Print a line; in job 5 another one, as C does it, and then die."""
    print("job", number, file=sys.stderr, flush=True)
    if number == 5:
        ctypes.CDLL(None).printf(b"%s", b"last words\n")
        os.kill(os.getpid(), signal.SIGKILL)


def shout_and_wait(count, path):
    """Print much, and wait for a file."""
    os.write(1, b"y" * count + b"so far")
    wait_for(path)


def say_and_wait(word, path):
    """Print, wait for a file, print again."""
    print(word)
    wait_for(path)
    print("and the rest")


def long(folder, number, seconds):
    """Take this long, in steps that an interrupt can come between."""
    note(folder, number)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.002)
    return number


def overstep(folder, number, way):
    """Overstep a limit in job 5, in one way or another, for a minute; return the number in every other."""
    note(folder, number)
    if number != 5:
        time.sleep(0.002)
        return number
    match way:
        case "sleeps":
            time.sleep(60)
        case "catches every Exception":
            try:
                time.sleep(60)
            except Exception:  # noqa: BLE001
                return number
        case "catches everything and returns":
            try:
                time.sleep(60)
            except BaseException:  # noqa: BLE001
                return number
        case "catches everything and raises another":
            try:
                time.sleep(60)
            except BaseException as error:
                raise RuntimeError("it was interrupted") from error
        case "holds the interpreter lock":
            print("about to hold the lock", flush=True)
            hold_the_lock(Path(folder) / "running")
        case _:
            take_memory(folder, way)
    raise AssertionError(way)


def take_memory(folder, way):
    match way:
        case "takes memory":
            held = b"x" * 450_000_000
            time.sleep(60)
            return len(held)
        case "takes memory and goes on":
            held = b""
            while True:
                try:
                    held = held or b"x" * 450_000_000
                    time.sleep(60)
                except BaseException:  # noqa: BLE001, S112
                    continue
        case "starts who takes memory":
            return start_holder(folder, 430_000_000).wait()


def start_holder(folder, size):
    """Start a process in a session of its own that holds so many bytes."""
    import subprocess

    code = f"held = b'x' * {size}; import time; time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    (Path(folder) / "started").write_text(str(process.pid))
    return process


def forks_with_memory(size):
    """Hold so many bytes in five processes that share them, for longer than it takes to be looked at."""
    held = b"x" * size
    started = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            time.sleep(3 * settings.TREE_SECONDS)
            os._exit(len(held) != size)
        started.append(pid)
    return sum(os.waitpid(pid, 0)[1] == 0 for pid in started)


def close_descriptors(folder, number):
    """Close in job 5 all that this process has open, what tells its outcome among it."""
    note(folder, number)
    if number == 5:
        os.closerange(3, 1000)
    return number


def hold_the_lock_for(seconds):
    """Sit in C code that keeps the interpreter lock for so long."""
    left = ctypes.PyDLL(None).sleep(seconds)
    return seconds - left


kept = []


def leave_memory(folder, number):
    """Take too much memory in job 0, and keep it for good; each other job lasts until it was looked at."""
    note(folder, number)
    if number == 0:
        kept.append(b"x" * 450_000_000)
        time.sleep(60)
    time.sleep(1.5 * settings.GUARD_SECONDS)
    return number


# --- jobs of microseconds: workers run them in strides ----------------------------------------------------------

_files = {}
_shared = []


def marked(path, number):
    """Leave 8 bytes in a file: short enough to be run in a stride."""
    if path not in _files:
        _files[path] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(_files[path], number.to_bytes(8, "little"))
    return number


def marks(path):
    """Return the numbers that were left in a file, in that order."""
    data = Path(path).read_bytes() if Path(path).exists() else b""
    return [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8)]


def marked_and_killed(path, number, which, times):
    """Kill the worker in job `which`, so many times."""
    marked(path, number)
    if number == which and marks(path).count(which) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def odd_one(path, number, which, way):
    """Do something that short jobs do not do, in job `which`."""
    marked(path, number)
    if number == which:
        if way == "raise":
            raise ValueError(number)
        if way == "exit":
            sys.exit(3)
        if way == "print":
            print("here", number)
        if way == "replace":
            sys.stdout = None
        if way == "wait":
            wait_for(f"{path}.go")
        if way == "swallow":
            with contextlib.suppress(BaseException):
                wait_for(f"{path}.go")
    return number


def shared_list(number):
    """Return the same list each time, with other content, once numbers have been returned for long."""
    _shared[:] = [number]
    return _shared if number >= 3000 else number


def enter_and_wait(entered, leave):
    """Say that it runs, and run until it may leave."""
    Path(entered).touch()
    until(Path(leave).exists, 60)
    return "left"
