/** Whose session is shown: its notebook, what that is to the one in front, its kernel and since when; and a pin to stay with it. */

import { attr, glyph, h, text, type Component } from "../dom";
import { __ } from "../say";
import { moment } from "../words";
import { distinctTitle, fullTitle } from "./model";
import { kernelWord, relation, relationWord } from "./whose";
import type { PanelApp } from "./app";

const PIN = "M4.5 1.5h5M5.5 1.5v4L3.5 8h7l-2-2.5v-4M7 8v4.5";

export function owner(app: PanelApp): Component {
  const name = h("b", { class: "dsage-p-name" });
  const tag = h("span", { class: "dsage-p-tag" });
  const facts = h("span", { class: "dsage-p-facts" });
  const words = h("div", { class: "dsage-p-owner-words", role: "status" }, h("div", { class: "dsage-p-top" }, name, tag), facts);
  const back = h("button", { type: "button", class: "dsage-link dsage-p-way dsage-p-back", click: () => app.pin(false) });
  const pin = h("button", { type: "button", class: "dsage-p-tool dsage-p-pin", "aria-label": __("Pin this session"), click: () => app.pin(!app.ui.pinned) }, glyph(PIN, 14));
  return {
    el: h("div", { class: "dsage-p-owner" }, words, pin, back),
    update() {
      const { row, notebook } = app;
      if (!row) return;
      const is = relation(row, notebook);
      text(name, distinctTitle(row, app.rows));
      attr(name, "title", fullTitle(row));
      text(tag, relationWord(is));
      attr(tag, "data-relation", is);
      attr(tag, "hidden", is === "none");
      text(facts, [kernelWord(row), __("started %1", moment(row.created, Date.now() / 1000))].join(" · "));
      text(back, __("Back to %1", notebook?.name ?? ""));
      attr(back, "hidden", is !== "other" || app.ui.pinned);
      attr(pin, "hidden", !app.place.notebook);
      attr(pin, "aria-pressed", String(app.ui.pinned));
      attr(pin, "title", app.ui.pinned ? __("Pinned. Click to follow the notebook in front again") : __("Pin: stay with this session when another notebook comes to the front"));
    },
  };
}
