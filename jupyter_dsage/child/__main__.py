"""``python -m jupyter_dsage.child [FOLDER]``: the child.

Its setup is one line on stdin; stdin's end is its owner's end. It says ``ready`` on stdout when it listens, and nothing
else there; its log goes to stderr. With the session's FOLDER it starts the supervisor of its local workers first, and
loads itself meanwhile.
"""

from __future__ import annotations

import signal
import sys

from jupyter_dsage.net import launch
from jupyter_dsage.net.sweep import adopt


def main() -> None:
    """Be a child until told to die."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    adopt()
    if len(sys.argv) > 1:
        launch.supervisor_ahead(sys.argv[1])
    from jupyter_dsage.child.run import run

    run()


if __name__ == "__main__":
    main()
