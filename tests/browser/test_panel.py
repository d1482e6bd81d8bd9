"""The panel in a real JupyterLab: it sees and controls sessions whatever their kernels do."""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest
from playwright.sync_api import expect

from tests.browser.lab import READY, page_of, run
from tests.browser.test_busy_kernel import SECOND, belongs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    from tests.browser.lab import Lab

pytestmark = [pytest.mark.needs("browser", "view"), pytest.mark.timeout(240)]

SCATTER = "%%scatter hist for x in range(3000)\nimport time\ntime.sleep(0.02)\nx * x"
CELLS = ["%load_ext jupyter_dsage", SCATTER, "while True:\n    pass"]
OPEN = "window.jupyterapp.commands.execute('jupyter-dsage:open')"
KERNEL = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"


@contextmanager
def started(lab: Lab, name: str, cells: list[str] = CELLS) -> Iterator[Page]:
    """Run the first two of some cells, and show the panel; whatever session there is then ends with the block."""
    lab.write(name, cells, "ours")
    with page_of(lab, name, width=1500) as page:
        try:
            run(page, 0)
            run(page, 1)
            page.evaluate(OPEN)
            expect(panel(page).get_by_role("treeitem", name=re.compile(name))).to_be_visible()
            expect(panel(page).get_by_role("treeitem", name=re.compile("^hist"))).to_be_visible(timeout=20 * SECOND)
            yield page
        finally:
            end(page)


def end(page: Page) -> None:
    """End every session there is, by the server, as the panel does."""
    page.evaluate(
        """async () => {
            const { baseUrl, token } = window.jupyterapp.serviceManager.serverSettings;
            const ask = (path, init) => fetch(baseUrl + "jupyter-dsage/sessions" + path,
                {...init, headers: {Authorization: `token ${token}`}});
            const { sessions } = await (await ask("")).json();
            for (const { id, alive } of sessions)
                await ask(`/${id}/commands`, {method: "POST", body: JSON.stringify({op: alive ? "die" : "delete"})});
        }"""
    )


def panel(page: Page) -> Locator:
    return page.locator(".dsage-panel")


def output(page: Page) -> Locator:
    return page.locator(".jp-DsageOutput")


def count(view: Locator, state: str) -> int:
    """Read a count off a view: what a person reads."""
    found = re.search(rf"([\d,]+)\s+{state}", view.locator(".dsage-counts").first.inner_text())
    return int(found[1].replace(",", "")) if found else 0


def rises(view: Locator, state: str, above: int, seconds: float = 5) -> int:
    """Wait until a count is above another, and return it."""
    deadline = time.monotonic() + seconds
    while (now := count(view, state)) <= above:
        assert time.monotonic() < deadline, f"{state} stayed at {now}"
        view.page.wait_for_timeout(50)
    return now


def act(page: Page, name: str) -> Locator:
    """A button for the whole session."""
    return panel(page).locator(".dsage-p-acts").get_by_role("button", name=re.compile(f"^{name}"))


def test_it_acts_within_a_second_while_the_kernel_hangs_in_python(either: Lab) -> None:
    with started(either, "hangs.ipynb") as page:
        run(page, 2, wait=False)
        view = panel(page)
        rises(view, "finished", count(view, "finished"))

        view.get_by_role("button", name="Pause", exact=True).click()
        expect(view.get_by_role("button", name="Resume", exact=True)).to_be_visible(timeout=SECOND)
        view.get_by_role("button", name="Resume", exact=True).click()
        expect(view.get_by_role("button", name="Pause", exact=True)).to_be_visible(timeout=SECOND)

        view.get_by_role("button", name="Add jobs…").click()
        page.keyboard.type("range(3000, 3100)")
        page.keyboard.press("Enter")
        expect(view.locator(".dsage-answer")).to_contain_text("add", timeout=SECOND)
        expect(view.locator(".dsage-answer")).to_contain_text("100 jobs added", timeout=10 * SECOND)
        page.keyboard.press("Escape")
        expect(view.locator(".dsage-jobs h4")).to_contain_text("3,100")

        view.get_by_role("button", name="Cancel", exact=True).click()
        rises(view, "cancelled", 99, 1)
        expect(output(page)).to_contain_text("cancelled", timeout=2 * SECOND)
        assert "*" in page.locator(".jp-CodeCell").nth(2).locator(".jp-InputPrompt").inner_text()


