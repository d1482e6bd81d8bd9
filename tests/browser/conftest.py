"""A JupyterLab for all browser tests, one without our labextension, and a Notebook 7.

All have a kernel for each version of ipykernel that behaves in its own way.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.browser.lab import Lab

BUILD = Path(__file__).parents[2] / "build"
OLDER = {"ipykernel-6.30.1": BUILD / "ipykernel-6.30.1", "ipykernel-7.3.0": BUILD / "ipykernel-7.3.0"}
"""Installed by `make test`, beside the one of the environment."""


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    yield from _lab(tmp_path_factory.mktemp("lab"), panel=True)


@pytest.fixture(scope="session")
def widget_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One without our labextension: as in VS Code, an output is the widget."""
    yield from _lab(tmp_path_factory.mktemp("widget_lab"), panel=False)


@pytest.fixture(scope="session")
def notebook_7(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    yield from _lab(tmp_path_factory.mktemp("notebook_7"), panel=True, app="notebook")


@pytest.fixture(params=["lab", "notebook_7"])
def either(request: pytest.FixtureRequest) -> Lab:
    """Both front ends that have the panel, one after the other."""
    return request.getfixturevalue(request.param)


def _lab(folder: Path, *, panel: bool, app: str = "lab") -> Iterator[Lab]:
    from tests.browser.lab import serve
    from tests.needs import needs

    needs("browser", "view")
    kernels = {"ours": None} | {name: path for name, path in OLDER.items() if path.exists()}
    with serve(folder, kernels, panel=panel, app=app) as server:
        yield server
