"""What a job can do to its process, each beside 200 honest jobs on the same workers: those do not notice (P17, P18)."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import jupyter_dsage as dsage
from tests.process import hostile as h
from tests.until import until

pytestmark = pytest.mark.needs("linux")

LOST = dsage.WorkerLost


class Row(NamedTuple):
    """What a job does, the type of what comes of it (None: it returns), and a part of the sentence."""

    act: Any
    error: Any = None
    part: str = ""
    options: dict[str, Any] = {}  # noqa: RUF012
    seconds: float = 10.0
    """How long it may take until it is told."""


QUICK = {
    "changes the directory": Row(partial(os.chdir, "/")),
    "changes the environment": Row(partial(os.putenv, "HOSTILE", "1")),
    "clears the environment": Row(h.clear_environment),
    "makes warnings errors": Row(partial(warnings.simplefilter, "error")),
    "ignores SIGCHLD": Row(partial(signal.signal, signal.SIGCHLD, signal.SIG_IGN)),
    "closes its descriptors": Row(partial(h.close, 0, 1, 2)),
    "allows itself 5 descriptors": Row(partial(h.limit, "NOFILE", 5)),
    "computes with 3 digits": Row(h.set_decimal),
    "makes numpy's warnings errors": Row(partial(np.seterr, all="raise")),
    "exits": Row(partial(os._exit, 7), LOST, "exit code 7"),
    "forks and returns twice": Row(partial(h.fork_and, int)),
    "raises a text that is none": Row(partial(h.throw, ValueError("caf\udce9.txt")), ValueError, "caf"),
    "patches the clock": Row(h.patch_time),
}

STATE = {
    "goes into a directory that is removed": Row(h.into_a_removed_directory),
    "replaces the environment": Row(h.remove_environment),
    "changes what it imports from": Row(partial(sys.path.insert, 0, "/hostile")),
    "replaces what it imports from": Row(h.new_import_path),
    "ignores SIGINT": Row(partial(signal.signal, signal.SIGINT, signal.SIG_IGN)),
    "ignores SIGTERM": Row(partial(signal.signal, signal.SIGTERM, signal.SIG_IGN)),
    "ignores every signal": Row(h.ignore_every_signal),
    "leaves a timer": Row(partial(h.timer, 600)),
    "blocks signals": Row(partial(signal.pthread_sigmask, signal.SIG_BLOCK, signal.valid_signals())),
    "leads its output away": Row(h.lead_output_away),
    "limits its memory": Row(h.limit_address_space),
    "limits its files": Row(partial(h.limit, "FSIZE", 0)),
    "limits its processes": Row(partial(h.limit, "NPROC", 1)),
    "limits its processor time": Row(partial(h.limit, "CPU", 600)),
    "limits its descriptors for good": Row(partial(h.limit_hard, "NOFILE", 20)),
    "computes with traps": Row(h.new_decimal_context),
    "prints arrays otherwise": Row(partial(np.set_printoptions, precision=2)),
    "leaves a thread": Row(h.leave_a_thread),
    "leaves a thread that changes the directory": Row(h.leave_a_thread_that_changes_directory),
    "forbids itself its files": Row(partial(os.umask, 0o777)),
    "steps back": Row(partial(os.nice, 5)),
    "keeps to one core": Row(partial(os.sched_setaffinity, 0, {0})),
    "turns the collector off": Row(h.collect_never),
    "allows little recursion": Row(partial(sys.setrecursionlimit, 200)),
    "traces": Row(h.trace),
    "lets no thread run": Row(partial(sys.setswitchinterval, 100)),
    "patches len": Row(partial(h.patch, h.builtins, len=lambda _: 0), (type(None), LOST)),
    "patches open": Row(partial(h.patch, h.builtins, open=None)),
    "patches os": Row(h.patch_os, (type(None), LOST)),
    "forgets its modules": Row(h.forget_modules, (type(None), LOST)),
    "becomes nobody": Row(h.become_nobody, (type(None), LOST)),
    "closes its streams": Row(h.close_streams),
    "has no streams": Row(h.no_streams),
    "puts away its excepthook": Row(partial(h.patch, sys, excepthook=None)),
}

ENDS = {
    "kills itself": Row(partial(h.kill, signal.SIGKILL), LOST, "SIGKILL"),
    "crashes": Row(h.read_address_0, LOST, "SIGSEGV"),
    "aborts": Row(os.abort, LOST, "SIGABRT"),
    "terminates itself": Row(partial(h.kill, signal.SIGTERM), LOST, "SIGTERM"),
    "kills its group": Row(partial(h.kill, signal.SIGKILL, pid=lambda: 0), LOST, "SIGKILL"),
    "kills its supervisor": Row(partial(h.kill, signal.SIGKILL, pid=os.getppid), LOST, "supervisor", seconds=20),
    "exits in a thread": Row(h.exit_from_a_thread, LOST, "exit code 9"),
    "exits where its value is pickled": Row(h.ExitsWherePickled, LOST, "exit code 11"),
    "exits in the text of its error": Row(partial(h.throw, h.ExitsInItsText(os.getpid())), LOST, "exit code 12"),
    "closes all descriptors": Row(h.close_all, LOST, "descriptors"),
    "puts a file where the socket was": Row(h.put_a_file_where_the_socket_was, LOST, "descriptors"),
    "shuts the socket": Row(h.shut_the_socket, LOST),
    "forges a report": Row(h.forge, LOST, "a report for which it was killed"),
    "garbles a report": Row(h.garble, LOST),
    "scribbles on its page": Row(h.scribble_on_the_page, (type(None), LOST)),
    "lets its timer end it": Row(partial(h.timer, 0.0001), (type(None), LOST)),
    "calls sys.exit": Row(partial(sys.exit, 3), dsage.JobExitedError, "SystemExit(3)"),
    "calls sys.exit with odd text": Row(partial(sys.exit, "\udc80"), dsage.JobExitedError, "SystemExit"),
    "raises KeyboardInterrupt": Row(partial(h.throw, KeyboardInterrupt()), dsage.JobExitedError, "KeyboardInterrupt"),
    "raises GeneratorExit": Row(partial(h.throw, GeneratorExit()), dsage.JobExitedError, "GeneratorExit"),
    "raises what has no text": Row(partial(h.throw, h.Loud(os.getpid())), Exception),
    "raises what has odd text": Row(partial(h.throw, h.HasOddText()), Exception, ""),
    "raises what is of an odd type": Row(h.throw_odd_type, Exception, ""),
    "raises what has odd notes": Row(h.throw_unnoted, ValueError, "unnoted"),
    "raises a UsageError with a lock": Row(h.throw_usage_error, Exception, "with a lock"),
    "raises what is its own cause": Row(h.throw_a_ring, ValueError, "ring"),
    "recurses without end": Row(h.recurse, RecursionError),
    "returns what is nested too deeply": Row(h.deep, (dsage.UnpicklableError, RecursionError), ""),
    "forks and exits": Row(partial(h.fork_and, partial(sys.exit, 3))),
    "forks and raises": Row(partial(h.fork_and, partial(h.throw, ValueError("in the copy")))),
    "prints much": Row(h.print_much),
    "catches its time limit": Row(h.catch_everything, dsage.JobTimeout, "0.5 s", {"timeout": 0.5}),
    "holds the interpreter lock": Row(h.hold_the_lock, dsage.JobTimeout, "0.5 s", {"timeout": 0.5}),
    "takes memory": Row(h.take_memory, dsage.JobMemoryError, "memory limit", {"memory": 300_000_000}),
}


def run(session, row):
    """Run what is hostile and, at the same time, what is honest; check all that is promised."""
    began = time.monotonic()
    batch = session.scatter(act, [((row.act,), {}) for _ in range(2)], **row.options)
    beside = session.scatter(h.honest, [((str(Path.cwd()), n), {}) for n in range(200)])
    values = batch.results(errors="return", timeout=30)
    assert time.monotonic() - began < row.seconds
    kinds = row.error if isinstance(row.error, tuple) else (row.error or type(None),)
    for value in values:
        assert isinstance(value, kinds), repr(value)
        assert value is None or not row.part or row.part in f"{value!r} {value}", repr(value)
    assert beside.results(timeout=30) == [n * n for n in range(200)]
    assert session.scatter(h.honest, [((str(Path.cwd()), n), {}) for n in range(20)]).results(timeout=30)[3] == 9
    until(lambda: [worker.stage for worker in session.workers] == ["ready", "ready"], 10)


def act(function):
    value = function()
    return value if isinstance(value, (list, h.ExitsWherePickled)) else None


def harmed(session, table):
    """Return the rows in which something promised was not kept, each with what."""
    wrong = {}
    for name, row in table.items():
        try:
            run(session, row)
        except Exception as error:  # noqa: BLE001  (all rows are told)
            wrong[name] = f"{type(error).__name__}: {error}"[:300]
    return wrong


def test_a_dozen_ways_to_harm_a_process_harm_nobody_else(session):
    assert harmed(session, QUICK) == {}


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_what_one_job_leaves_in_its_process_reaches_nobody_else(session, part):
    assert harmed(session, dict(list(STATE.items())[part::4])) == {}


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_what_ends_or_stops_one_job_ends_nobody_else(session, part):
    assert harmed(session, dict(list(ENDS.items())[part::4])) == {}


def test_the_table_has_its_sixty_rows():
    assert len({**QUICK, **STATE, **ENDS}) >= 60
