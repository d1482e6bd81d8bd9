"""The state of a worker's process that jobs of all batches share, and how it is put back when one has changed it.

`look_quickly` (10 us) after 2 ms of jobs, at a lease's end, and after each job of a function that was seen to change
something; `look` (80 us) before a job of another batch, and at a lease's end now and then. What an import
changes belongs to the module, which stays, so it is kept (see `worker.import_watch`). What cannot be put back makes the
worker unfit for other batches: it is replaced.
"""

from __future__ import annotations

import _locale
import _signal  # type: ignore[import-not-found]  # that of `signal` makes an enumeration of each answer: 0.5 us
import contextlib
import gc
import importlib
import os
import resource
import signal
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_NOTHING = object()
_DIRECTORY, _PATH = 0, 3
"""Places of two parts."""
_SIGNALS = tuple(
    int(getattr(signal, name))
    for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGCHLD")
)
_TIMERS = (int(signal.ITIMER_REAL), int(signal.ITIMER_VIRTUAL), int(signal.ITIMER_PROF))
_LIMITS = tuple(value for name, value in sorted(vars(resource).items()) if name.startswith("RLIMIT_"))
_FEW_LIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_AS)
_SHARED = [vars(sys.modules[name]) for name in ("builtins", "os", "time", "threading", "signal")]
"""Modules whose functions everybody calls, also this package."""
_ENVIRONMENT = os.environ
_CALLED = [[name for name, value in names.items() if callable(value) and name[0] != "_"] for names in _SHARED]


class Part(NamedTuple):
    """One part of the state. `restore` (None: it cannot be) takes what `read` returned before."""

    read: Callable[[], Any]
    restore: Callable[[Any], object] | None
    of_modules: bool = False
    """What an import changes of it is kept."""
    same: Callable[[Any, Any], bool] = lambda now, before: bool(now == before)


