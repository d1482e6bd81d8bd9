"""Sessions for tests of real processes: one each test, ended before the check that nothing is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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
