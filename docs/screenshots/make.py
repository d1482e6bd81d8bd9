"""Take the screenshots beside this file, in headless Chromium: `python -m docs.screenshots.make [NAME…]`.

The `lab-…` and `panel-…` ones show a real JupyterLab with a real session; the others show labextension/dev, whose
made-up snapshots have every state of the view. What must be there is what the tests need: the package installed with
its test extra (which leaves esbuild in labextension/node_modules), and Chromium. Each picture is brought down to a
palette of colours, which the view's flat surfaces do not show, so that the README loads fast.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from playwright.sync_api import Page, Route, expect, sync_playwright

from tests.browser.lab import FLAGS, page_of, run, serve
from tests.needs import BROWSERS

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1] / "labextension"
SITE = "http://view.invalid/"  # answered from files by `page.route`; nothing leaves this process
MOST_BYTES = 120_000
MARGIN = 14

CELLS = [
    "%load_ext jupyter_dsage",
    """%%scatter hist for x in range(1200)
import random, time
time.sleep(random.uniform(0.01, 0.04))
assert x not in (77, 140), f"no data for {x}"
[random.gauss(x, 1) for _ in range(1000)]""",
    "import time\ntime.sleep(15)  # the kernel is busy, the batch goes on",
    "hist.counts",
    "%dsage die --all",
]

VIEWS = {
    "queued": "state=queued",
    "running": "state=running",
    "running-dark": "state=running&theme=dark",
    "running-narrow": "state=running&width=500",
    "finished": "state=finished",
    "failed": "state=failed",
    "cancelled": "state=cancelled",
    "million": "state=million",
    "engines": "state=engines",
}
"""Picture -> what the page of labextension/dev is asked for."""


def write(name: str, png: bytes) -> None:
    """Write a picture with as many colours as its size allows."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in (256, 128, 64):
        out = io.BytesIO()
        picture.quantize(colours, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
        if out.tell() < MOST_BYTES:
            break
    else:
        raise RuntimeError(f"{name}.png has {out.tell():,} bytes: more than {MOST_BYTES:,}.")
    (HERE / f"{name}.png").write_bytes(out.getvalue())
    sys.stdout.write(f"{name}.png: {out.tell():,} bytes, {picture.width} x {picture.height}\n")


def take_lab(theme: str, *, panel: bool = False) -> None:
    """Photograph a batch that runs while the next cell keeps the kernel busy, with or without the panel beside it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(Path(folder), {"python3": None}) as lab,
    ):
        lab.write("histograms.ipynb", CELLS, "python3")
        with page_of(lab, "histograms.ipynb", 1400 if panel else 1200, 900) as page:
            page.evaluate(
                """async theme => {
                const { commands, shell } = window.jupyterapp;
                await commands.execute("apputils:change-theme", { theme });
                shell.collapseLeft();
                shell.collapseRight();
            }""",
                {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}[theme],
            )
            run(page, 0)
            run(page, 1)
            view = page.locator(".dsage").first
            expect(view).to_contain_text("hist")
            run(page, 2, wait=False)
            if panel:
                page.evaluate("window.jupyterapp.commands.execute('jupyter-dsage:open')")
            page.wait_for_timeout(8000)  # half-way
            page.evaluate("document.activeElement?.blur()")
            page.mouse.move(0, 0)
            page.wait_for_timeout(300)
            write(f"{'panel' if panel else 'lab'}-{theme}", page.screenshot())
            page.wait_for_timeout(9000)
            run(page, 4)


@contextmanager
def dev_page() -> Iterator[Page]:
    """Bundle labextension/dev and open a page that is served from its files."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        bundle = Path(folder) / "page.js"
        command = [str(PROJECT / "node_modules" / ".bin" / "esbuild"), "dev/page.ts", "--bundle", "--format=esm"]
        command += ["--charset=utf8", "--loader:.css=text", "--log-level=warning", f"--outfile={bundle}"]
        subprocess.run(command, cwd=PROJECT, check=True)

        def answer(route: Route) -> None:
            is_script = route.request.url.endswith(".js")
            route.fulfill(path=bundle if is_script else PROJECT / "dev" / "index.html")

        browser_path = next(path for path in map(shutil.which, BROWSERS) if path)
        browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
        try:
            page = browser.new_page(viewport={"width": 1100, "height": 900}, device_scale_factor=2)
            page.route(f"{SITE}**", answer)
            yield page
        finally:
            browser.close()


def take_view(page: Page, name: str) -> None:
    """Photograph the view in one state, with a margin of the page around it."""
    page.goto(f"{SITE}dev/?{VIEWS[name]}")
    view = page.locator(".dsage-body")
    view.wait_for()
    if name == "failed":
        view.locator(".dsage-panels").evaluate("el => { el.style.height = '330px'; }")  # what its handle does
        view.locator(".dsage-failures button[aria-expanded]").first.click()
        expect(view.locator("pre").first).to_contain_text("Traceback")
        page.evaluate("document.activeElement?.blur()")
    if name == "engines":
        view.locator(".dsage-panels").evaluate("el => { el.style.height = '330px'; }")
        view.get_by_role("tab", name="Workers").click()
        page.evaluate("document.activeElement?.blur()")
    page.mouse.move(0, 0)
    page.wait_for_timeout(400)
    box = view.bounding_box()
    if box is None:
        raise RuntimeError(f"{name}: the view is not on the page.")
    clip = {"x": box["x"] - MARGIN, "y": box["y"] - MARGIN}
    clip |= {"width": box["width"] + 2 * MARGIN, "height": box["height"] + 2 * MARGIN}
    write(name, page.screenshot(clip=clip, full_page=True))


def main(names: list[str]) -> None:
    """Take these pictures; all of them without a name."""
    known = ["lab-light", "lab-dark", "panel-light", "panel-dark", *VIEWS]
    if unknown := set(names) - set(known):
        raise SystemExit(f"There is no picture {', '.join(sorted(unknown))}; there are {', '.join(known)}.")
    wanted = names or known
    with dev_page() as page:
        for name in VIEWS:
            if name in wanted:
                take_view(page, name)
    for theme in ("light", "dark"):
        for kind in ("lab", "panel"):
            if f"{kind}-{theme}" in wanted:
                take_lab(theme, panel=kind == "panel")


if __name__ == "__main__":
    main(sys.argv[1:])
