/** The bar, the counts (a shape, a number and a word each), the line that says how it goes, and the same for ears. */

import { attr, h, shape, text, type Component } from "./dom";
import { ended, mood, pulse, shares, STATES, summary } from "./model";
import { __ } from "./say";
import { number, stateName } from "./words";
import type { App } from "./app";

const SPEAK = 8000; // ms between two announcements; a screen reader needs that long for one

export function progress(app: App): Component {
  const bar = h("div", { class: "dsage-bar", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100", "aria-label": __("Jobs ended") });
  const parts = shares(undefined).map(({ state }) => {
    const part = h("i", { class: `dsage-${state}` });
    bar.append(part);
    return part;
  });
  const counts = STATES.map((state) => {
    const value = h("b");
    const el = h("li", {}, shape(state), value, ` ${stateName(state)}`);
    return { state, value, el };
  });
  const line = h("span", { class: "dsage-pulse" });
  const spoken = h("div", { class: "dsage-ears", role: "status", "aria-live": "polite" });
  const list = h("ul", { class: "dsage-counts", "aria-label": __("Jobs by state") }, ...counts.map(({ el }) => el));
  let said = -Infinity;
  let timer = 0;

  function speak(): void {
    timer = 0;
    said = performance.now();
    text(spoken, summary(app.snapshot));
  }

  return {
    el: h("div", { class: "dsage-progress" }, bar, h("div", { class: "dsage-line" }, list, line), spoken),
    update() {
      const s = app.snapshot;
      shares(s?.batch).forEach(({ percent }, i) => {
        const part = parts[i];
        if (!part) return;
        const width = `${percent.toFixed(3)}%`;
        if (part.style.width !== width) part.style.width = width;
        attr(part, "hidden", percent === 0);
      });
      attr(bar, "aria-valuenow", String(ended(s?.batch)));
      attr(bar, "aria-valuetext", summary(s) || __("no news yet"));
      attr(bar, "data-drawing", s?.batch.drawing ?? false);
      // The places of the counts stay while their numbers grow.
      list.style.setProperty("--dsage-digits", `${number(s?.batch.total ?? 0).length}ch`);
      for (const { state, value, el } of counts) {
        const count = s?.batch.counts[state] ?? 0;
        text(value, number(count));
        attr(el, "hidden", count === 0 && STATES.indexOf(state) > 2);
        attr(el, "data-none", count === 0);
      }
      text(line, pulse(s));
      attr(line, "data-mood", mood(s));
      if (!timer) timer = window.setTimeout(speak, Math.max(0, said + SPEAK - performance.now()));
    },
    close: () => clearTimeout(timer),
  };
}
