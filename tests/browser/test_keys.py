"""What is typed in a view stays there: no key reaches the notebook around it, except those that concern no cell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.lab import page_of, run
from tests.browser.test_busy_kernel import SECOND
from tests.browser.test_panel import CELLS, KERNEL, OPEN, act, end, output, panel

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from tests.browser.lab import Lab

pytestmark = [pytest.mark.needs("browser", "view"), pytest.mark.timeout(240)]

FAILING = "%%scatter hist for x in range(3000)\nimport time\ntime.sleep(0.02)\nassert x > 2"
NOTEBOOK = """() => [...window.jupyterapp.shell.currentWidget.content.widgets].map(
    ({model}) => `${model.type}: ${model.sharedModel.getSource()}`)"""
LISTEN = r"""async () => {
    // Every key that is bound to something in a notebook, and what JupyterLab does when it is typed.
    const { commands, shell } = window.jupyterapp;
    const PASS = ["Accel S", "Accel Shift S", "Accel Shift C", "Accel F", "Accel B", "Accel J"];
    const bound = commands.keyBindings.filter(({ selector, keys }) =>
        /jp-Notebook|data-jp-|jp-Cell/.test(selector) && keys.length && !PASS.includes(keys[0]));
    const chords = [...new Set(bound.map(({ keys }) => keys.join(" | ")))].map((keys) => keys.split(" | "))
        .filter(([first]) => first !== "Escape");
    const watched = new Set(bound.map(({ command }) => command));
    const keys = (window.keys = { chords, ran: [], at: "the cell", typed: new Set() });
    commands.commandExecuted.connect((_, { id }) => watched.has(id) && keys.ran.push(`${id} in ${keys.at}`));

    const CODES = { Enter: 13, Escape: 27, Backspace: 8, Delete: 46, Tab: 9, Space: 32, Home: 36, End: 35, PageUp: 33,
        PageDown: 34, ArrowLeft: 37, ArrowUp: 38, ArrowRight: 39, ArrowDown: 40,
        "-": 189, "/": 191, "[": 219, "]": 221, "\\": 220, ",": 188, ".": 190, "=": 187, "'": 222, ";": 186 };
    keys.press = (el, stroke) => {
        const parts = stroke.split(" ");
        const name = parts.pop();
        const letter = /^[A-Z]$/.test(name);
        const shiftKey = parts.includes("Shift");
        const init = { key: letter && !shiftKey ? name.toLowerCase() : name, code: letter ? `Key${name}` : name,
            keyCode: CODES[name] ?? (/^F\d+$/.test(name) ? 111 + Number(name.slice(1)) : name.charCodeAt(0)),
            ctrlKey: parts.includes("Ctrl") || parts.includes("Accel"), altKey: parts.includes("Alt"), shiftKey,
            bubbles: true, cancelable: true, composed: true };
        el.dispatchEvent(new KeyboardEvent("keydown", init));
        el.dispatchEvent(new KeyboardEvent("keyup", init));
    };
    keys.settle = () => new Promise((done) => setTimeout(done, 1300)); // JupyterLab waits a second for a chord's rest
    const cell = shell.currentWidget.content.activeCell.node;
    cell.focus();
    keys.press(cell, "Y");
    await keys.settle();
    return { ran: keys.ran.splice(0), chords: chords.length };
}"""
TYPE = """(roots) => {
    // All of them in each element that can have the focus and has not had them; Escape last, since it closes things.
    const { chords, press, typed } = window.keys;
    const all = [...document.querySelectorAll(roots)].flatMap((root) =>
        [...root.querySelectorAll("button, input, [tabindex]")]);
    const type = (el, some) => {
        const said = el.getAttribute("aria-label") ?? el.textContent;
        window.keys.at = `${el.localName}.${el.className} ${said}`.slice(0, 60);
        for (const chord of some) {
            if (document.activeElement !== el) el.focus();
            for (const stroke of chord) press(el, stroke);
            press(document.body, "F8"); // ends a chord that has begun
        }
    };
    const open = all.filter((el) => {
        if (typed.has(el) || !el.checkVisibility()) return false;
        el.focus();
        return document.activeElement === el;
    });
    for (const el of open) typed.add(el) && type(el, chords);
    for (const el of open) if (el.checkVisibility()) type(el, [["Escape"]]);
    return open.length;
}"""


def listen(page: Page) -> None:
    """Begin to note what keys do in the notebook; one that is typed in a cell shows that it is noted."""
    heard = page.evaluate(LISTEN)
    assert heard["ran"] == ["notebook:change-cell-to-code in the cell"]
    assert heard["chords"] > 30


def type_everywhere(page: Page) -> None:
    """Type all keys in the view of a cell, in the panel and in a tab, in every state that brings other elements.

    Fails if JupyterLab does anything. The first jobs of `hist` must have failed, and others wait.
    """
    before = page.evaluate(NOTEBOOK)
    listen(page)
    page.evaluate("document.querySelector('.jp-DsageOutput > .dsage-away').hidden = false")
    _in_the_view(page, output(page).locator(".dsage").first, ".jp-DsageOutput")
    page.evaluate(OPEN)
    whole = panel(page)
    expect(whole.get_by_role("treeitem", name=re.compile("^hist"))).to_be_visible(timeout=20 * SECOND)
    _in_the_view(page, whole.locator(".dsage").first, ".dsage-panel")
    strip = whole.locator(".dsage-p-live > .dsage-strip")
    for name in ("Workers", "Log", "Engines"):
        strip.get_by_role("tab", name=name).click()
        expect(whole.get_by_role("tabpanel", name=name)).to_be_visible()
        type_in(page, ".dsage-panel", 0 if name == "Workers" else 2)
    engine = whole.get_by_role("button", name="Remove…").first
    for button, role in ((engine, "alertdialog"), (act(page, "More"), "menu")):
        button.click()
        expect(whole.locator(".dsage-p-detail").get_by_role(role)).to_be_visible()
        type_in(page, ".dsage-panel", 2)
    assert_silent(page)
    assert page.evaluate(NOTEBOOK) == before
    strip.get_by_role("tab", name="Batch").click()
    wide = whole.get_by_role("button", name="Open in a tab")
    expect(whole.get_by_label("Control").first).to_be_visible()
    if wide.is_visible():  # not in Notebook 7
        wide.click()
        expect(page.locator(".jp-DsageTab .dsage-field-of-jobs")).to_be_visible()
        type_in(page, ".jp-DsageTab", 12)
        assert_silent(page)


def type_in(page: Page, roots: str, at_least: int) -> None:
    assert page.evaluate(TYPE, roots) >= at_least
    assert sorted(set(page.evaluate("window.keys.ran"))) == []


def assert_silent(page: Page) -> None:
    page.evaluate("window.keys.settle()")
    assert sorted(set(page.evaluate("window.keys.ran"))) == []


def _in_the_view(page: Page, view: Locator, roots: str) -> None:
    """Go through the states of a batch's view."""

    def tab(name: str) -> None:
        view.locator(".dsage-tabs").get_by_role("tab", name=re.compile(f"^{name}")).click()
        expect(view.get_by_role("tabpanel", name=re.compile(f"^{name}"))).to_be_visible()

    tab("Failed")
    view.locator("button.dsage-f-job").first.click()
    expect(view.locator(".dsage-why").first).to_be_visible()
    type_in(page, roots, 12)
    tab("Job")
    view.get_by_label("Job number").fill("0")
    page.keyboard.press("Enter")
    expect(view.locator(".dsage-job .dsage-trace")).to_be_visible()
    view.get_by_role("button", name="Add jobs…").click()
    type_in(page, roots, 8)
    for name in ("Workers", "Log"):
        tab(name)
        type_in(page, roots, 1)
    view.get_by_role("button", name="More").click()
    type_in(page, roots, 2)
    view.get_by_role("button", name="More").click()
    view.get_by_role("menuitem", name="Kill child…").click()
    type_in(page, roots, 2)
    page.keyboard.press("Escape")


