/** The engines of the chosen session: how each is and what it did; its slots can be changed, it can go, others can come. */

import { attr, h, reshape, Rows, shape, text, type Component, type Row as Line } from "../dom";
import { limits, stateWord, workersUp } from "../engines";
import { __, _n } from "../say";
import { number } from "../words";
import { ask } from "./ask";
import type { PanelApp } from "./app";
import type { Engine } from "../types";

export function enginePane(app: PanelApp): Component {
  const field = h("input", { type: "text", class: "dsage-field", placeholder: "dsage://host:12345?slots=2", spellcheck: "false", autocomplete: "off", "aria-label": __("The URL of an engine to add") });
  const add = h("button", { type: "submit", class: "dsage-button dsage-primary" }, __("Add"));
  const form = h("form", {
    class: "dsage-p-add",
    submit: (event) => {
      event.preventDefault();
      void send();
    },
  }, h("p", { class: "dsage-hint" }, __("Add an engine by its URL:"), " ", h("code", {}, "local:?slots=2"), ", ", h("code", {}, "dsage://host:12345")), h("div", { class: "dsage-row" }, field, add));
  const box = h("div", { class: "dsage-p-engines" });
  const more = h("p", { class: "dsage-empty" });
  const rows = new Rows<Engine>(box, ({ name }) => `${app.id} ${name}`, ({ name }) => card(app, name, app.id));

  async function send(): Promise<void> {
    const url = field.value.trim();
    if (url && (await app.order({ op: "engine-add", url }))) field.value = "";
  }
  return {
    el: h("div", {}, box, more, form),
    update() {
      rows.update(app.view?.engines ?? []);
      const hidden = app.view?.more_engines ?? 0;
      text(more, app.view?.engines.length ? _n("and 1 more engine", "and %2 more engines", hidden, number(hidden)) : __("This session has no engine: no job can run."));
      attr(more, "hidden", hidden === 0 && (app.view?.engines.length ?? 0) > 0);
      attr(form, "hidden", !app.row?.alive);
      attr(add, "aria-disabled", app.pending.has("engine-add") ? "true" : null);
    },
  };
}

function card(app: PanelApp, engine: string, session: string | null): Line<Engine> {
  const sign = shape("open");
  const name = h("b");
  const state = h("span", { class: "dsage-p-e-state" });
  const facts = h("p", { class: "dsage-p-e-facts" });
  const note = h("p", { class: "dsage-p-e-note" });
  const count = h("span", { class: "dsage-p-e-slots" });
  const fewer = step(-1, "−");
  const more = step(1, "+");
  const remove = h("button", { type: "button", class: "dsage-button dsage-small", click: () => {
    app.set({ question: { what: "engine", engine } });
    show();
    question.focus();
  } }, __("Remove…"));
  const question = ask(__("Remove the engine?"), __("Remove it"), __("Keep it"), () => void app.order({ op: "engine-remove", engine }), () => {
    app.set({ question: null });
    show();
    remove.focus();
  });
  const size = h("span", { class: "dsage-p-e-size", role: "group", "aria-label": __("Slots of %1", engine) }, fewer, count, more);
  const buttons = h("div", { class: "dsage-p-e-do" }, size, remove);
  let now: Engine | null = null;
  let wish: number | null = null;
  let timer = 0;

  function step(by: number, sign: string): HTMLButtonElement {
    const label = by < 0 ? __("One slot less") : __("One slot more");
    return h("button", { type: "button", class: "dsage-button dsage-small", "aria-label": label, title: label, click: () => {
      if (!now) return;
      wish = Math.max(1, (wish ?? now.slots) + by);
      show();
      clearTimeout(timer); // several presses are one order
      timer = window.setTimeout(() => void send(), 400);
    } }, sign);
  }
  async function send(): Promise<void> {
    const slots = wish;
    if (slots !== null && slots !== now?.slots) await app.order({ op: "engine-scale", engine, slots }, `engine-scale ${engine}`, session);
    wish = null; // and another session may be shown by now
    app.touch();
  }
  function show(): void {
    if (!now) return;
    reshape(sign, now.state);
    text(name, now.name);
    text(state, stateWord(now));
    const at = now.host && now.host !== now.name ? [now.host] : [];
    const did = [__("%1 finished", number(now.finished)), ...(now.failed ? [__("%1 failed", number(now.failed))] : [])];
    // A number stays on the line of its word.
    text(facts, [...at, __("%1 workers", workersUp(now)), __("%1 running", number(now.running)), ...did].map((part) => part.replaceAll(" ", "\u00a0")).join(" · "));
    const said = [now.note, limits(now)].filter(Boolean).join(" ");
    text(note, said);
    attr(note, "hidden", !said);
    attr(note, "data-state", now.state);
    const alive = app.row?.alive ?? false;
    const asking = app.ui.question?.what === "engine" && app.ui.question.engine === engine;
    text(count, _n("1 slot", "%2 slots", wish ?? now.slots, number(wish ?? now.slots)));
    attr(size, "hidden", now.state !== "open" || now.cannot.includes("scale"));
    attr(buttons, "hidden", !alive || asking || now.state === "leaving");
    const last = now.running ? _n("Its running job goes on to its end.", "Its %2 running jobs go on to their end.", now.running, number(now.running)) : __("It runs no job now.");
    question.show(asking ? `${__("Remove %1?", engine)} ${last}` : "");
  }
  return {
    el: h("article", { class: "dsage-p-engine" }, h("h4", {}, h("span", { class: "dsage-e-sign" }, sign, name), state), facts, note, buttons, question.el),
    update(item) {
      now = item;
      show();
    },
  };
}
