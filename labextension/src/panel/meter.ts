/** A little stacked bar: how many jobs are in which state. What it shows stands in words beside it, so it has none itself. */

import { attr, h } from "../dom";
import { total } from "./model";
import type { Counts } from "../types";

const ORDER = ["finished", "failed", "lost", "cancelled", "running"] as const;

export interface Meter {
  readonly el: HTMLElement;
  /** Null: there is nothing to show. */
  show(counts: Counts | null): void;
}

export function meter(): Meter {
  const parts = ORDER.map((state) => h("i", { class: `dsage-${state}`, hidden: true }));
  const el = h("span", { class: "dsage-bar dsage-p-bar", "aria-hidden": "true" }, ...parts);
  return {
    el,
    show(counts) {
      const all = counts ? total(counts) : 0;
      attr(el, "hidden", !all);
      ORDER.forEach((state, i) => {
        const part = parts[i];
        const percent = all ? ((counts?.[state] ?? 0) / all) * 100 : 0;
        if (!part) return;
        attr(part, "hidden", percent === 0);
        const width = `${percent.toFixed(2)}%`;
        if (part.style.width !== width) part.style.width = width;
      });
    },
  };
}
