/**
 * What there is of the chosen session: what may be done to all of it, and four panes: the chosen batch in full, the
 * workers, the engines, the log. One that does not run can be revived or deleted.
 */

import { attr, h, id, text, type Component } from "../dom";
import { __ } from "../say";
import { number } from "../words";
import { actions } from "./actions";
import { batchPane } from "./batch_pane";
import { enginePane } from "./engine_pane";
import { logPane } from "./log_pane";
import { owner } from "./owner";
import { sleeper } from "./sleeper";
import { workerPane } from "./worker_pane";
import type { Pane, PanelApp } from "./app";

const ORDER: readonly Pane[] = ["batch", "workers", "engines", "log"];

export function detail(app: PanelApp): Component {
  const panes: Readonly<Record<Pane, Component>> = { batch: batchPane(app), workers: workerPane(app), engines: enginePane(app), log: logPane(app) };
  const head = actions(app);
  const mark = owner(app);
  const asleep = sleeper(app);
  const note = h("p", { class: "dsage-p-note", role: "status" });
  const names = new Map<Pane, HTMLButtonElement>();
  const tabs = h("div", { class: "dsage-tablist", role: "tablist", "aria-label": __("The chosen session"), keydown: (event) => arrows(event as KeyboardEvent) });
  const body = h("div", { class: "dsage-p-panes" });
  for (const pane of ORDER) {
    const [tabId, paneId] = [id("tab"), id("pane")];
    const tab = h("button", { type: "button", class: "dsage-tab", role: "tab", id: tabId, "aria-controls": paneId, click: () => app.open(pane) });
    names.set(pane, tab);
    tabs.append(tab);
    const { el } = panes[pane];
    for (const [key, value] of Object.entries({ id: paneId, role: "tabpanel", "aria-labelledby": tabId })) el.setAttribute(key, value);
    el.classList.add("dsage-p-pane");
    body.append(el);
  }
  const strip = h("div", { class: "dsage-strip" }, tabs);
  const live = h("div", { class: "dsage-p-live" }, strip, body);

  function arrows(event: KeyboardEvent): void {
    const at = ORDER.indexOf(app.ui.pane);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: ORDER.length - 1 }[event.key];
    const pane = next === undefined ? undefined : ORDER[(next + ORDER.length) % ORDER.length];
    if (!pane) return;
    event.preventDefault();
    app.open(pane);
    names.get(pane)?.focus();
  }
  function label(pane: Pane): string {
    const view = app.view;
    const count = (rows: number): string => (rows ? ` ${number(rows)}` : "");
    if (pane === "batch") return __("Batch");
    if (pane === "workers") return __("Workers") + count((view?.workers.length ?? 0) + (view?.more_workers ?? 0));
    if (pane === "engines") return __("Engines") + count((view?.engines.length ?? 0) + (view?.more_engines ?? 0));
    return __("Log");
  }
  const el = h("section", { class: "dsage-p-detail", "aria-label": __("The chosen session") }, mark.el, head.el, note, asleep.el, live);
  return {
    el,
    update() {
      const row = app.row;
      attr(el, "hidden", !row);
      mark.update();
      head.update();
      asleep.update();
      text(note, app.ui.note);
      attr(note, "hidden", !app.ui.note);
      attr(note, "data-error", app.ui.noteIsError);
      // The past of a session that ended while it was looked at stays to be read.
      attr(live, "hidden", !row?.alive && !app.view);
      for (const [pane, tab] of names) {
        const on = app.ui.pane === pane;
        text(tab, label(pane));
        attr(tab, "aria-selected", String(on));
        attr(tab, "tabindex", on ? "0" : "-1");
        attr(panes[pane].el, "hidden", !on);
        if (on && row) panes[pane].update();
      }
    },
    close: () => ORDER.forEach((pane) => panes[pane].close?.()),
  };
}
