"""Starts a child, or finds the one that a session has: its folders, its process, its setup.

A new session's record is written before its child starts; the child itself writes where it listens. A session whose
child is gone is revived by starting another on the same journal, whose lock sees to it that only one does.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from jupyter_dsage import clock, private_files, settings
from jupyter_dsage.client import place
from jupyter_dsage.client.child_process import ChildProcess, OtherChild, Started
from jupyter_dsage.client.location import Location
from jupyter_dsage.errors import StartError, UsageError
from jupyter_dsage.net import launch
from jupyter_dsage.net.runtime import runtime_folder
from jupyter_dsage.process_identity import own_start
from jupyter_dsage.store import sessions
from jupyter_dsage.version import VERSION
from jupyter_dsage.wire.setup import ChildSetup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jupyter_dsage.net.url_parts import EngineURL
    from jupyter_dsage.store.sessions import Record

    Log = IO[str] | IO[bytes] | None
    Env = tuple[tuple[str, str], ...]


_NO_JOURNAL = "There is no place for the session's journal:"
_ELSEWHERE = "Make room there, set JUPYTER_DATA_DIR, or say journal=False."
_LEAST_ROOM = 1_000_000
"""Bytes on a disk below which it is named as the reason why a child did not start."""


class JournalInUseError(StartError):
    """Another child of the session lives, or is just being started."""


class ChildKilledError(StartError):
    """The child was killed before it listened: another may be started."""


def start_child(
    engines: Sequence[EngineURL],
    log: Log = None,
    *,
    name: str | None = None,
    journal: bool = True,
    stay: bool = False,
    env: Env = (),
) -> Starting:
    """Start the child of a new session; its log goes to an open file, else to its folder; `env`: see `ChildSetup`.

    Raises StartError; UsageError for a log that is no file.
    """
    session = sessions.new_id()
    store = _new_store(session) if journal else ""
    with contextlib.ExitStack() as stack:
        if journal:
            stack.callback(shutil.rmtree, store, ignore_errors=True)
        folder = _new_runtime_folder()
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        starting = _started_new(session, store, folder, engines, log, name, stay=stay, env=env)
        stack.pop_all()  # whatever was raised before this, both folders go
    return starting


def _started_new(
    session: str,
    store: str,
    folder: str,
    engines: Sequence[EngineURL],
    log: Log,
    name: str | None,
    *,
    stay: bool,
    env: Env,
) -> Starting:
    """Write the record of a new session and start its child in these folders."""
    setup = ChildSetup(
        session,
        folder,
        os.getpid(),
        own_start(),
        tuple(engine.setup() for engine in engines),
        *Location().now(),
        store,
        stay,
        settings.IDLE_SECONDS,
        name or "",
        sys.executable,
        env,
    )
    if store:
        here = place.here()
        known = (session, name or session, time.time(), here.kernel, here.notebook, VERSION, setup)
        try:
            sessions.write(sessions.Record(*known, (here,)))
        except OSError as error:
            raise StartError(f"{_NO_JOURNAL} {store}: {error.strerror}. {_ELSEWHERE}") from None
    return Starting(setup, log)


def _new_store(session: str) -> str:
    try:
        return str(sessions.new_folder(session))
    except OSError as error:
        raise StartError(f"{_NO_JOURNAL} {error.filename}: {error.strerror}. {_ELSEWHERE}") from None


def _new_runtime_folder() -> str:
    try:
        return sessions.new_runtime_folder(runtime_folder())
    except OSError as error:
        where = error.filename or runtime_folder()
        raise StartError(
            f"There is no place for the session's sockets in {where}: {error.strerror}. Make room there, or set "
            "XDG_RUNTIME_DIR."
        ) from None


def _full(setup: ChildSetup) -> str:
    """Return in a sentence which of a session's folders has no room left; empty if each has."""
    for folder in filter(None, (setup.store, setup.folder)):
        with contextlib.suppress(OSError):
            stat = os.statvfs(folder)
            if stat.f_blocks and stat.f_bavail * stat.f_frsize < _LEAST_ROOM:
                return f" There is no room left in {folder}: make some, or set JUPYTER_DATA_DIR or XDG_RUNTIME_DIR."
    return ""


def find_child(record: Record, log: Log = None, *, alone: bool = False) -> Started:
    """Return the child of a session: the one that lives, or a new one, revived from the journal.

    `alone`: see `revive`. Raises StartError.
    """
    version = VERSION
    if record.package != version:
        raise StartError(
            f"Session {record.name!r} was made by jupyter_dsage {record.package}, and this is {version}: attach to it "
            "with that version."
        )
    deadline = clock.monotonic() + settings.START_SECONDS
    while True:
        record = sessions.read(record.store) or record  # another client may have revived it
        if (connection := record.connection()) is not None:
            return OtherChild(record.id, Path(record.setup.folder), connection, str(record.store))
        try:
            return revive(record, log, alone=alone)
        except JournalInUseError:
            if clock.monotonic() > deadline:
                raise


