/** The engines as a table: where each is, how it is, what it did of this batch; its note stands below it. */

import { attr, h, reshape, Rows, shape, text, type Component, type Row } from "./dom";
import { limits, percent, share, stateWord, workersUp } from "./engines";
import { __, _n } from "./say";
import { number } from "./words";
import type { App } from "./app";
import type { Engine } from "./types";

const COLUMNS = ["engine", "host", "state", "workers", "running", "finished", "failed", "share"] as const;

export function engineTable(app: App): Component {
  const words = { engine: __("engine"), host: __("host"), state: __("state"), workers: __("workers"), running: __("running"), finished: __("finished"), failed: __("failed"), share: __("share") };
  const heads = COLUMNS.map((name) => h("th", { scope: "col", class: `dsage-e-${name}` }, words[name]));
  const head = h("thead", {}, h("tr", {}, ...heads));
  const table = h("table", { class: "dsage-table dsage-engines", "aria-label": __("Engines") }, head);
  const more = h("p", { class: "dsage-empty" });
  const rows = new Rows<Engine>(table, (engine) => engine.name, () => row(app), head); // a body each, with its note
  return {
    el: h("div", {}, table, more),
    update() {
      const engines = app.snapshot?.engines ?? [];
      const hidden = app.snapshot?.more_engines ?? 0;
      text(more, _n("and 1 more engine", "and %2 more engines", hidden, number(hidden)));
      attr(more, "hidden", hidden === 0);
      attr(table, "hidden", engines.length === 0);
      attr(table, "data-one", engines.length < 2);
      rows.update(engines);
    },
  };
}

function row(app: App): Row<Engine> {
  const cells = new Map(COLUMNS.map((word) => [word, h(word === "engine" ? "th" : "td", { class: `dsage-e-${word}`, ...(word === "engine" ? { scope: "row" } : {}) })]));
  const sign = shape("open");
  const state = h("span");
  const part = h("i");
  const done = h("span");
  cells.get("state")?.append(h("span", { class: "dsage-e-sign" }, sign, state));
  cells.get("share")?.append(h("span", { class: "dsage-e-bar", "aria-hidden": "true" }, part), done);
  const note = h("td", { colspan: String(COLUMNS.length) });
  const below = h("tr", { class: "dsage-e-note" }, note);
  const say = (word: (typeof COLUMNS)[number], value: string): void => {
    const cell = cells.get(word);
    if (cell) text(cell, value);
  };
  return {
    el: h("tbody", {}, h("tr", {}, ...cells.values()), below),
    update(engine) {
      say("engine", engine.name);
      say("host", engine.host);
      reshape(sign, engine.state);
      text(state, stateWord(engine));
      say("workers", workersUp(engine));
      say("running", number(engine.running));
      say("finished", number(engine.finished));
      say("failed", number(engine.failed));
      const much = share(engine, app.snapshot?.engines ?? []);
      const width = `${much.toFixed(1)}%`;
      if (part.style.width !== width) part.style.width = width;
      text(done, percent(much));
      const said = [engine.note, limits(engine)].filter(Boolean).join(" ");
      text(note, said);
      attr(below, "hidden", !said);
      attr(below, "data-state", engine.state);
    },
  };
}