def test_the_whole_session_is_paused_and_killed_after_a_question(either: Lab) -> None:
    with started(either, "whole.ipynb") as page:
        run(page, 2, wait=False)
        act(page, "Pause all").click()
        expect(act(page, "Resume all")).to_be_visible(timeout=SECOND)
        act(page, "Resume all").click()
        expect(act(page, "Pause all")).to_be_visible(timeout=SECOND)

        either.write("beside.ipynb", ["1"], "ours")
        other = page.context.browser.new_page()
        other.goto(either.address("beside.ipynb").replace("lab/tree", "lab/workspaces/other/tree"))
        other.wait_for_function(READY, timeout=60 * SECOND)
        other.evaluate(OPEN)
        expect(panel(other)).to_contain_text("beside.ipynb has no session yet")
        expect(act(other, "")).to_have_count(0)
        other.close()

        ours = [process for process in psutil.process_iter(["cmdline"]) if belongs(process, either)]
        assert len(ours) >= 3
        act(page, "More").click()
        page.get_by_role("menuitem", name="Kill child…").click()
        question = panel(page).get_by_role("alertdialog")
        expect(question).to_contain_text(
            re.compile(r"Kill the child of whole.ipynb · kernel \w+ · started [\d:]+ and its \d")
        )
        expect(question.get_by_role("button", name="Keep it")).to_be_focused()
        question.get_by_role("button", name="Kill child").click()
        expect(output(page)).to_contain_text("session over", timeout=2 * SECOND)
        expect(panel(page)).to_contain_text("No session is running", timeout=5 * SECOND)
        _, alive = psutil.wait_procs(ours, timeout=5)
        assert not alive


def test_it_goes_on_when_the_kernel_is_killed(lab: Lab) -> None:
    with started(lab, "killed.ipynb", [*CELLS[:2], "import os; os.getpid()"]) as page:
        run(page, 2)
        said = page.locator(".jp-CodeCell").nth(2).locator(".jp-OutputArea-output")
        os.kill(int(said.inner_text()), signal.SIGKILL)
        dialog = page.locator(".jp-Dialog")  # JupyterLab says that the kernel died, sometimes twice
        expect(dialog).to_be_visible(timeout=30 * SECOND)
        page.add_locator_handler(dialog, dialog.get_by_role("button", name="Ok").last.click)
        view = panel(page)
        rises(view, "finished", count(view, "finished"))
        act(page, "Pause all").click()
        expect(act(page, "Resume all")).to_be_visible(timeout=SECOND)
        expect(output(page).locator(".dsage-badge").first).to_have_text("paused", timeout=2 * SECOND)


def test_an_output_lives_again_after_a_restart_and_a_reload_and_on_a_second_page(lab: Lab) -> None:
    with started(lab, "again.ipynb") as page:
        page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
        page.evaluate(f"{KERNEL}.restart()")
        rises(output(page), "finished", count(output(page), "finished"))
        other = page.context.browser.new_page()
        other.goto(lab.address("again.ipynb").replace("lab/tree", "lab/workspaces/other/tree"))
        rises(output(other), "finished", 0, 30)
        output(other).get_by_role("button", name="Pause", exact=True).click()
        expect(output(page).locator(".dsage-badge").first).to_have_text("paused", timeout=2 * SECOND)
        other.reload()
        expect(output(other).locator(".dsage-badge").first).to_have_text("paused", timeout=30 * SECOND)
        output(other).get_by_role("button", name="Resume", exact=True).click()
        rises(output(page), "finished", count(output(page), "finished"))


def test_what_a_job_says_is_text(lab: Lab) -> None:
    bad = "<script>window.bad = 1</script><img src=x onerror='window.bad = 2'>"
    scatter = (
        f"bad = {bad!r}\nimport jupyter_dsage as dsage\n"
        "def job(word, x):\n    print(word)\n    if x == 1:\n        raise ValueError(word)\n"
        "session = dsage.spawn()\n"
        "hist = session.scatter(job, [((bad, x), {}) for x in range(3)], name='hist ' + bad)\nhist"
    )
    with started(lab, "bad.ipynb", [CELLS[0], scatter]) as page:
        for view in (panel(page), output(page)):
            expect(view.locator("h3.dsage-name").last).to_have_text(f"hist {bad}")
            view.locator(".dsage-f-job").nth(1).click()
            expect(view.locator(".dsage-trace").first).to_contain_text(f"ValueError: {bad}")
            expect(view.locator(".dsage-why code")).to_contain_text("<script>")
            view.locator(".dsage-tabs").get_by_role("tab", name="Job").click()
            view.get_by_label("Job number").fill("0")
            page.keyboard.press("Enter")
            expect(view.get_by_label("Output")).to_contain_text(bad)
        assert page.evaluate("window.bad") is None
        assert page.locator(".dsage script, .dsage img").count() == 0


