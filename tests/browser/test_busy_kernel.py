"""The widget moves and its buttons act while another cell runs, in a real JupyterLab, as far as the kernel lets it."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OLDER
from tests.browser.lab import Lab, page_of, run

if TYPE_CHECKING:
    from playwright.sync_api import Locator

pytestmark = [pytest.mark.needs("browser", "view"), pytest.mark.timeout(240)]

SECOND = 1000
CELLS = [
    "%load_ext jupyter_dsage",
    "%%scatter hist for x in range(2000)\nimport time\ntime.sleep(0.02)\nprint('job', x)\nx * x",
    "import time; time.sleep(8)",
    "print('free')",
    "%dsage die --all",
]


def count(page: Page, state: str) -> int:
    """Read a count off the view: what a person reads."""
    words = page.locator(".dsage").first.inner_text()
    found = re.search(rf"([\d,]+)\s+{state}", words)
    return int(found[1].replace(",", "")) if found else 0


def rises(page: Page, state: str, above: int, seconds: float = 5) -> int:
    deadline = time.monotonic() + seconds
    while (now := count(page, state)) <= above:
        assert time.monotonic() < deadline, f"{state} stayed at {now}"
        page.wait_for_timeout(50)
    return now


def button(page: Page, name: str) -> Locator:
    return page.locator(".dsage").first.get_by_role("button", name=re.compile(f"^{name}"))


def busy(page: Page) -> bool:
    """Whether the cell that sleeps still runs: its prompt is a star."""
    return "*" in page.locator(".jp-CodeCell").nth(2).locator(".jp-InputPrompt").inner_text()


def start(page: Page) -> None:
    """Load, scatter, and have the kernel sleep: the cell returns although no job can have ended."""
    run(page, 0)
    run(page, 1)
    expect(page.locator(".dsage").first).to_contain_text("hist", timeout=20 * SECOND)
    rises(page, "finished", 0, 20)
    run(page, 2, wait=False)
    page.wait_for_timeout(300)
    assert busy(page)


@pytest.mark.parametrize("kernel", ["ours", "ipykernel-7.3.0"])
def test_buttons_act_while_a_cell_runs(widget_lab: Lab, kernel: str) -> None:
    if kernel in OLDER and not OLDER[kernel].exists():
        pytest.skip(f"{kernel} is not installed; make test installs it")
    widget_lab.write("busy.ipynb", CELLS, kernel)
    with page_of(widget_lab, "busy.ipynb") as page:
        start(page)
        before = count(page, "finished")
        rises(page, "finished", before)

        button(page, "Pause").click()
        expect(button(page, "Resume")).to_be_visible(timeout=SECOND)
        button(page, "Resume").click()
        expect(button(page, "Pause")).to_be_visible(timeout=SECOND)

        button(page, "Add jobs").click()
        page.keyboard.type("range(2000, 2100)")
        page.keyboard.press("Enter")
        expect(page.locator(".dsage-answer").first).to_contain_text("add", timeout=SECOND)
        expect(page.locator(".dsage-answer").first).to_contain_text("100 jobs added", timeout=5 * SECOND)
        page.keyboard.press("Escape")
        expect(page.locator(".dsage").first).to_contain_text("2,100")

        button(page, "Cancel").click()
        rises(page, "cancelled", 100, 1)
        assert busy(page), "the buttons acted while the cell ran"
        expect(page.locator(".jp-CodeCell").nth(2).locator(".jp-InputPrompt")).not_to_contain_text(
            "*", timeout=12 * SECOND
        )
        run(page, 4)


def test_on_ipykernel_6_the_view_moves_and_clicks_wait_for_the_cell(widget_lab: Lab) -> None:
    if not OLDER["ipykernel-6.30.1"].exists():
        pytest.skip("ipykernel-6.30.1 is not installed; make test installs it")
    widget_lab.write("six.ipynb", CELLS, "ipykernel-6.30.1")
    with page_of(widget_lab, "six.ipynb") as page:
        start(page)
        rises(page, "finished", count(page, "finished"))
        button(page, "Pause").click()
        page.wait_for_timeout(1500)
        assert busy(page)
        assert button(page, "Resume").count() == 0 or count(page, "finished") < 2000
        expect(button(page, "Resume")).to_be_visible(timeout=12 * SECOND)
        assert not busy(page)
        run(page, 4)


def belongs(process: psutil.Process, lab: Lab) -> bool:
    """Tell whether a process is one of a session of this lab, and not of another run's on the machine."""
    try:
        own = process.environ().get("JUPYTER_RUNTIME_DIR") == str(lab.folder / "runtime")
    except psutil.Error:
        return False
    return own and "jupyter_dsage." in " ".join(process.info["cmdline"] or [])


def test_kill_child_asks_first_and_leaves_nothing(lab: Lab) -> None:
    lab.write("kill.ipynb", CELLS, "ours")
    with page_of(lab, "kill.ipynb") as page:
        start(page)
        ours = [process for process in psutil.process_iter(["cmdline"]) if belongs(process, lab)]
        assert len(ours) >= 3
        button(page, "More").click()
        page.get_by_role("menuitem", name=re.compile("Kill child")).click()
        page.get_by_role("button", name=re.compile("^Kill")).last.click()
        expect(page.locator(".dsage").first).to_contain_text("session over", timeout=5 * SECOND)
        _, alive = psutil.wait_procs(ours, timeout=5)
        assert not alive


def test_a_million_jobs_hover_without_a_stutter(lab: Lab) -> None:
    cells = [CELLS[0], "%%scatter big for x in range(1_000_000)\nx", "big.wait()", "", "%dsage die --all"]
    lab.write("million.ipynb", cells, "ours")
    with page_of(lab, "million.ipynb") as page:
        run(page, 0)
        run(page, 1)
        run(page, 2)
        expect(page.locator(".dsage").first).to_contain_text("1,000,000", timeout=30 * SECOND)
        box = page.locator(".dsage canvas").first.bounding_box()
        assert box is not None
        held = page.evaluate(
            """async ([x, y, width, height]) => {
                const canvas = document.querySelector(".dsage canvas");
                const held = [];
                for (let step = 0; step < 200; step++) {
                    const at = performance.now();
                    canvas.dispatchEvent(new PointerEvent("pointermove", {bubbles: true,
                        clientX: x + width * Math.random(), clientY: y + height * Math.random()}));
                    held.push(performance.now() - at);
                    await new Promise(requestAnimationFrame);
                }
                return held;
            }""",
            [box["x"], box["y"], box["width"], box["height"]],
        )
        slow = [f"{each:.0f} ms" for each in held if each >= 50]
        assert len(slow) <= 1, f"hovers held the page for longer than three frames: {slow}"  # once the system may
        worst_frame = page.evaluate(
            """async () => {
                const pane = document.querySelector(".jp-WindowedPanel-outer") ?? document.scrollingElement;
                let last = await new Promise(requestAnimationFrame), worst = 0;
                for (let step = 0; step < 60; step++) {
                    pane.scrollTop += step % 20 < 10 ? 40 : -40;
                    const now = await new Promise(requestAnimationFrame);
                    worst = Math.max(worst, now - last);
                    last = now;
                }
                return worst;
            }"""
        )
        assert worst_frame < 200, "a scroll step took longer than a dozen frames"
        run(page, 4)
