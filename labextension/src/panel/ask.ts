/** A question asked in place before something is done that cannot be undone. The harmless answer has the focus. */

import { attr, h, id, text } from "../dom";

export interface Ask {
  readonly el: HTMLElement;
  /** Ask; "" takes the question away. */
  show(question: string): void;
  focus(): void;
}

export function ask(title: string, yes: string, no: string, act: () => void, leave: () => void): Ask {
  const textId = id("question");
  const question = h("p", { class: "dsage-question", id: textId });
  const doIt = h("button", { type: "button", class: "dsage-button dsage-danger", click: act }, yes);
  const keep = h("button", { type: "button", class: "dsage-button", click: leave }, no);
  const el = h(
    "div",
    { role: "alertdialog", "aria-label": title, "aria-describedby": textId, class: "dsage-ask", hidden: true },
    question,
    h("div", { class: "dsage-row" }, doIt, keep),
  );
  return {
    el,
    show(words) {
      if (words) text(question, words);
      attr(el, "hidden", !words);
    },
    focus: () => keep.focus(),
  };
}
