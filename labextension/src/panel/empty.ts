/** What stands in the panel while there is no session: the first step, or why nothing can be shown. */

import { attr, h, text, type Component } from "../dom";
import { __ } from "../say";
import type { PanelApp } from "./app";

const EXAMPLE = "%load_ext jupyter_dsage\n\n%%scatter hist for x in range(100)\nx * x";

export function empty(app: PanelApp): Component {
  const problem = h("p", { class: "dsage-reason", role: "alert" });
  const again = h("button", { type: "button", class: "dsage-button", click: () => void app.sessions.reload() }, __("Try again"));
  const trouble = h("div", { class: "dsage-p-trouble" }, problem, again);
  const start = h("button", { type: "button", class: "dsage-button dsage-primary", click: () => void begin() });
  const example = h("button", { type: "button", class: "dsage-button", click: () => app.place.openExample?.() }, __("Open the example notebook"));
  const art = h("div", { class: "dsage-p-art", "aria-hidden": "true" }, ...Array.from({ length: 36 }, (_, i) => h("i", { class: i < 16 ? "dsage-finished" : i < 20 ? "dsage-running" : "dsage-queued" })));
  const steps = h(
    "div",
    { class: "dsage-p-first" },
    art,
    h("h3", {}, __("No session is running")),
    h("p", {}, __("A session spreads the jobs of your notebooks over workers. The first batch starts one by itself; run these two cells:")),
    h("pre", { tabindex: "0", "aria-label": __("Example") }, EXAMPLE),
    h("div", { class: "dsage-p-choices" }, start, example),
  );
  let starting = false;

  async function begin(): Promise<void> {
    if (starting) return;
    starting = true;
    app.touch();
    try {
      await app.start();
    } finally {
      starting = false;
      app.touch();
    }
  }
  return {
    el: h("div", { class: "dsage-p-empty" }, trouble, steps),
    update() {
      const rows = app.sessions.rows;
      const { problem: why } = app.sessions;
      attr(trouble, "hidden", !why);
      text(problem, why);
      attr(steps, "hidden", rows === null || rows.length > 0);
      const { notebook } = app;
      attr(start, "hidden", !notebook?.kernel);
      text(start, starting ? __("Starting…") : __("Start a session in %1", notebook?.name ?? ""));
      attr(start, "aria-disabled", starting ? "true" : null);
      attr(example, "hidden", !app.place.openExample);
    },
  };
}
