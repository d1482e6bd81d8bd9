"""What jobs can do to their process, one function each, for tests/process/test_hostile_jobs.py; and honest jobs."""

from __future__ import annotations

import builtins
import ctypes
import decimal
import gc
import locale
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings

import numpy as np

from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m
from tests.process import test_reports as reports


def honest(directory, n):
    """Return the square of a number, and notice whatever another batch's job may have left."""
    warnings.warn(f"honest {n}", stacklevel=1)
    wrong = [name for name, is_wrong in _CHECKS.items() if is_wrong(directory)]
    if n % 50 == 0 and subprocess.run([sys.executable, "-c", "raise SystemExit(3)"], check=False).returncode != 3:
        wrong.append("the exit code of a process")
    if wrong:
        raise AssertionError(f"left by another: {wrong}")
    return n * n


_CHECKS = {
    "directory": lambda directory: os.getcwd() != directory,
    "environment": lambda _: "HOSTILE" in os.environ or "PATH" not in os.environ,
    "SIGCHLD": lambda _: signal.getsignal(signal.SIGCHLD) is not signal.SIG_DFL,
    "SIGTERM": lambda _: signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL,
    "SIGINT": lambda _: signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, signal.SIG_DFL, None),
    "timer": lambda _: signal.getitimer(signal.ITIMER_REAL) != (0.0, 0.0),
    "signal mask": lambda _: bool(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "descriptors": lambda _: any(_closed(number) for number in range(3)),
    "descriptor limit": lambda _: resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 256,
    "address space": lambda _: resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY,
    "file size": lambda _: resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY,
    "locale": lambda _: locale.setlocale(locale.LC_NUMERIC) not in ("C", "en_US.UTF-8", "C.UTF-8"),
    "decimal": lambda _: str(decimal.Decimal(1) / 3) != "0." + 28 * "3",
    "import path": lambda _: "/hostile" in sys.path or not sys.path,
    "numpy errors": lambda _: np.geterr()["divide"] != "warn",
    "numpy printing": lambda _: str(np.array([1 / 3])) != "[0.33333333]",
    "umask": lambda _: _umask() & 0o700 != 0,
    "priority": lambda _: os.getpriority(os.PRIO_PROCESS, 0) != 0,
    "user": lambda _: os.geteuid() != os.stat("/proc/self").st_uid or os.geteuid() == 65534,
    "collector": lambda _: not gc.isenabled(),
    "recursion": lambda _: sys.getrecursionlimit() < 1000,
    "trace": lambda _: sys.gettrace() is not None,
    "switch interval": lambda _: sys.getswitchinterval() > 1,
    "builtins": lambda _: len is not _LEN or builtins.open is not _OPEN,
    "time": lambda _: time.time() < 1,
    "threads": lambda _: any(thread.name == "hostile" for thread in threading.enumerate()),
    "output": lambda _: print("honest") is not None,
}
_LEN, _OPEN = len, open


def _umask():
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _closed(number):
    try:
        os.fstat(number)
    except OSError:
        return True
    return False


# --- what jobs leave -----------------------------------------------------------------------------------------


def into_a_removed_directory():
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    shutil.rmtree(folder)


def clear_environment():
    os.environ.clear()


def remove_environment():
    os.environ = {}


def new_import_path():
    sys.path = ["/hostile"]


def ignore_every_signal():
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)


def timer(seconds):
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def close(*numbers):
    for number in numbers:
        os.close(number)


def lead_output_away():
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)


def limit(name, value):
    which = getattr(resource, f"RLIMIT_{name}")
    resource.setrlimit(which, (value, resource.getrlimit(which)[1]))


def limit_hard(name, value):
    resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def limit_address_space():
    limit("AS", reports.address_space() + 50_000_000)


def set_decimal():
    decimal.getcontext().prec = 3


def new_decimal_context():
    decimal.setcontext(decimal.Context(prec=2, traps=[decimal.Inexact]))


def leave_a_thread():
    threading.Thread(target=time.sleep, args=(600,), daemon=True, name="hostile").start()


def leave_a_thread_that_changes_directory():
    def change():
        while True:
            os.chdir("/")
            time.sleep(0.001)

    threading.Thread(target=change, daemon=True, name="hostile").start()


def patch(module, **names):
    for name, value in names.items():
        setattr(module, name, value)


