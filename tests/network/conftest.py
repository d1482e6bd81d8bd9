"""Two hosts with a cable between them, gone without trace after the test."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.network.hosts import NAMESPACES, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator


def traces() -> dict[str, set[str]]:
    """Return what hosts could leave: this process's namespaces, and devices where the tests run."""
    ours = {path.name for path in NAMESPACES.glob(f"dsage-{os.getpid()}-*")}
    return {"namespaces": ours, "devices": {path.name for path in Path("/sys/class/net").iterdir()}}


@pytest.fixture
def wire(nothing_left: None) -> Iterator[Wire]:  # noqa: ARG001
    before = traces()
    with Wire() as made:
        yield made
    assert traces() == before
