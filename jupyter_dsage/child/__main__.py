"""``python -m jupyter_dsage.child``: the child. Its setup is one line on stdin; stdin's end is its owner's end.

It says ``ready`` on stdout when it listens, and nothing else there; its log goes to stderr.
"""

from __future__ import annotations

import logging
import signal
import sys

import msgspec

from jupyter_dsage import settings
from jupyter_dsage.child import engines
from jupyter_dsage.child.loop import Child
from jupyter_dsage.errors import JournalBusyError, JournalError
from jupyter_dsage.net.sweep import adopt
from jupyter_dsage.net.unix_transport import UnixNetwork
from jupyter_dsage.wire.setup import ChildSetup


def main() -> None:
    """Be a child until told to die."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(format="%(asctime)s dsage %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    setup = msgspec.json.decode(sys.stdin.buffer.readline(), type=ChildSetup)
    adopt()
    try:
        child = Child(setup, UnixNetwork(), sys.stdin, engines.make)
    except JournalError as error:
        logging.getLogger(__name__).error("%s", error)  # noqa: TRY400  (a sentence says it)
        sys.exit(settings.EXIT_IN_USE if isinstance(error, JournalBusyError) else 1)
    print("ready", flush=True)  # noqa: T201  (the client waits for this word)
    child.run()


if __name__ == "__main__":
    main()
