/** "Add jobs…" and its form: an expression, sent with Enter; the answer shows in place. */

import { attr, h, id, text, type Component } from "./dom";
import { servicesOnly } from "./engines";
import { button } from "./model";
import { __ } from "./say";
import type { App } from "./app";

export function addForm(app: App): Component {
  const answers = id("answer");
  const toggle = h("button", { type: "button", class: "dsage-button", "aria-haspopup": "dialog", click: () => (app.ui.adding.open ? close() : open()) });
  const field = h("input", {
    type: "text",
    class: "dsage-field",
    placeholder: "range(100, 200)",
    spellcheck: "false",
    autocomplete: "off",
    "aria-label": __("Jobs to add: an expression"),
    "aria-describedby": answers,
  });
  const send = h("button", { type: "submit", class: "dsage-button dsage-primary" }, __("Add"));
  const plain = h("span");
  const hint = h("p", { class: "dsage-hint" }, __("What the batch is drawn from:"), " ", h("code", {}, "range(100, 200)"), __(", or a list of"), " ", h("code", {}, "(args, kwargs)"), ".", plain);
  const answer = h("p", { class: "dsage-answer", id: answers, role: "status" });
  const form = h(
    "form",
    {
      class: "dsage-popover dsage-add",
      role: "dialog",
      "aria-label": __("Add jobs"),
      hidden: true,
      submit: (event) => {
        event.preventDefault();
        ask();
      },
      keydown: (event) => {
        const key = (event as KeyboardEvent).key;
        if (key === "Escape") close();
        if (key !== "Enter") return;
        // JupyterLab's notebook keeps Enter from submitting a form inside an output.
        event.preventDefault();
        event.stopPropagation();
        ask();
      },
    },
    hint,
    h("div", { class: "dsage-row" }, field, send),
    answer,
  );

  function ask(): void {
    const said = field.value.trim();
    if (said && app.ui.adding.status !== "adding") app.add(said);
  }
  function open(): void {
    if (toggle.getAttribute("aria-disabled") === "true") return;
    app.set({ adding: { open: true, status: "", text: "" }, menu: "closed" });
    form.hidden = false;
    field.focus();
  }
  function close(): void {
    app.set({ adding: { open: false, status: "", text: "" } });
    toggle.focus();
  }

  let status = "";
  return {
    el: h("span", { class: "dsage-anchor" }, toggle, form),
    update() {
      const { adding } = app.ui;
      const b = button("add", app.snapshot, false);
      text(toggle, b.label);
      attr(toggle, "aria-disabled", b.enabled ? null : "true");
      attr(toggle, "aria-expanded", String(adding.open && b.enabled));
      attr(toggle, "title", b.hint);
      attr(form, "hidden", !adding.open || !b.enabled);
      text(plain, servicesOnly(app.snapshot) && __(" Plain data only: numbers, text, bytes, lists, dicts, arrays."));
      text(answer, adding.text);
      attr(answer, "data-status", adding.status || null);
      attr(send, "aria-disabled", adding.status === "adding" ? "true" : null);
      if (adding.status === "added" && status !== "added") field.value = "";
      status = adding.status;
    },
  };
}