@pytest.mark.parametrize("place", ["lab", "widget_lab"])
def test_what_is_typed_after_a_click_changes_no_cell(place: str, request: pytest.FixtureRequest) -> None:
    """As a person does it, where the output is rendered by our labextension and where it is the widget."""
    server: Lab = request.getfixturevalue(place)
    server.write("typed.ipynb", [CELLS[0], FAILING, "'the last'"], "ours")
    with page_of(server, "typed.ipynb") as page:
        try:
            run(page, 0)
            run(page, 1)
            view = page.locator(".dsage").first
            expect(view.locator("button.dsage-f-job")).to_have_count(3, timeout=20 * SECOND)
            before = page.evaluate(NOTEBOOK)

            field = view.locator(".dsage-field-of-jobs")
            field.click(position={"x": 4, "y": 4})
            _press(page, "d d 0 0 x")
            page.keyboard.press("ArrowRight")
            page.keyboard.press("Enter")
            expect(view.get_by_role("tab", name="Job 1")).to_be_visible()
            view.get_by_role("tab", name="Job 1").click()
            _press(page, "x d d")
            page.keyboard.press("ArrowLeft")
            expect(view.get_by_role("tab", name="Failed")).to_be_focused()
            view.get_by_role("button", name="Add jobs…").click()
            page.keyboard.type("range(10")
            page.keyboard.press("Escape")
            _press(page, "x d d")
            view.get_by_role("button", name="More").click()
            _press(page, "a b x")
            page.keyboard.press("Escape")
            _press(page, "y m r x Shift+Enter")
            view.locator(".dsage-counts").click()  # nothing there can have the focus
            _press(page, "d d x")
            view.get_by_role("button", name="Pause", exact=True).press("Enter")  # it goes when it has been pressed
            expect(view.get_by_role("button", name="Resume", exact=True)).to_be_focused()
            _press(page, "d d x")
            page.wait_for_timeout(1300)  # as long as JupyterLab waits for a chord's rest
            assert page.evaluate(NOTEBOOK) == before

            page.evaluate("window.jupyterapp.shell.currentWidget.model.dirty = true")
            field.click(position={"x": 4, "y": 4})
            page.keyboard.press("Control+s")
            page.wait_for_function("!window.jupyterapp.shell.currentWidget.model.dirty")
            page.keyboard.press("Control+Shift+C")
            expect(page.locator(".lm-CommandPalette-input")).to_be_focused()
        finally:
            if place == "lab":
                end(page)
            else:
                page.evaluate(f"{KERNEL}.requestExecute({{code: '%dsage die --all'}}).done")


def _press(page: Page, keys: str) -> None:
    for key in keys.split():
        page.keyboard.press(key)
