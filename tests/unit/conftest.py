"""What several unit tests begin with."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from jupyter_dsage.net.stream import StreamLink

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def raw() -> Iterator[tuple[socket.socket, StreamLink]]:
    """Give a bare socket and the link at its other end."""
    one, two = socket.socketpair()
    link = StreamLink(two)
    yield one, link
    one.close()
    link.close()
