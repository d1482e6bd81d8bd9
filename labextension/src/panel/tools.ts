/** The line above the list: what it is, a session for the notebook in front, and the list asked for again. */

import { attr, glyph, h, type Component } from "../dom";
import { __ } from "../say";
import type { PanelApp } from "./app";

const PLUS = "M7 2v10M2 7h10";
const AGAIN = "M11.5 4.2A5 5 0 1 0 12 7M12 1.6v3h-3";

export function tools(app: PanelApp): Component {
  const start = tool(PLUS, () => void app.start());
  const again = tool(AGAIN, () => void app.sessions.reload());
  again.title = __("Ask for the sessions again");
  attr(again, "aria-label", again.title);
  return {
    el: h("div", { class: "dsage-p-tools" }, h("h2", {}, __("Sessions")), start, again),
    update() {
      const { notebook } = app;
      attr(start, "hidden", !notebook?.kernel || app.rows.some(({ alive, kernel }) => alive && kernel === notebook.kernel));
      const label = __("Start a session in %1", notebook?.name ?? "");
      attr(start, "title", label);
      attr(start, "aria-label", label);
    },
  };
}

function tool(path: string, click: () => void): HTMLButtonElement {
  return h("button", { type: "button", class: "dsage-p-tool", click }, glyph(path, 14));
}
