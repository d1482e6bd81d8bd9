/** The child's log, as it was when last asked for; it stays at its end unless it was scrolled away from there. */

import { h, text, type Component } from "./dom";
import { __ } from "./say";
import type { App } from "./app";

export function log(app: App): Component {
  const lines = h("pre", { tabindex: "0", "aria-label": __("Log of the child") });
  const again = h("button", { type: "button", class: "dsage-button dsage-small", click: () => app.open("log") }, __("Read again"));
  return {
    el: h("div", { class: "dsage-log" }, lines, again),
    update() {
      const atEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 4;
      text(lines, app.ui.log ?? "…");
      if (atEnd) lines.scrollTop = lines.scrollHeight;
    },
  };
}
