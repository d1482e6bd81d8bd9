"""Where sockets lie: a folder of this user's with a short path, for sessions and for worker servers."""

from __future__ import annotations

import os
import tempfile

_LONGEST_FOLDER = 107 - len("/dsage-xxxxxxxx/dsage-xxxxxxxx/client.sock")
"""AF_UNIX paths end at 107 bytes."""


def runtime_folder() -> str:
    """Return the folder in which to make others, of mode 0700."""
    wanted = os.environ.get("XDG_RUNTIME_DIR", "")
    for folder in (wanted, tempfile.gettempdir()):
        if folder and len(os.fsencode(folder)) <= _LONGEST_FOLDER and os.access(folder, os.W_OK):
            return folder
    return "/tmp"  # noqa: S108  (mkdtemp makes a folder of mode 0700 with a new name in it)
