/** The workers of the chosen session, below their engines: what each does now, and what it takes of its host. */

import { attr, h, Rows, text, type Component, type Row as Line } from "../dom";
import { __, _n } from "../say";
import { number } from "../words";
import { bytes, doing } from "./model";
import type { PanelApp } from "./app";
import type { WorkerRow } from "./types";

type Item = { readonly kind: "engine"; readonly name: string; readonly host: string } | { readonly kind: "worker"; readonly worker: WorkerRow };

export function workerPane(app: PanelApp): Component {
  const body = h("tbody");
  const heads = [__("worker"), __("now"), __("CPU"), __("memory")].map((word) => h("th", { scope: "col" }, word));
  const table = h("table", { class: "dsage-table dsage-p-workers", "aria-label": __("Workers") }, h("thead", {}, h("tr", {}, ...heads)), body);
  const rest = h("p", { class: "dsage-empty" });
  const rows = new Rows<Item>(body, (item) => (item.kind === "engine" ? `engine ${item.name}` : `worker ${item.worker.name}`), (item) => (item.kind === "engine" ? engineLine() : workerLine(app)));
  return {
    el: h("div", {}, table, rest),
    update() {
      const view = app.view;
      const workers = view?.workers ?? [];
      const items: Item[] = [];
      let engine: string | null = null;
      for (const worker of [...workers].sort((a, b) => (a.engine < b.engine ? -1 : a.engine > b.engine ? 1 : 0))) {
        if (worker.engine !== engine) items.push({ kind: "engine", name: (engine = worker.engine), host: worker.host });
        items.push({ kind: "worker", worker });
      }
      rows.update(items);
      const more = view?.more_workers ?? 0;
      attr(table, "hidden", !workers.length);
      text(rest, more ? _n("and 1 more", "and %2 more", more, number(more)) : __("No worker is up."));
      attr(rest, "hidden", !more && workers.length > 0);
    },
  };
}

function engineLine(): Line<Item> {
  const name = h("th", { scope: "rowgroup", colspan: "4" });
  return {
    el: h("tr", { class: "dsage-p-group" }, name),
    update(item) {
      if (item.kind === "engine") text(name, item.host && item.host !== item.name ? `${item.name} · ${item.host}` : item.name);
    },
  };
}

function workerLine(app: PanelApp): Line<Item> {
  const cell = (word: string): HTMLElement => h("td", { class: `dsage-p-w-${word}` });
  const [name, now, cpu, memory] = [cell("name"), cell("now"), cell("cpu"), cell("memory")];
  const part = h("i");
  const percent = h("span");
  cpu.append(h("span", { class: "dsage-p-load", "aria-hidden": "true" }, part), percent);
  const el = h("tr", {}, name, now, cpu, memory);
  return {
    el,
    update(item) {
      if (item.kind !== "worker") return;
      const { worker } = item;
      text(name, worker.name.startsWith(`${worker.engine}/`) ? worker.name.slice(worker.engine.length) : worker.name);
      attr(name, "title", __("%1, process %2", worker.name, worker.pid));
      const said = doing(worker, app.view?.batches ?? []);
      text(now, said);
      attr(now, "title", said);
      attr(el, "data-idle", worker.job === null);
      const width = `${Math.min(100, worker.cpu ?? 0).toFixed(0)}%`;
      if (part.style.width !== width) part.style.width = width;
      text(percent, worker.cpu === null ? "" : `${Math.round(worker.cpu)} %`);
      text(memory, bytes(worker.memory));
    },
  };
}