def revive(record: Record, log: Log = None, *, alone: bool = False) -> ChildProcess:
    """Start a child that goes on with a session's journal; raises StartError, also if it is not gone.

    `alone`: not for this process, which is no client of it: it runs in the Python that the session had, and stays.
    """
    setup = msgspec.structs.replace(
        record.setup,
        folder=sessions.new_runtime_folder(runtime_folder()),
        owner=os.getpid(),
        owner_started=own_start(),
        python=record.setup.python if alone else sys.executable,
        stay=alone or record.setup.stay,
    )
    return _started(setup, log, revived=True)


def _started(setup: ChildSetup, log: Log, *, revived: bool = False) -> ChildProcess:
    return Starting(setup, log, revived=revived).finish()


class Starting:
    """A child that has been started, and is not known to listen yet. Raises StartError where it cannot be started."""

    def __init__(self, setup: ChildSetup, log: Log, *, revived: bool = False) -> None:
        folder = Path(setup.folder)
        self._setup = setup
        self._revived = revived
        self._log = path = Path(setup.store or setup.folder) / "child.log"
        ahead = [setup.folder] if not revived and any(not engine.host for engine in setup.engines) else []
        with contextlib.ExitStack() as stack:
            try:
                own = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                stack.callback(os.close, own)
                self._process = subprocess.Popen(
                    launch.command("jupyter_dsage.child.__main__", *ahead, python=setup.python),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=_descriptor(log) if log is not None else own,
                    start_new_session=True,
                    env={**os.environ, **dict(setup.env)},
                )
            except BaseException:  # whatever it is, the folder goes; raised again
                shutil.rmtree(folder, ignore_errors=True)
                raise
        named = getattr(log, "name", None)
        shown = Path(named) if isinstance(named, str) else path
        self._child = ChildProcess(setup.session, folder, self._process, shown, setup.store, stays=setup.stay)
        self._guarded(self._send_setup)

    def finish(self) -> ChildProcess:
        """Wait until the child listens, and return it; raises StartError, with the end of its log."""
        self._guarded(self._wait_ready)
        return self._child

    def give_up(self) -> None:
        """End it, and leave nothing of it."""
        self._process.kill()
        self._child.release()
        if self._setup.store and not self._revived:
            shutil.rmtree(self._setup.store, ignore_errors=True)

    def _guarded(self, step: Callable[[], None]) -> None:
        """Take a step; where it fails the child ends, and nothing of it stays."""
        try:
            step()
        except BaseException as error:
            killed = (self._process.poll() or 0) < 0
            self._process.kill()
            tail, full = private_files.tail(self._log, 2000), _full(self._setup)
            self.give_up()
            if isinstance(error, OSError):
                in_use = self._process.returncode == settings.EXIT_IN_USE
                kind = JournalInUseError if in_use else ChildKilledError if killed else StartError
                raise kind(f"The background process of the session did not start: {error}.{full}\n{tail}") from None
            raise

    def _send_setup(self) -> None:
        if self._process.stdin is None:
            raise OSError("it has no pipes")
        with contextlib.suppress(BrokenPipeError):  # it has ended already: its exit code says more
            self._process.stdin.write(msgspec.json.encode(self._setup) + b"\n")
            self._process.stdin.flush()

    def _wait_ready(self) -> None:
        """Wait for the word ``ready``; raises OSError if it does not come."""
        process = self._process
        if process.stdout is None:
            raise OSError("it has no pipes")
        seconds = settings.REVIVE_SECONDS if self._revived else settings.START_SECONDS
        deadline = clock.monotonic() + seconds
        word = b""
        while not word.endswith(b"\n"):
            if not select.select([process.stdout], [], [], max(0.0, deadline - clock.monotonic()))[0]:
                raise OSError(f"it said nothing for {seconds:.0f} s")
            data = os.read(process.stdout.fileno(), 100)
            if not data:
                raise OSError(f"it ended with exit code {process.wait()}")
            word += data


def _descriptor(log: IO[str] | IO[bytes]) -> int:
    try:
        return log.fileno()
    except (AttributeError, OSError, ValueError):
        raise UsageError(f"The log must be an open file, such as open('client.log', 'w'), not {log!r}.") from None
