/** The log of the chosen session's child, as it was when last read. */

import { attr, h, text, type Component } from "../dom";
import { __ } from "../say";
import type { PanelApp } from "./app";

export function logPane(app: PanelApp): Component {
  const lines = h("pre", { tabindex: "0", "aria-label": __("Log of the child") });
  const again = h("button", { type: "button", class: "dsage-button dsage-small", click: () => void app.readLog() }, __("Read again"));
  let read: string | null = null;
  return {
    el: h("div", { class: "dsage-p-log" }, h("div", { class: "dsage-p-ways" }, again), lines),
    update() {
      text(lines, app.ui.log ?? "…");
      attr(lines, "data-none", app.ui.log === null);
      if (app.ui.log !== read) lines.scrollTop = lines.scrollHeight;
      read = app.ui.log;
    },
  };
}
