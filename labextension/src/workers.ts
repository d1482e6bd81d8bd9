/** All engines and workers as a table: stage, process, what each is doing and has done. */

import { attr, h, Rows, text, type Component, type Row } from "./dom";
import { now, told } from "./lanes";
import { number } from "./words";
import type { App } from "./app";
import type { Engine, Worker } from "./types";

export function workers(app: App): Component {
  const engines = h("ul", { class: "dsage-engines", "aria-label": "Engines" });
  const body = h("tbody");
  const head = h("tr", {}, ...["worker", "stage", "now", "in the last 30 s", "process"].map((word) => h("th", { scope: "col" }, word)));
  const table = h("table", { class: "dsage-table" }, h("thead", {}, head), body);
  const rest = h("p", { class: "dsage-empty" });
  const engineRows = new Rows<Engine>(engines, (engine) => engine.name, engine);
  const rows = new Rows<Worker>(body, (worker) => worker.name, row);
  return {
    el: h("div", {}, engines, table, rest),
    update() {
      const s = app.snapshot;
      engineRows.update(s?.engines ?? []);
      rows.update(s?.workers ?? []);
      attr(table, "hidden", !s?.workers.length);
      const more = s?.more_workers ?? 0;
      text(rest, more ? `and ${number(more)} more` : "No worker is up.");
      attr(rest, "hidden", !more && (s?.workers.length ?? 0) > 0);
    },
  };
}

function engine(): Row<Engine> {
  const name = h("b");
  const state = h("span");
  return {
    el: h("li", {}, name, " ", state),
    update(item) {
      text(name, item.name);
      text(state, item.failure ?? `${number(item.slots)} ${item.slots === 1 ? "slot" : "slots"}`);
      attr(state, "data-trouble", item.failure !== null);
    },
  };
}

function row(): Row<Worker> {
  const cells = Array.from({ length: 5 }, () => h("td"));
  return {
    el: h("tr", {}, ...cells),
    update(worker) {
      const words = [worker.name, worker.stage, worker.job === null ? "–" : now(worker), told(worker.lane).replace(/^.*: /, ""), String(worker.pid)];
      cells.forEach((cell, i) => text(cell, words[i] ?? ""));
    },
  };
}
