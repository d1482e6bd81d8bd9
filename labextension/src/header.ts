/** Name, badge, engines, and the buttons. Retry stands first, so that its coming and going moves no other button. */

import { addForm } from "./add";
import { attr, h, reshape, Rows, shape, text, type Component } from "./dom";
import { chipHint, chipText, shown } from "./engines";
import { menu } from "./menu";
import { badge, button, mood, type Action } from "./model";
import { __ } from "./say";
import type { App } from "./app";
import type { Engine } from "./types";

const CHIPS = 3;

export function header(app: App): Component {
  const name = h("h3", { class: "dsage-name" });
  const sign = h("span", { class: "dsage-badge" });
  const chips = h("span", { class: "dsage-chips" });
  const limit = h("span", { class: "dsage-chip dsage-limit" });
  const engines = new Rows<Engine>(chips, (engine) => engine.name, chip);
  const buttons = (["retry", "pause", "resume", "cancel"] as const).map((action) => command(app, action));
  const [retry, pause, resume, cancel] = buttons.map((part) => part.el);
  const add = addForm(app);
  const more = menu(app);
  const el = h(
    "header",
    { class: "dsage-header" },
    h("div", { class: "dsage-title" }, name, sign, chips, limit),
    h("div", { class: "dsage-buttons", role: "group", "aria-label": __("Controls") }, ...nodes(retry, pause, resume, add.el, cancel, more.el)),
  );
  return {
    el,
    update() {
      const s = app.snapshot;
      text(name, s?.batch.name ?? "…");
      attr(name, "title", s?.batch.name ?? null);
      text(sign, badge(s));
      attr(sign, "data-mood", mood(s));
      engines.update(shown(s?.engines ?? [], CHIPS));
      const left = (s?.engines.length ?? 0) + (s?.more_engines ?? 0) - CHIPS;
      const wants = s?.batch.wants ? [s.batch.wants] : [];
      const said = [...wants, ...(left > 0 ? [__("+ %1 more", left)] : []), ...(s?.batch.limit != null ? [__("limit %1", s.batch.limit)] : [])];
      text(limit, said.join(" · "));
      attr(limit, "title", [...wants, ...(left > 0 ? [__("All engines are in the tab Workers")] : [])].join(". ") || null);
      for (const part of [...buttons, add, more]) part.update();
    },
  };
}

function nodes(...all: readonly (HTMLElement | undefined)[]): HTMLElement[] {
  return all.filter((el) => el !== undefined);
}

function chip(engine: Engine): { el: HTMLElement; update(item: Engine): void } {
  const sign = shape(engine.state);
  const said = h("span");
  const el = h("span", { class: "dsage-chip" }, sign, said);
  return {
    el,
    update(item) {
      reshape(sign, item.state);
      text(said, chipText(item));
      attr(el, "data-state", item.state);
      attr(el, "title", chipHint(item));
    },
  };
}

/** A button that sends its own name; pressed, it stays so until the effect is seen. */
export function command(app: App, action: Exclude<Action, "add" | "die">): Component {
  const el = h("button", {
    type: "button",
    class: `dsage-button dsage-do-${action}`,
    click: () => {
      if (el.getAttribute("aria-disabled") !== "true") app.command({ op: action });
    },
  });
  return {
    el,
    update() {
      const b = button(action, app.snapshot, app.isPending(action));
      text(el, b.label);
      attr(el, "hidden", !b.shown);
      // aria-disabled and not disabled: a button that has the focus keeps it
      attr(el, "aria-disabled", b.enabled ? null : "true");
      attr(el, "aria-busy", b.busy ? "true" : null);
      attr(el, "title", b.hint);
    },
  };
}
