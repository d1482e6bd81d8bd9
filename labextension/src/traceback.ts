/** A traceback as text: places dim, what was raised bold. Rewritten only when it is another one. */

import { h } from "./dom";
import { tracebackLines } from "./jobs";

export interface Traceback {
  readonly el: HTMLElement;
  show(value: string): void;
}

export function traceback(): Traceback {
  const el = h("pre", { class: "dsage-trace", tabindex: "0", "aria-label": "Traceback" });
  let shown: string | null = null;
  return {
    el,
    show(value) {
      if (value === shown) return;
      shown = value;
      el.replaceChildren(...tracebackLines(value).flatMap(({ kind, line }) => [h("span", { class: `dsage-trace-${kind}` }, line), "\n"]));
    },
  };
}
