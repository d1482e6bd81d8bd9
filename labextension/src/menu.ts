/** "⋯": Refresh workers and Kill child, which asks first, in place. */

import { attr, h, text, type Component } from "./dom";
import { __, _n } from "./say";
import { button } from "./model";
import { number } from "./words";
import type { App, Ui } from "./app";

export function menu(app: App): Component {
  const toggle = h("button", {
    type: "button",
    class: "dsage-button dsage-more",
    "aria-label": __("More: Refresh workers, Kill child"),
    "aria-haspopup": "menu",
    click: () => {
      if (toggle.getAttribute("aria-disabled") !== "true") show(app.ui.menu === "closed" ? "open" : "closed");
    },
  }, "⋯");
  const refresh = item(() => {
    app.command({ op: "refresh" });
    show("closed");
  });
  const die = item(() => show("asking"));
  die.classList.add("dsage-warn");
  const items = h("div", { role: "menu", "aria-label": __("More"), class: "dsage-items", keydown: (event) => arrows(event as KeyboardEvent) }, refresh, die);
  const question = h("p", { class: "dsage-question" });
  const kill = h("button", { type: "button", class: "dsage-button dsage-danger", click: () => {
    app.command({ op: "die" });
    show("closed");
  } }, __("Kill child"));
  const keep = h("button", { type: "button", class: "dsage-button", click: () => show("closed") }, __("Keep it"));
  const ask = h("div", { role: "alertdialog", "aria-label": __("Kill child?"), class: "dsage-ask" }, question, h("div", { class: "dsage-row" }, kill, keep));
  const popover = h("div", { class: "dsage-popover dsage-menu", tabindex: "-1", hidden: true }, items, ask);
  const el = h("span", {
    class: "dsage-anchor",
    keydown: (event) => {
      if ((event as KeyboardEvent).key === "Escape" && app.ui.menu !== "closed") show("closed");
    },
    focusout: (event) => {
      const to = (event as FocusEvent).relatedTarget;
      if (app.ui.menu !== "closed" && !(to instanceof Node && el.contains(to))) app.set({ menu: "closed" });
    },
  }, toggle, popover);

  function item(click: () => void): HTMLButtonElement {
    const made: HTMLButtonElement = h("button", { type: "button", role: "menuitem", class: "dsage-item", click: () => {
      if (made.getAttribute("aria-disabled") !== "true") click();
    } });
    return made;
  }
  function arrows(event: KeyboardEvent): void {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    (document.activeElement === refresh ? die : refresh).focus();
  }
  // The place is shown at once and not in the next frame: only what is visible can take the focus.
  function show(next: Ui["menu"]): void {
    app.set({ menu: next, adding: { open: false, status: "", text: "" } });
    update();
    if (next === "open") refresh.focus();
    else if (next === "asking") keep.focus();
    else toggle.focus();
  }
  function update(): void {
    const s = app.snapshot;
    for (const [part, action] of [[refresh, "refresh"], [die, "die"]] as const) {
      const b = button(action, s, app.isPending(action));
      text(part, b.label);
      attr(part, "title", b.hint);
      attr(part, "aria-disabled", b.enabled ? null : "true");
    }
    const workers = (s?.workers.length ?? 0) + (s?.more_workers ?? 0);
    const jobs = (s?.batch.counts.queued ?? 0) + (s?.batch.counts.running ?? 0);
    const rest = jobs ? ` ${_n("1 job has not ended.", "%2 jobs have not ended.", jobs, number(jobs))}` : "";
    text(question, _n("Kill the child and its 1 worker?", "Kill the child and its %2 workers?", workers, number(workers)) + rest);
    attr(toggle, "aria-disabled", s?.session.alive ? null : "true");
    attr(toggle, "aria-expanded", String(app.ui.menu !== "closed"));
    attr(popover, "hidden", app.ui.menu === "closed");
    attr(items, "hidden", app.ui.menu !== "open");
    attr(ask, "hidden", app.ui.menu !== "asking");
  }
  return { el, update };
}
