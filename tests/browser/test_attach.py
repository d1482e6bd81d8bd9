"""A kernel is restarted in a real JupyterLab: `%load_ext` says what there is, `%dsage attach` brings the view back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.lab import page_of, run
from tests.browser.test_busy_kernel import SECOND, button, rises

if TYPE_CHECKING:
    from tests.browser.lab import Lab

pytestmark = [pytest.mark.needs("browser", "view"), pytest.mark.timeout(240)]

CELLS = [
    "%load_ext jupyter_dsage",
    "%%scatter hist for x in range(3000) --timeout 5s\nimport time\ntime.sleep(0.02)\nprint('job', x)\nx * x",
    "%load_ext jupyter_dsage",
    "%dsage attach",
    "%dsage die --all",
]
RESTART = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"


def test_the_view_comes_back_after_a_restart_and_buttons_may_be_pressed_twice(lab: Lab, tmp_path):
    lab.write("attach.ipynb", CELLS, "ours")
    with page_of(lab, "attach.ipynb") as page:
        run(page, 0)
        run(page, 1)
        rises(page, "finished", 20, 20)
        page.evaluate(RESTART)
        page.wait_for_function(
            "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'", timeout=30 * SECOND
        )
        page.evaluate("window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
        run(page, 2)
        said = page.locator(".jp-CodeCell").nth(2)
        expect(said).to_contain_text("is alive: %dsage attach brings it back", timeout=20 * SECOND)
        run(page, 3)
        view = page.locator(".dsage").first
        expect(view).to_contain_text("hist", timeout=20 * SECOND)
        before = rises(page, "finished", 20, 20)
        rises(page, "finished", before, 20)
        page.screenshot(path=str(tmp_path / "attached.png"))
        for _ in range(2):
            button(page, "Pause").click()
            button(page, "Resume").click()
        rises(page, "finished", before, 20)
        button(page, "Cancel").dblclick()
        expect(view).to_contain_text("cancelled", timeout=20 * SECOND)
        page.screenshot(path=str(tmp_path / "cancelled.png"))
        run(page, 4)
