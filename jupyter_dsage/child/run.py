"""Runs a child by the setup on its standard input; see `child.__main__`."""

from __future__ import annotations

import logging
import sys

import msgspec

from jupyter_dsage import settings
from jupyter_dsage.child import engines
from jupyter_dsage.child.loop import Child
from jupyter_dsage.errors import JournalBusyError, JournalError
from jupyter_dsage.net.unix_transport import UnixNetwork
from jupyter_dsage.wire.safe_text import set_up_logging
from jupyter_dsage.wire.setup import ChildSetup


def run() -> None:
    """Be a child until told to die."""
    set_up_logging("%(asctime)s dsage %(levelname)s %(message)s", logging.INFO, stream=sys.stderr)
    setup = msgspec.json.decode(sys.stdin.buffer.readline(), type=ChildSetup)
    try:
        child = Child(setup, UnixNetwork(), sys.stdin, engines.make)
    except JournalError as error:
        logging.getLogger(__name__).error("%s", error)  # noqa: TRY400  (a sentence says it)
        sys.exit(settings.EXIT_IN_USE if isinstance(error, JournalBusyError) else 1)
    print("ready", flush=True)  # noqa: T201  (the client waits for this word)
    child.run()
