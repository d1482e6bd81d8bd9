/** What may be done to the chosen session as a whole, and a menu for what is rarer. */

import { attr, h, text, type Component } from "../dom";
import { __ } from "../say";
import { ask } from "./ask";
import { acts, killQuestion, type Act, type Level } from "./model";
import { relation, whose } from "./whose";
import type { PanelApp } from "./app";

const SHOWN: readonly Level[] = ["pause", "resume", "cancel", "retry"];

export function actions(app: PanelApp): Component {
  const buttons = [0, 1, 2].map(() => button());
  const toggle = h("button", { type: "button", class: "dsage-button dsage-more", "aria-haspopup": "menu", "aria-label": __("More: Refresh workers, Kill child"), click: () => flip() }, "⋯");
  const [refresh, die] = [item(), item()];
  const attach = h("button", { type: "button", role: "menuitem", class: "dsage-item", click: () => {
    if (app.row) void app.notebook?.attach(app.row.id);
    back();
  } });
  die.classList.add("dsage-warn");
  const items = h("div", { role: "menu", "aria-label": __("More"), class: "dsage-items", keydown: (event) => arrows(event as KeyboardEvent) }, refresh, attach, die);
  const question = ask(__("Kill child?"), __("Kill child"), __("Keep it"), () => void app.order({ op: "die" }), () => back());
  const popover = h("div", { class: "dsage-popover dsage-menu", hidden: true }, items, question.el);
  const anchor = h("span", {
    class: "dsage-anchor",
    keydown: (event) => {
      if ((event as KeyboardEvent).key === "Escape" && popover.hidden === false) back();
    },
    focusout: (event) => {
      const to = (event as FocusEvent).relatedTarget;
      if (!popover.hidden && !(to instanceof Node && anchor.contains(to))) app.set({ menu: false, question: null });
    },
  }, toggle, popover);
  const el = h("div", { class: "dsage-p-acts", role: "group" }, ...buttons, anchor);

  function button(): HTMLButtonElement {
    const made: HTMLButtonElement = h("button", { type: "button", class: "dsage-button", click: () => press(made) });
    return made;
  }
  function item(): HTMLButtonElement {
    const made: HTMLButtonElement = h("button", { type: "button", role: "menuitem", class: "dsage-item", click: () => press(made) });
    return made;
  }
  function press(el: HTMLButtonElement): void {
    const op = el.dataset["op"] as Level | undefined;
    if (!op || el.getAttribute("aria-disabled") === "true") return;
    if (op !== "die") void app.order({ op });
    else {
      app.set({ question: { what: "die" } });
      update();
      question.focus();
    }
  }
  // At once and not in the next frame: only what is visible can take the focus.
  function flip(): void {
    app.set({ menu: !app.ui.menu, question: null });
    update();
    if (app.ui.menu) refresh.focus();
  }
  function back(): void {
    app.set({ menu: false, question: null });
    update();
    toggle.focus();
  }
  function arrows(event: KeyboardEvent): void {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    const all = [refresh, attach, die].filter((el) => !el.hidden);
    const at = all.indexOf(document.activeElement as HTMLButtonElement) + (event.key === "ArrowDown" ? 1 : -1);
    all[(at + all.length) % all.length]?.focus();
  }
  function show(el: HTMLElement, act: Act | undefined): void {
    attr(el, "hidden", !act);
    if (!act) return;
    const pending = app.pending.has(act.op);
    text(el, act.label);
    attr(el, "title", act.hint);
    attr(el, "data-op", act.op);
    attr(el, "aria-disabled", act.enabled && !pending ? null : "true");
    attr(el, "aria-busy", pending ? "true" : null);
  }
  function update(): void {
    const session = app.row;
    if (!session) return;
    attr(el, "aria-label", __("The whole session: %1", whose(session, Date.now() / 1000)));
    attr(el, "hidden", !session.alive);
    const all = acts(app.view);
    const shown = all.filter(({ op }) => SHOWN.includes(op) && (op !== "retry" || (all.find((act) => act.op === "retry")?.enabled ?? false)));
    buttons.forEach((el, i) => show(el, shown[i]));
    show(refresh, all.find(({ op }) => op === "refresh"));
    show(die, all.find(({ op }) => op === "die"));
    const { notebook } = app;
    attr(attach, "hidden", !notebook?.kernel || ["mine", "attached"].includes(relation(session, notebook)));
    text(attach, __("Attach %1", notebook?.name ?? ""));
    attr(attach, "title", __("Add a cell to this notebook that brings the session's batches into it"));
    const asking = app.ui.question?.what === "die";
    attr(toggle, "aria-expanded", String(app.ui.menu || asking));
    attr(popover, "hidden", !app.ui.menu && !asking);
    attr(items, "hidden", asking);
    question.show(asking ? killQuestion(app.view, whose(session, Date.now() / 1000)) : "");
  }
  return { el, update };
}
