/** A session that does not run: why, and Revive and Delete. */

import { attr, h, text, type Component } from "../dom";
import { __ } from "../say";
import { ask } from "./ask";
import { distinctTitle } from "./model";
import type { PanelApp } from "./app";

export function sleeper(app: PanelApp): Component {
  const why = h("p", { class: "dsage-reason" });
  const revive = h("button", { type: "button", class: "dsage-button dsage-primary", click: () => press(revive, () => void app.order({ op: "revive" })) });
  const remove = h("button", { type: "button", class: "dsage-button", click: () => press(remove, () => {
    app.set({ question: { what: "delete" } });
    update();
    question.focus();
  }) }, __("Delete…"));
  const question = ask(__("Delete the session?"), __("Delete it"), __("Keep it"), () => void app.order({ op: "delete" }), () => {
    app.set({ question: null });
    update();
    remove.focus();
  });
  const buttons = h("div", { class: "dsage-row" }, revive, remove);
  const el = h("div", { class: "dsage-p-asleep" }, why, buttons, question.el);

  function press(el: HTMLElement, act: () => void): void {
    if (el.getAttribute("aria-disabled") !== "true") act();
  }
  function update(): void {
    const row = app.row;
    attr(el, "hidden", !row || row.alive);
    if (!row) return;
    const asking = app.ui.question?.what === "delete";
    const busy = app.pending.has("revive") || app.pending.has("delete");
    text(why, app.view?.note || (row.revivable ? __("This session does not run. Its journal is kept: revived, it goes on where it was, and no job that ended runs again.") : __("This session does not run, and it kept no journal.")));
    text(revive, app.pending.has("revive") ? __("Reviving…") : __("Revive"));
    attr(revive, "hidden", !row.revivable);
    for (const button of [revive, remove]) attr(button, "aria-disabled", busy ? "true" : null);
    attr(buttons, "hidden", asking);
    question.show(asking ? __("Delete the journal of %1? Its results are gone then.", distinctTitle(row, app.rows)) : "");
  }
  return { el, update };
}