class ProcessState:
    """The state as it was when this was made, in this directory and with this import path.

    `restore_output`: leads the descriptors given to where they belong.
    """

    def __init__(
        self, restore_output: Callable[[Sequence[int]], None], directory: str = "", path: Sequence[str] = ()
    ) -> None:
        self._directory = self._wanted = directory or os.getcwd()  # noqa: PTH109
        self._path = path or tuple(sys.path)
        self._quick = [
            Part(_directory, lambda _: os.chdir(self._directory)),
            Part(_environment, _set_environment, of_modules=True),
            Part(lambda: warnings.filters, _set_filters, of_modules=True),
            Part(lambda: sys.path, _set_path, of_modules=True),
            Part(lambda: [*map(_signal.getsignal, _SIGNALS)], _set_signals, of_modules=True, same=_identical),
            Part(lambda: [*map(_signal.getitimer, _TIMERS)], _stop_timers),
            Part(_standard_streams, lambda before: restore_output(_differing(before))),
            Part(lambda: [*map(resource.getrlimit, _FEW_LIMITS)], lambda before: _set_limits(_FEW_LIMITS, before)),
        ]
        self._rest = [
            Part(lambda: [*map(resource.getrlimit, _LIMITS)], lambda before: _set_limits(_LIMITS, before)),
            Part(lambda: _locale.setlocale(_locale.LC_ALL, None), _set_locale, of_modules=True),
            Part(_decimal, lambda before: sys.modules["decimal"].setcontext(before[0].copy()), of_modules=True),
            Part(_numpy_errors, lambda before: sys.modules["numpy"].seterr(**before), of_modules=True),
            Part(_numpy_printing, lambda before: sys.modules["numpy"].set_printoptions(**before), of_modules=True),
            Part(_interpreter, _set_interpreter, of_modules=True),
            Part(_umask, os.umask),
            Part(lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()), _set_mask, of_modules=True),
            Part(_identity, None),
            Part(lambda: set(map(id, threading.enumerate())), None, of_modules=True, same=lambda now, old: now <= old),
            Part(_functions, None, of_modules=True, same=lambda now, before: all(map(_identical, now, before))),
        ]
        self._parts = [*self._quick, *self._rest]
        self._before = self.read()

    def read(self) -> list[Any]:
        """Return the state as it is, for `keep`."""
        return [_copied(part.read()) for part in self._parts]

    def move(self, directory: str, path: Sequence[str]) -> None:
        """Have the jobs that come next work in a directory, with an import path; what modules added to it stays."""
        if directory != self._wanted:
            self._wanted = directory
            try:
                os.chdir(directory)
            except OSError as error:
                print(f"The working directory {directory!r} cannot be entered: {error}", file=sys.stderr)  # noqa: T201
            else:
                self._directory, self._before[_DIRECTORY] = directory, _directory()
        if path != self._path:
            added = [entry for entry in self._before[_PATH] if entry not in self._path and entry not in path]
            self._path, self._before[_PATH] = path, [*path, *added]
            _set_path(self._before[_PATH])
            importlib.invalidate_caches()

    def keep(self, before: list[Any]) -> None:
        """Let stay what has changed since `before`, as far as it belongs to a module that was imported meanwhile."""
        for at, (part, was) in enumerate(zip(self._parts, before, strict=True)):
            if not part.of_modules:
                continue
            now, kept = _copied(part.read()), self._before[at]
            if isinstance(now, dict) and isinstance(kept, dict):
                kept.update({key: value for key, value in now.items() if was.get(key, _NOTHING) != value})
                for key in was.keys() - now.keys():
                    kept.pop(key, None)
            elif kept is None or part.same(was, kept):  # else the job had changed it before
                self._before[at] = now

    def set_recursion_limit(self, limit: int) -> None:
        """Change the limit, as a part of the state that stays."""
        at = next(at for at, part in enumerate(self._parts) if part.read is _interpreter)
        with contextlib.suppress(RecursionError):  # the stack is deeper already
            sys.setrecursionlimit(limit)
            self._before[at] = (limit, *self._before[at][1:])

    def look_quickly(self) -> bool:
        """Put back what is looked at often; tell whether anything had changed."""
        return bool(self._look(self._quick))

    def look(self) -> bool:
        """Put everything back; tell whether this process is as it was: fit for jobs of other batches."""
        return not (self._look(self._parts) and self._look(self._parts))

    def _look(self, parts: list[Part]) -> int:
        """Put back what has changed of some parts, the first ones; return how many have."""
        changed = 0
        for part, before in zip(parts, self._before, strict=False):
            try:
                now = part.read()
                if part.same(now, before):
                    continue
            except BaseException:  # noqa: BLE001  (what a job has put there may raise anything when it is compared)
                now = None
            if before is None:  # a module that nobody has seen being imported, and its state
                self._before[self._parts.index(part)] = _copied(now)
                continue
            changed += 1
            if part.restore is not None:
                with contextlib.suppress(Exception):  # it shows in the next look
                    part.restore(before)
        return changed


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, (dict, list)) else value


def _identical(now: list[Any], before: list[Any]) -> bool:
    return all(a is b for a, b in zip(now, before, strict=True))


# --- parts ---------------------------------------------------------------------------------------------------


def _directory() -> tuple[int, int]:
    """Return the working directory; by device and number, since its name may lead elsewhere meanwhile."""
    stat = os.stat(".")  # noqa: PTH116
    return stat.st_dev, stat.st_ino


def _environment() -> dict[bytes, bytes] | None:
    if os.environ is not _ENVIRONMENT:
        return None  # a job has put something else in its place
    found: dict[bytes, bytes] = os.environb._data  # type: ignore[attr-defined]  # noqa: SLF001  (a copy takes 20 us)
    return found


