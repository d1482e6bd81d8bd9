"""Sessions for tests of real processes: one each test, ended before the check that nothing is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from jupyter_core.utils import ensure_event_loop

import jupyter_dsage as dsage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def child_log(tmp_path: Path) -> Path:
    return tmp_path / "child.log"


@pytest.fixture
def session(nothing_left: None, child_log: Path) -> Iterator[dsage.Session]:  # noqa: ARG001
    with child_log.open("w") as log, dsage.spawn("local:?slots=2", log=log) as made:
        yield made
    assert "defect" not in child_log.read_text(), child_log.read_text()


@pytest.fixture
def own_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_left: None) -> Iterator[None]:  # noqa: ARG001
    """Give a test Jupyter data of its own, and end the sessions that are meant to outlive it."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    yield
    for info in dsage.sessions():
        if info.alive:
            dsage.attach(info.id, look=True).die()
    ensure_event_loop().close()  # jupyter_client's own, which it leaves open
