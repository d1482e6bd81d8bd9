"""``python -m jupyter_dsage.worker FD``: a supervisor, talking over the socket that it inherits as FD."""

from __future__ import annotations

import socket
import sys

from jupyter_dsage.net.stream import StreamLink
from jupyter_dsage.worker.supervisor import Supervisor


def main() -> None:
    """Be a supervisor until the socket ends."""
    Supervisor(StreamLink(socket.socket(fileno=int(sys.argv[1])))).run()


if __name__ == "__main__":
    main()
