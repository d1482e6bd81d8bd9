/** The chosen batch in full: the same view as in a cell, and the ways to its cell and to a tab of its own. */

import { attr, h, text, type Component } from "../dom";
import { __ } from "../say";
import { mount } from "../view";
import { stuck } from "./model";
import type { PanelApp } from "./app";

export function batchPane(app: PanelApp): Component {
  const goTo = h("button", { type: "button", class: "dsage-link dsage-p-way", title: __("Show the notebook cell that made this batch"), click: () => way()?.() }, __("Go to cell"));
  const wide = h("button", {
    type: "button",
    class: "dsage-link dsage-p-way",
    title: __("Show this batch wide, in the main area"),
    click: () => {
      if (app.id !== null && app.batch) app.place.openTab?.(app.id, app.batch.number);
    },
  }, __("Open in a tab"));
  const ways = h("div", { class: "dsage-p-ways" }, goTo, wide);
  const why = h("p", { class: "dsage-reason" });
  const trouble = h("div", { class: "dsage-p-stuck" }, why);
  const none = h("p", { class: "dsage-empty" });
  const box = h("div");
  let shown = "";
  let unmount: () => void = () => undefined;

  function way(): (() => void) | null {
    const session = app.id;
    return session !== null && app.batch ? (app.place.cellOf?.(session, app.batch.number) ?? null) : null;
  }
  return {
    el: h("div", {}, ways, trouble, none, box),
    update() {
      const session = app.id;
      const batch = app.batch;
      const key = session !== null && batch ? `${session}/${batch.number}` : "";
      if (key !== shown) {
        unmount();
        shown = key;
        unmount = session !== null && batch ? mount(box, app.sessions.batch(session, batch.number)) : () => undefined;
      }
      // The view of a batch says itself why nothing runs.
      text(why, batch ? "" : stuck(app.view));
      attr(trouble, "hidden", !why.textContent);
      attr(none, "hidden", batch !== null);
      text(none, !app.view && app.row?.alive ? __("Waiting for the session…") : __("This session has no batch yet. A cell that begins with %1 makes one.", "%%scatter"));
      attr(ways, "hidden", batch === null);
      attr(goTo, "hidden", way() === null);
      attr(wide, "hidden", !app.place.openTab);
    },
    close: () => unmount(),
  };
}
