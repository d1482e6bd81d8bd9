/** The tabs below: failures, one job, all workers, the log. The room they take is fixed; a handle at its corner resizes it. */

import { attr, h, id, text, type Component } from "./dom";
import { failures } from "./failures";
import { jobPane } from "./job_pane";
import { log } from "./log";
import { __ } from "./say";
import { workers } from "./workers";
import { number } from "./words";
import type { App, Tab } from "./app";

const ORDER: readonly Tab[] = ["failed", "job", "workers", "log"];

export function tabs(app: App): Component {
  const panes: Readonly<Record<Tab, Component>> = { failed: failures(app), job: jobPane(app), workers: workers(app), log: log(app) };
  const names = new Map<Tab, HTMLButtonElement>();
  const list = h("div", { class: "dsage-tablist", role: "tablist", "aria-label": __("Details"), keydown: (event) => arrows(event as KeyboardEvent) });
  const note = h("span", { class: "dsage-note", role: "status" });
  const fold = h("button", { type: "button", class: "dsage-fold", click: () => app.set({ closed: !app.ui.closed }) });
  const body = h("div", { class: "dsage-panels" });
  for (const tab of ORDER) {
    const [tabId, panelId] = [id("tab"), id("panel")];
    const name = h("button", { type: "button", class: "dsage-tab", role: "tab", id: tabId, "aria-controls": panelId, click: () => app.open(tab) });
    names.set(tab, name);
    list.append(name);
    const pane = panes[tab].el;
    for (const [key, value] of Object.entries({ id: panelId, role: "tabpanel", "aria-labelledby": tabId, tabindex: "0" })) pane.setAttribute(key, value);
    pane.classList.add("dsage-pane");
    body.append(pane);
  }

  function arrows(event: KeyboardEvent): void {
    const at = ORDER.indexOf(app.tab);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: ORDER.length - 1 }[event.key];
    const tab = next === undefined ? undefined : ORDER[(next + ORDER.length) % ORDER.length];
    if (!tab) return;
    event.preventDefault();
    app.open(tab);
    names.get(tab)?.focus();
  }

  function title(tab: Tab): string {
    const s = app.snapshot;
    if (tab === "failed") return __("Failed %1", number(s?.failures.total ?? 0));
    if (tab === "job") return app.ui.chosen === null ? __("Job") : __("Job %1", number(app.ui.chosen));
    return tab === "workers" ? __("Workers %1", number((s?.workers.length ?? 0) + (s?.more_workers ?? 0))) : __("Log");
  }

  return {
    el: h("div", { class: "dsage-tabs" }, h("div", { class: "dsage-strip" }, list, note, fold), body),
    update() {
      for (const [tab, name] of names) {
        const on = app.tab === tab;
        text(name, title(tab));
        attr(name, "aria-selected", String(on));
        attr(name, "tabindex", on ? "0" : "-1");
        attr(name, "data-some", tab === "failed" && (app.snapshot?.failures.total ?? 0) > 0);
        attr(panes[tab].el, "hidden", !on);
        if (on && !app.ui.closed) panes[tab].update();
      }
      text(note, app.ui.note);
      attr(note, "title", app.ui.note || null);
      attr(body, "hidden", app.ui.closed);
      text(fold, app.ui.closed ? "▸" : "▾");
      attr(fold, "aria-expanded", String(!app.ui.closed));
      attr(fold, "aria-label", app.ui.closed ? __("Show details") : __("Hide details"));
      attr(fold, "title", app.ui.closed ? __("Show details") : __("Hide details"));
    },
    close: () => ORDER.forEach((tab) => panes[tab].close?.()),
  };
}