def test_engines_are_added_scaled_and_removed(lab: Lab) -> None:
    with started(lab, "engines.ipynb") as page:
        view = panel(page)
        view.get_by_role("tab", name="Engines").click()
        local = view.locator(".dsage-p-engine").first
        expect(local).to_contain_text("local")
        slots = int(re.search(r"(\d+) slot", local.inner_text())[1])
        local.get_by_role("button", name="One slot more").click()
        expect(local).to_contain_text(f"{slots + 1} of {slots + 1}", timeout=20 * SECOND)
        view.get_by_label("The URL of an engine to add").fill("nonsense")
        page.keyboard.press("Enter")
        expect(view.locator(".dsage-p-note[data-error]")).to_contain_text("nonsense")
        view.get_by_role("tab", name="Workers").first.click()
        expect(view.locator(".dsage-p-workers")).to_contain_text("MB")
        view.locator(".dsage-p-live > .dsage-strip").get_by_role("tab", name="Log").click()
        expect(view.locator(".dsage-p-log pre")).to_contain_text("engine local")


def test_by_keyboard_to_the_cell_and_to_a_tab(lab: Lab) -> None:
    with started(lab, "keys.ipynb") as page:
        view = panel(page)
        batch = view.get_by_role("treeitem", name=re.compile("^hist"))
        batch.focus()
        page.keyboard.press("ArrowLeft")
        expect(view.get_by_role("treeitem", name=re.compile("^keys.ipynb"))).to_be_focused()
        page.keyboard.press("ArrowDown")
        expect(batch).to_be_focused()
        page.keyboard.press("Enter")
        page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCellIndex = 0")
        view.get_by_role("button", name="Go to cell").press("Enter")
        assert page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCellIndex") == 1
        view.get_by_role("button", name="Open in a tab").press("Enter")
        wide = page.locator(".jp-DsageTab .dsage")
        expect(wide).to_be_visible()
        rises(wide, "finished", count(wide, "finished"))


def test_the_first_step_the_status_bar_and_the_word_at_the_end(lab: Lab) -> None:
    settings = lab.folder / "settings" / "jupyter_dsage" / "plugin.jupyterlab-settings"
    settings.parent.mkdir(exist_ok=True)
    settings.write_text('{"seconds": 0, "side": "left"}')
    lab.write("first.ipynb", [CELLS[0], "%%scatter short for x in range(20)\nimport time\ntime.sleep(0.1)"], "ours")
    try:
        with page_of(lab, "first.ipynb", width=1500) as page:
            end(page)
            page.evaluate(OPEN)
            assert page.locator("#jp-left-stack .dsage-panel").is_visible()
            expect(panel(page)).to_contain_text("%load_ext jupyter_dsage", timeout=5 * SECOND)
            panel(page).get_by_role("button", name="Start a session in first.ipynb").click()
            expect(panel(page).get_by_role("treeitem", name=re.compile("^first.ipynb"))).to_be_visible()
            run(page, 0)
            run(page, 1)
            status = page.locator("#jp-main-statusbar").get_by_role("button", name=re.compile("jobs running"))
            expect(status).to_contain_text(re.compile(r"[12] / \d+"))
            page.evaluate("window.jupyterapp.shell.collapseLeft()")
            status.click()
            expect(panel(page)).to_be_visible()
            told = page.locator(".jp-toast-message", has_text="short in first.ipynb is done: 20 jobs")
            expect(told.or_(page.get_by_text("short in first.ipynb is done: 20 jobs")).first).to_be_visible()
            end(page)
    finally:
        settings.unlink()


def test_a_session_that_does_not_run_is_revived_and_deleted(lab: Lab) -> None:
    with started(lab, "asleep.ipynb") as page:
        page.evaluate(f"{KERNEL}.shutdown()")  # so that no client starts its child again
        for last in (False, True):
            child = page.evaluate(
                """async () => {
                    const { baseUrl, token } = window.jupyterapp.serviceManager.serverSettings;
                    const answer = await fetch(baseUrl + "jupyter-dsage/sessions",
                        {headers: {Authorization: `token ${token}`}});
                    return (await answer.json()).sessions[0].pid;
                }"""
            )
            os.kill(child, signal.SIGKILL)
            view = panel(page)
            expect(view.get_by_role("treeitem", name=re.compile("^asleep.ipynb, not running"))).to_be_visible()
            expect(output(page).locator(".dsage-badge").first).to_have_text("session over")
            if not last:
                view.get_by_role("button", name="Revive").click()
                expect(view.get_by_role("button", name="Pause all")).to_be_visible(timeout=10 * SECOND)
                rises(output(page), "finished", count(output(page), "finished"), 20)
        view.get_by_role("button", name="Delete…").click()
        view.get_by_role("alertdialog").get_by_role("button", name="Delete it").click()
        expect(view).to_contain_text("No session is running")


