/** What stands below the list while the notebook in front has no session: what to do, and nothing that acts on another's. */

import { attr, h, text, type Component } from "../dom";
import { __ } from "../say";
import type { PanelApp } from "./app";

export function noSession(app: PanelApp): Component {
  const head = h("h3", {});
  const first = h("p", {}, __("A cell that begins with %1 starts one by itself, with its workers; or start it now.", "%%scatter"));
  const kernel = h("p", {}, __("It has no kernel: start one first."));
  const start = h("button", { type: "button", class: "dsage-button dsage-primary", click: () => {
    if (start.getAttribute("aria-disabled") !== "true") void begin();
  } });
  const others = h("p", { class: "dsage-hint" }, __("The sessions above are not this notebook's. Choose one to see it."));
  const el = h("section", { class: "dsage-p-no-session", "aria-label": __("The notebook in front") }, head, first, kernel, h("div", { class: "dsage-row" }, start), others);
  let starting = false;

  async function begin(): Promise<void> {
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
    el,
    update() {
      const { notebook } = app;
      attr(el, "hidden", !notebook || !app.sessions.rows?.length || app.id !== null);
      text(head, __("%1 has no session yet", notebook?.name ?? ""));
      attr(first, "hidden", !notebook?.kernel);
      attr(kernel, "hidden", notebook?.kernel !== "");
      attr(start, "hidden", !notebook?.kernel);
      text(start, starting ? __("Starting…") : __("Start a session in %1", notebook?.name ?? ""));
      attr(start, "aria-disabled", starting ? "true" : null);
    },
  };
}
