"""One server for all tests here, and sessions for it to find, ended before the check that nothing is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import jupyter_dsage as dsage
from tests.server.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.server.server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def session(nothing_left: None, server: Server) -> Iterator[dsage.Session]:  # noqa: ARG001
    """Return a session that the server finds."""
    with dsage.spawn("local:?slots=2", name="panel") as made:
        yield made


@pytest.fixture(autouse=True)
def end_sessions(nothing_left: None) -> Iterator[None]:  # noqa: ARG001
    """End what is meant to outlive its client, and forget what left a journal only."""
    yield
    from jupyter_dsage.client import orders

    orders.die(None, everything=True)
