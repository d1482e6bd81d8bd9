"""The output of a batch where its session is not: in a saved notebook, in an export, on a kernel out of sight."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.lab import page_of, run
from tests.browser.test_busy_kernel import SECOND
from tests.browser.test_panel import KERNEL, count, end, output, rises

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browser.lab import Lab

pytestmark = [pytest.mark.needs("browser", "view"), pytest.mark.timeout(240)]

MIME = "application/vnd.jupyter-dsage.batch+json"
SAVE = "window.jupyterapp.commands.execute('docmanager:save')"
SCATTER = "%%scatter hist for x in range(60)\nimport time\ntime.sleep(0.02)\nassert x != 7, '<b>no</b>'"


def bundle_of(path: Path, cell: int) -> dict[str, object]:
    return dict(next(out.data for out in nbformat.read(path, 4).cells[cell].outputs if "data" in out))


def test_a_saved_notebook_shows_the_end_without_its_session(lab: Lab) -> None:
    lab.write("saved.ipynb", ["%load_ext jupyter_dsage", SCATTER, "while True:\n    pass"], "ours")
    path = lab.folder / "root" / "saved.ipynb"
    with page_of(lab, "saved.ipynb") as page:
        run(page, 0)
        run(page, 1)
        run(page, 2, wait=False)  # so that the kernel cannot write the end itself
        expect(output(page)).to_contain_text("ended after", timeout=20 * SECOND)
        page.wait_for_timeout(300)
        page.evaluate(SAVE)
        page.evaluate(f"{KERNEL}.interrupt()")
        data = bundle_of(path, 1)
        kept = data[MIME]["snapshot"]["batch"]
        assert (kept["ended"], kept["counts"]["finished"], kept["counts"]["failed"]) == (True, 59, 1)
        assert "59 finished · 1 failed" in data["text/html"]
        assert "60 of 60" in data["text/plain"]
        end(page)
    with page_of(lab, "saved.ipynb") as page:
        view = output(page)
        expect(view.locator(".dsage-badge").first).to_have_text("session over", timeout=20 * SECOND)
        assert count(view, "finished") == 59
        expect(view.locator(".dsage-f-error")).to_contain_text(["error", "AssertionError: <b>no</b>"])
        page.wait_for_timeout(3 * SECOND)  # the widgets' manager looks for a model for two seconds
        assert count(view, "finished") == 59
        assert "model not found" not in page.content()
    exported = subprocess.run(
        [sys.executable, "-m", "nbconvert", "--to", "html", "--stdout", str(path)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "59 finished · 1 failed" in exported


def test_an_untrusted_notebook_shows_it_too_and_names_are_text(lab: Lab) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("hist")])
    notebook.metadata["kernelspec"] = {"name": "ours", "display_name": "ours", "language": "python"}
    counts = {"queued": 0, "running": 0, "finished": 3, "failed": 0, "cancelled": 0, "lost": 0}
    batch = {"name": "<img src=x onerror='window.bad = 1'>", "total": 3, "drawing": False, "counts": counts}
    batch |= {"paused": False, "limit": None, "ended": True, "elapsed": 2.0, "rate": None, "left": None}
    snapshot = {
        "v": 1,
        "session": {"id": "none", "name": "none", "alive": True, "note": ""},
        "batch": batch,
        "engines": [],
        "workers": [],
        "more_workers": 0,
        "more_engines": 0,
        "grid": {"jobs": 3, "per": 1, "cells": "F3"},
        "failures": {"total": 0, "rows": []},
    }
    value = {"v": 1, "session": "none", "name": "none", "batch": 1, "snapshot": snapshot}
    old = {"v": 99, "text": "of another version"}
    notebook.cells[0].outputs = [
        nbformat.v4.new_output("display_data", data={MIME: value, "text/plain": "hist"}),
        nbformat.v4.new_output("display_data", data={MIME: old, "text/html": "<p>the still picture</p>"}),
    ]
    (lab.folder / "root" / "untrusted.ipynb").write_text(json.dumps(notebook))
    with page_of(lab, "untrusted.ipynb") as page:
        expect(output(page).first.locator("h3.dsage-name")).to_have_text(batch["name"])
        expect(output(page).first.locator(".dsage-badge").first).to_have_text("session over")
        expect(output(page).last).to_contain_text("the still picture")
        assert page.evaluate("window.bad") is None


def test_the_widget_takes_the_place_where_the_server_does_not_know_the_session(lab: Lab) -> None:
    show = (
        "from IPython.display import display\nfrom jupyter_dsage.notebook.display import MIME, bundle\n"
        "away = bundle(hist)\naway[MIME] = away[MIME] | {'session': 'elsewhere', 'snapshot': None}\n"
        "display(away, raw=True)"
    )
    scatter = "%%scatter hist for x in range(2000) --quiet\nimport time\ntime.sleep(0.02)"
    lab.write("elsewhere.ipynb", ["%load_ext jupyter_dsage", scatter, show], "ours")
    with page_of(lab, "elsewhere.ipynb") as page:
        try:
            for cell in range(3):
                run(page, cell)
            view = output(page).locator(".lm-Panel")  # what the widgets' renderer makes
            expect(view.locator(".dsage-counts")).to_be_visible(timeout=20 * SECOND)
            rises(view, "finished", count(view, "finished"))
            assert output(page).locator(".dsage-counts").count() == 1
            view.get_by_role("button", name="Pause", exact=True).click()
            expect(view.get_by_role("button", name="Resume", exact=True)).to_be_visible(timeout=2 * SECOND)
        finally:
            end(page)