def patch_time():
    patch(
        time, monotonic=lambda: 0.0, monotonic_ns=lambda: 0, time=lambda: 0.0, time_ns=lambda: 0, sleep=lambda _: None
    )


def patch_os():
    patch(os, getpid=lambda: 1, getppid=lambda: 1, fstat=None, stat=None, write=None, read=None, lseek=None)


def forget_modules():
    for name in list(sys.modules):
        if name not in ("sys", "builtins"):
            del sys.modules[name]


def become_nobody():
    if os.geteuid() == 0:
        os.setuid(65534)


def collect_never():
    gc.disable()


def trace():
    sys.settrace(lambda *_: None)


def close_streams():
    sys.stdout.close()
    sys.stderr.close()


def no_streams():
    sys.stdout = sys.stderr = None


# --- what ends a process -------------------------------------------------------------------------------------


def kill(number, pid=None):
    os.kill(os.getpid() if pid is None else pid(), number)
    time.sleep(5)


def exit_from_a_thread():
    threading.Thread(target=os._exit, args=(9,), daemon=True).start()
    time.sleep(5)


def exit_later_from_a_thread():
    threading.Timer(0.2, os._exit, (9,)).start()


def close_all():
    os.closerange(3, 4096)


def put_a_file_where_the_socket_was():
    for sock in reports.sockets_to_the_child():
        number = next(n for n in range(3, 256) if _same(n, sock.fileno()))
        with open(os.devnull, "w") as file:
            os.dup2(file.fileno(), number)


def _same(a, b):
    try:
        return os.path.samestat(os.fstat(a), os.fstat(b))
    except OSError:
        return False


def shut_the_socket():
    for sock in reports.sockets_to_the_child():
        sock.shutdown(socket.SHUT_RDWR)


def read_the_socket():
    for sock in reports.sockets_to_the_child():
        sock.setblocking(False)
        try:
            sock.recv(100_000)
        except BlockingIOError:
            continue


def read_address_0():
    ctypes.string_at(0)


def recurse():
    return recurse()


def deep():
    value = []
    for _ in range(100_000):
        value = [value]
    return value


class ExitsWherePickled:
    def __reduce__(self):
        os._exit(11)


class ExitsInItsText(Exception):
    def __str__(self):
        if os.getpid() != self.args[0]:  # not in the client, where it is shown
            os._exit(12)
        return "text"


class Loud(Exception):
    def __str__(self):
        if os.getpid() != self.args[0]:
            raise SystemExit(4)
        return "loud"

    __repr__ = __str__


class OddText(str):
    __slots__ = ()

    def __getattribute__(self, name):
        raise RuntimeError(name)

    def __str__(self):
        return self

    def __len__(self):
        return 10**18

    def __add__(self, _):
        os._exit(13)


class HasOddText(Exception):
    def __str__(self):
        return OddText("odd")


class OddType(type):
    @property
    def __module__(cls):
        raise RuntimeError("no module")


def throw_odd_type():
    class OfOddType(Exception, metaclass=OddType):
        pass

    raise OfOddType


def throw(error):
    raise error


def throw_unnoted():
    error = ValueError("unnoted")
    error.__notes__ = 7
    raise error


def throw_usage_error():
    from jupyter_dsage.errors import UsageError

    error = UsageError("with a lock")
    error.lock = threading.Lock()
    raise error


def throw_a_ring():
    error = ValueError("ring")
    error.__cause__ = error
    raise error


def fork_and(leave):
    if os.fork() == 0:
        leave()


def hold_the_lock():
    ctypes.PyDLL(None).usleep(600_000_000)


def catch_everything():
    while True:
        try:
            time.sleep(600)
        except BaseException:
            continue


def take_memory():
    taken = []
    while True:
        taken.append(bytearray(20_000_000))


def print_much():
    for n in range(300_000):
        print("line", n)


def forge():
    reports.say(codec.encode(m.Report(1, 9, 3, (), (), 0.0, ended=True)))
    time.sleep(5)


def garble():
    reports.say([b"no message"])
    time.sleep(5)


def scribble_on_the_page():
    """Write nonsense into every shared page of this process."""
    for found in gc.get_objects():
        if type(found).__name__ == "Page" and hasattr(found, "words"):
            for at in range(len(found.words)):
                found.words[at] = -(2**62)
