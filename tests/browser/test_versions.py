"""The extension loads in every JupyterLab and Notebook that it promises to, and output and panel work there.

So do their keys: none of them reaches the notebook.
"""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import BUILD
from tests.browser.lab import page_of, run, serve
from tests.browser.test_busy_kernel import SECOND
from tests.browser.test_keys import FAILING, type_everywhere
from tests.browser.test_panel import CELLS, OPEN, end, output, panel, rises

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.needs("browser", "view"), pytest.mark.timeout(240)]

VERSIONS = {"4.2": BUILD / "lab-4.2", "4.4": BUILD / "lab-4.4", "newest": None}
"""Environments that `make parts` makes, and the one of the tests."""


@pytest.mark.parametrize("app", ["lab", "notebook"])
@pytest.mark.parametrize("version", [*(pytest.param(old, marks=pytest.mark.slow) for old in ("4.2", "4.4")), "newest"])
def test_it_loads_without_a_word_in_the_console(version: str, app: str, tmp_path: Path) -> None:
    place = VERSIONS[version]
    python = str(place / "bin" / "python") if place else sys.executable
    if place and not place.exists():
        pytest.skip(f"There is no JupyterLab {version}; make parts makes an environment with it")
    if subprocess.run([python, "-c", f"import {'jupyterlab' if app == 'lab' else app}"], check=False).returncode:
        pytest.skip(f"There is no {app} in the environment of {version}")
    said: list[str] = []
    with serve(tmp_path, {"ours": None}, python=python, app=app) as lab:
        lab.write("here.ipynb", [CELLS[0], FAILING, CELLS[2]], "ours")
        with page_of(lab, "here.ipynb", width=1500, said=said) as page:
            try:
                run(page, 0)
                run(page, 1)
                page.evaluate(OPEN)
                run(page, 2, wait=False)
                rises(output(page), "finished", 10, 20)
                expect(panel(page).get_by_role("treeitem", name=re.compile("^hist"))).to_be_visible(timeout=20 * SECOND)
                panel(page).get_by_role("button", name="Pause", exact=True).click()
                expect(output(page).locator(".dsage-badge").first).to_have_text("paused", timeout=2 * SECOND)
                type_everywhere(page)
            finally:
                end(page)
    ours = [line for line in said if "dsage" in line.lower() and line.startswith(("error", "warning"))]
    assert ours == []
