"""What every test has: the mark `needs`, and for tests of real processes the check that nothing is left."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.leftovers import MARK, PATIENCE, Watch
from tests.needs import needs

if TYPE_CHECKING:
    from collections.abc import Iterator

REAL_TESTS = [Path(__file__).parent / name for name in ("process", "network", "server")]


def pytest_configure() -> None:
    """Give the run folders of its own for sockets (short) and for Jupyter's data, keys among them: runs do not meet."""
    folder = tempfile.mkdtemp(prefix="dt-")
    os.environ["XDG_RUNTIME_DIR"] = folder
    os.environ["JUPYTER_DATA_DIR"] = os.path.join(folder, "jupyter")  # noqa: PTH118
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        needs(*mark.args)


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test of real processes that leaves a process, thread, descriptor, folder or segment."""
    if not any(request.path.is_relative_to(folder) for folder in REAL_TESTS):
        yield
        return
    watch = Watch()
    monkeypatch.setenv(MARK, watch.mark)
    yield
    left = watch.wait(PATIENCE)
    if left:
        watch.clean()
        lines = "\n  ".join(left)
        pytest.fail(f"{PATIENCE:g} s after the test this is left:\n  {lines}", pytrace=False)
