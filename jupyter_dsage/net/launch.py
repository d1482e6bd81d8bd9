"""How our own processes are started: same interpreter, same package, nobody's directory."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from jupyter_dsage.net.sweep import MARK

_ROOT = str(Path(__file__).resolve().parents[2])
_START = "import sys; sys.path.append(sys.argv.pop(1)); from {} import main; main()"

Supervisor = tuple[str, "subprocess.Popen[bytes]", socket.socket]
"""Its folder, its process, and our end of the socket to it."""

_ahead: dict[str, Supervisor] = {}
"""A session's folder -> the supervisor that was started for it ahead of time."""


def command(module: str, *args: str, python: str = "") -> list[str]:
    """Return the command that runs a module of this package, by its `main`; `python`: another interpreter than this.

    ``-P``: a file named ``random.py`` beside the user's notebook is not imported by our processes.
    """
    return [python or sys.executable, "-P", "-c", _START.format(module), _ROOT, *args]


def supervisor_folder(folder: str) -> str:
    """Return a new folder for a supervisor, inside that of its session."""
    return tempfile.mkdtemp(prefix="dsage-", dir=folder)


def supervisor(folder: str) -> Supervisor:
    """Start a supervisor whose folder this is; raises OSError, with nothing left open."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = subprocess.Popen(
                command("jupyter_dsage.worker.__main__", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=2,
                start_new_session=True,
                env={**os.environ, MARK: folder},
            )
        except OSError:
            ours.close()
            raise
    return folder, process, ours


def supervisor_ahead(folder: str) -> None:
    """Start a session's supervisor before the rest of the child is loaded: both take 0.1 s, on two cores at once."""
    _ahead[folder] = supervisor(supervisor_folder(folder))


def taken(folder: str) -> Supervisor | None:
    """Return the supervisor that was started ahead for a session, once, or None."""
    return _ahead.pop(folder, None)