def test_another_notebook_attaches(lab: Lab) -> None:
    lab.write("other.ipynb", ["1"], "ours")
    with started(lab, "owner.ipynb") as page:
        page.evaluate("window.jupyterapp.commands.execute('docmanager:open', {path: 'other.ipynb'})")
        page.wait_for_function(READY, timeout=60 * SECOND)
        panel(page).get_by_role("treeitem", name=re.compile("^owner.ipynb")).click()
        act(page, "More").click()
        page.get_by_role("menuitem", name="Attach other.ipynb").click()
        page.wait_for_function("window.jupyterapp.shell.currentWidget.content.widgets.length >= 2")
        shown = page.locator(".jp-NotebookPanel:visible .jp-DsageOutput")
        rises(shown, "finished", 0, 30)
        expect(panel(page).locator(".dsage-p-owner")).to_contain_text("attached here", timeout=20 * SECOND)
        panel(page).get_by_role("button", name="Go to cell").click()
        expect(page.locator(".jp-NotebookPanel:visible .jp-DsageOutput")).to_be_visible()


def front(page: Page, name: str) -> None:
    """Bring a notebook to the front; open it if it is not."""
    page.evaluate("path => window.jupyterapp.commands.execute('docmanager:open', {path})", name)
    page.wait_for_function(READY, timeout=60 * SECOND)


def test_it_follows_the_notebook_in_front_and_offers_nothing_on_another_ones_session(lab: Lab, tmp_path: Path) -> None:
    lab.write("new.ipynb", ["1"], "ours")
    with started(lab, "owner.ipynb") as page:
        view = panel(page)
        owner = view.locator(".dsage-p-owner")
        kernel = str(page.evaluate(f"{KERNEL}.id"))[:8]
        expect(owner).to_contain_text(
            re.compile(rf"owner\.ipynb\s*this notebook\s*kernel {kernel} · started \d\d:\d\d")
        )
        page.wait_for_timeout(SECOND)  # the time is told by the second
        run(page, 1)
        twice = view.get_by_role("treeitem", name=re.compile(r"^hist(#1)?: .*started \d\d:\d\d"))
        expect(twice).to_have_count(2)
        assert len(set(twice.locator(".dsage-p-when").all_inner_texts())) == 2

        front(page, "new.ipynb")
        expect(view).to_contain_text("new.ipynb has no session yet")
        expect(view.get_by_role("treeitem", name=re.compile("^owner.ipynb"))).to_be_visible()
        expect(view.get_by_role("button", name=re.compile("^(Pause|Cancel|Retry|More|Add jobs)"))).to_have_count(0)
        page.screenshot(path=str(tmp_path / "none.png"))
        page.evaluate("void window.jupyterapp.commands.execute('jupyter-dsage:refresh')")
        dialog = page.locator(".jp-Dialog")
        expect(dialog).to_contain_text("Refresh the workers of a session")
        expect(dialog.locator("option, select").first).to_contain_text(f"owner.ipynb · kernel {kernel}")
        dialog.get_by_role("button", name="Cancel").click()

        view.get_by_role("treeitem", name=re.compile("^owner.ipynb")).click()
        expect(owner).to_contain_text("not this notebook")
        expect(act(page, "Pause all")).to_be_visible()
        page.screenshot(path=str(tmp_path / "another.png"))
        owner.get_by_role("button", name="Back to new.ipynb").click()
        view.locator(".dsage-p-no-session").get_by_role("button", name="Start a session in new.ipynb").click()
        expect(owner).to_contain_text(re.compile(r"new\.ipynb\s*this notebook"), timeout=20 * SECOND)

        view.get_by_role("tab", name="Engines").click()
        card = view.locator(".dsage-p-engine")
        slots = re.search(r"\d+ slot", card.inner_text())[0]
        front(page, "owner.ipynb")
        expect(owner).to_contain_text(re.compile(r"owner\.ipynb\s*this notebook"))
        card.get_by_role("button", name="One slot more").evaluate(
            """button => {
                button.click(); // the order goes a moment later, since there may be more clicks
                return window.jupyterapp.commands.execute("docmanager:open", {path: "new.ipynb"});
            }"""
        )
        expect(owner).to_contain_text(re.compile(r"new\.ipynb\s*this notebook"))
        expect(view.locator(".dsage-p-note")).to_contain_text("owner.ipynb: ")
        expect(card).to_contain_text(slots)
        front(page, "owner.ipynb")
        expect(card).not_to_contain_text(slots)
        owner.get_by_role("button", name="Pin this session").click()
        front(page, "new.ipynb")
        expect(owner).to_contain_text(re.compile(r"owner\.ipynb\s*not this notebook"))
        owner.get_by_role("button", name="Pin this session", pressed=True).click()
        expect(owner).to_contain_text(re.compile(r"new\.ipynb\s*this notebook"))
