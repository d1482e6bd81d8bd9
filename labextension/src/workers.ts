/** All engines and workers as a table: stage, process, what each is doing and has done. */

import { attr, h, Rows, text, type Component, type Row } from "./dom";
import { engineTable } from "./engine_table";
import { did, now } from "./lanes";
import { __ } from "./say";
import { number } from "./words";
import type { App } from "./app";
import type { Worker } from "./types";

export function workers(app: App): Component {
  const engines = engineTable(app);
  const body = h("tbody");
  const head = h("tr", {}, ...[__("worker"), __("stage"), __("now"), __("in the last 30 s"), __("process")].map((word) => h("th", { scope: "col" }, word)));
  const table = h("table", { class: "dsage-table" }, h("thead", {}, head), body);
  const rest = h("p", { class: "dsage-empty" });
  const rows = new Rows<Worker>(body, (worker) => worker.name, row);
  return {
    el: h("div", {}, engines.el, table, rest),
    update() {
      const s = app.snapshot;
      engines.update();
      rows.update(s?.workers ?? []);
      attr(table, "hidden", !s?.workers.length);
      const more = s?.more_workers ?? 0;
      text(rest, more ? __("and %1 more", number(more)) : __("No worker is up."));
      attr(rest, "hidden", !more && (s?.workers.length ?? 0) > 0);
    },
  };
}

function row(): Row<Worker> {
  const cells = Array.from({ length: 5 }, () => h("td"));
  return {
    el: h("tr", {}, ...cells),
    update(worker) {
      const words = [worker.name, worker.stage, worker.job === null ? "–" : now(worker), did(worker.lane), String(worker.pid)];
      cells.forEach((cell, i) => text(cell, words[i] ?? ""));
    },
  };
}
