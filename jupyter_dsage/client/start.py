"""Starts a child, or finds the one that a session has: its folders, its process, its setup.

A new session's record is written before its child starts; the child itself writes where it listens. A session whose
child is gone is revived by starting another on the same journal, whose lock sees to it that only one does.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from jupyter_dsage import ids, settings
from jupyter_dsage.client import place
from jupyter_dsage.client.child_process import ChildProcess, OtherChild, Started
from jupyter_dsage.errors import StartError, UsageError
from jupyter_dsage.net import launch
from jupyter_dsage.net.runtime import runtime_folder
from jupyter_dsage.store import sessions
from jupyter_dsage.wire.setup import ChildSetup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dsage.net.engine_url import EngineURL
    from jupyter_dsage.store.sessions import Record

    Log = IO[str] | IO[bytes] | None


class JournalInUseError(StartError):
    """Another child of the session lives, or is just being started."""


def start_child(
    engines: Sequence[EngineURL], log: Log = None, *, name: str | None = None, journal: bool = True, stay: bool = False
) -> ChildProcess:
    """Start the child of a new session; its log goes to an open file, else to its folder.

    Raises StartError, with the end of the log, when it does not come up; UsageError for a log that is no file.
    """
    session = ids.new_session_id()
    store = _new_store(session) if journal else ""
    owner, started = _me()
    setup = ChildSetup(
        session,
        sessions.new_runtime_folder(runtime_folder()),
        owner,
        started,
        tuple(engine.setup() for engine in engines),
        _cwd(),
        tuple(entry or _cwd() for entry in sys.path),
        store,
        stay,
        settings.IDLE_SECONDS,
    )
    if journal:
        version = importlib.metadata.version("jupyter_dsage")
        here = (place.kernel(), place.notebook())
        sessions.write(sessions.Record(session, name or session, time.time(), *here, version, setup))
    try:
        return _started(setup, log)
    except BaseException:  # whatever it is, the folder goes; raised again
        if journal:
            shutil.rmtree(store, ignore_errors=True)
        raise


def _new_store(session: str) -> str:
    try:
        return str(sessions.new_folder(session))
    except OSError as error:
        raise StartError(
            f"There is no place for the session's journal: {error}. Set JUPYTER_DATA_DIR, or say journal=False."
        ) from None


def find_child(record: Record, log: Log = None) -> Started:
    """Return the child of a session: the one that lives, or a new one, revived from the journal.

    Raises StartError.
    """
    version = importlib.metadata.version("jupyter_dsage")
    if record.package != version:
        raise StartError(
            f"Session {record.name!r} was made by jupyter_dsage {record.package}, and this is {version}: attach to it "
            "with that version."
        )
    deadline = time.monotonic() + settings.START_SECONDS
    while True:
        record = sessions.read(record.store) or record  # another client may have revived it
        if (connection := record.connection()) is not None:
            return OtherChild(record.id, Path(record.setup.folder), connection, str(record.store))
        try:
            return revive(record, log)
        except JournalInUseError:
            if time.monotonic() > deadline:
                raise


def revive(record: Record, log: Log = None) -> ChildProcess:
    """Start a child that goes on with a session's journal; raises StartError, also if it is not gone."""
    owner, started = _me()
    setup = msgspec.structs.replace(
        record.setup, folder=sessions.new_runtime_folder(runtime_folder()), owner=owner, owner_started=started
    )
    return _started(setup, log, revived=True)


def _started(setup: ChildSetup, log: Log, *, revived: bool = False) -> ChildProcess:
    folder = Path(setup.folder)
    path = Path(setup.store or setup.folder) / "child.log"
    with contextlib.ExitStack() as stack:
        try:
            own = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            stack.callback(os.close, own)
            process = subprocess.Popen(
                launch.command("jupyter_dsage.child"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=_descriptor(log) if log is not None else own,
                start_new_session=True,
            )
        except BaseException:  # whatever it is, the folder goes; raised again
            shutil.rmtree(folder, ignore_errors=True)
            raise
    named = getattr(log, "name", None)
    started = ChildProcess(
        setup.session, folder, process, Path(named) if isinstance(named, str) else path, setup.store, stays=setup.stay
    )
    try:
        _hand_over(process, setup, revived=revived)
    except BaseException as error:
        process.kill()
        tail = _tail(path)
        started.release()
        if isinstance(error, OSError):
            kind = JournalInUseError if process.returncode == settings.EXIT_IN_USE else StartError
            raise kind(f"The background process of the session did not start: {error}.\n{tail}") from None
        raise
    return started


def _hand_over(process: subprocess.Popen[bytes], setup: ChildSetup, *, revived: bool) -> None:
    """Send the setup and wait for the word ``ready``; raises OSError if it does not come."""
    if process.stdin is None or process.stdout is None:
        raise OSError("it has no pipes")
    with contextlib.suppress(BrokenPipeError):  # it has ended already: its exit code says more
        process.stdin.write(msgspec.json.encode(setup) + b"\n")
        process.stdin.flush()
    seconds = settings.REVIVE_SECONDS if revived else settings.START_SECONDS
    deadline = time.monotonic() + seconds
    word = b""
    while not word.endswith(b"\n"):
        if not select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise OSError(f"it said nothing for {seconds:.0f} s")
        data = os.read(process.stdout.fileno(), 100)
        if not data:
            raise OSError(f"it ended with exit code {process.wait()}")
        word += data


def _me() -> tuple[int, float]:
    import psutil

    return os.getpid(), psutil.Process().create_time()


def _cwd() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return "/"  # the directory was removed under us


def _descriptor(log: IO[str] | IO[bytes]) -> int:
    try:
        return log.fileno()
    except (AttributeError, OSError, ValueError):
        raise UsageError(f"The log must be an open file, such as open('client.log', 'w'), not {log!r}.") from None


def _tail(path: Path) -> str:
    try:
        return path.read_text(errors="replace")[-2000:]
    except OSError:
        return ""