def _set_environment(before: dict[bytes, bytes]) -> None:
    os.environ = _ENVIRONMENT  # noqa: B003  (the very object, which a job has replaced)
    for name in os.environb.keys() - before.keys():
        del os.environb[name]
    for name, value in before.items():
        if os.environb.get(name) != value:
            os.environb[name] = value


def _set_filters(before: list[Any]) -> None:
    warnings.filters[:] = before  # type: ignore[index]
    with warnings.catch_warnings():  # its end makes known that they have changed
        return


def _set_path(before: list[str]) -> None:
    sys.path[:] = before


def _set_signals(before: list[Any]) -> None:
    for number, handler in zip(_SIGNALS, before, strict=True):
        if handler is not None and _signal.getsignal(number) is not handler:
            signal.signal(number, handler)


def _stop_timers(_: object) -> None:
    for timer in _TIMERS:
        signal.setitimer(timer, 0)


def _standard_streams() -> list[tuple[int, int] | None]:
    return [_file(number) for number in range(3)]


def _file(number: int) -> tuple[int, int] | None:
    try:
        stat = os.fstat(number)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _differing(before: list[tuple[int, int] | None]) -> list[int]:
    return [number for number in range(3) if _file(number) != before[number]]


def _set_limits(limits: Sequence[int], before: list[tuple[int, int]]) -> None:
    for limit, values in zip(limits, before, strict=True):
        if resource.getrlimit(limit) != values:
            resource.setrlimit(limit, values)


def _set_locale(before: str) -> None:
    _locale.setlocale(_locale.LC_ALL, before)


def _decimal() -> Any:
    """Return the context of `decimal`, with a text that can be compared; None while that is not loaded."""
    module = sys.modules.get("decimal")
    return None if module is None else _Context((module.getcontext().copy(),))


class _Context(tuple[Any]):
    """A context of `decimal`, equal to one that computes alike; flags are what computing leaves, and differ."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, tuple) and _rules(self[0]) == _rules(other[0])

    def __hash__(self) -> int:
        return hash(_rules(self[0]))


def _rules(context: Any) -> tuple[Any, ...]:
    traps = tuple(signal for signal, trapped in context.traps.items() if trapped)
    return context.prec, context.rounding, context.Emin, context.Emax, context.capitals, context.clamp, traps


def _numpy_errors() -> Any:
    read = getattr(sys.modules.get("numpy"), "geterr", None)
    return None if read is None else read()


def _numpy_printing() -> Any:
    read = getattr(sys.modules.get("numpy"), "get_printoptions", None)
    return None if read is None else read()


def _interpreter() -> tuple[Any, ...]:
    return (
        *(sys.getrecursionlimit(), sys.getswitchinterval(), sys.gettrace(), sys.getprofile(), gc.isenabled()),
        *(gc.get_threshold(), sys.excepthook, warnings.showwarning, threading.excepthook),
    )


def _set_interpreter(before: tuple[Any, ...]) -> None:
    recursion, switch, trace, profile, collects, threshold, hook, shown, thread_hook = before
    sys.setrecursionlimit(recursion)
    sys.setswitchinterval(switch)
    sys.settrace(trace)
    sys.setprofile(profile)
    (gc.enable if collects else gc.disable)()
    gc.set_threshold(*threshold)
    sys.excepthook, warnings.showwarning, threading.excepthook = hook, shown, thread_hook


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _set_mask(before: set[int]) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _identity() -> tuple[Any, ...]:
    """Return what a process cannot take back: whose it is, how it is scheduled, what its root is."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    root = os.stat("/")  # noqa: PTH116
    ids = os.getuid(), os.geteuid(), os.getgid(), os.getegid(), os.getpgid(0)
    return ids, os.getpriority(os.PRIO_PROCESS, 0), cores, root.st_dev, root.st_ino


def _functions() -> list[list[Any]]:
    """Return the functions and classes of the modules that all use: who replaces one changes all jobs."""
    return [list(map(names.get, called)) for names, called in zip(_SHARED, _CALLED, strict=True)]
