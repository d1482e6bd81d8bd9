/** The grid of jobs: two canvases (cells, marks), a cursor and a pin above them, and a line that tells of the job pointed at. */

import { boxOf, cellAt, cellOf, changed, decode, jobsOf, layout, moved, stateOf, type Layout } from "./cells";
import { attr, h, id, isState, reshape, shape, text, type Component } from "./dom";
import { emptiness, gridTitle } from "./model";
import { jobWords, targetOf } from "./jobs";
import { paintCells, paintMarks } from "./paint";
import { __ } from "./say";
import { colours } from "./theme";
import { number, stateName } from "./words";
import type { App } from "./app";

const HEIGHT = 176; // CSS pixels, until the style sheet has said it; eight lanes beside it are as tall

export interface Grid extends Component {
  /** The theme changed: every colour is another one now. */
  recolour(): void;
}

export function grid(app: App): Grid {
  const base = h("canvas", { "aria-hidden": "true" });
  const above = h("canvas", { "aria-hidden": "true" });
  const cursor = h("div", { class: "dsage-cursor", hidden: true });
  const pin = h("div", { class: "dsage-cursor dsage-pin", hidden: true });
  const title = h("span", { class: "dsage-num" });
  const infoId = id("info");
  const sign = shape("queued");
  const words = h("span");
  const info = h("div", { class: "dsage-info", id: infoId, "aria-live": "off" }, sign, words);
  const nothing = h("div", { class: "dsage-nothing" });
  const field = h(
    "div",
    {
      class: "dsage-field-of-jobs",
      role: "application",
      tabindex: "0",
      "aria-roledescription": __("grid of jobs"),
      "aria-describedby": infoId,
      pointermove: (event) => point(event as PointerEvent),
      pointerleave: () => app.set({ pointed: null }),
      click: (event) => {
        point(event as PointerEvent);
        pinIt();
      },
      keydown: (event) => key(event as KeyboardEvent),
      focus: () => {
        if (app.ui.pointed === null && cells.length && field.matches(":focus-visible")) app.set({ pointed: start() });
      },
      blur: () => app.set({ pointed: null }),
    },
    base,
    above,
    cursor,
    pin,
    nothing,
  );
  const el = h("section", { class: "dsage-jobs", "aria-label": __("Jobs") }, h("h4", {}, h("span", {}, __("Jobs")), title), field, info);

  let cells = new Uint8Array(0);
  let place: Layout = layout(0, 1, HEIGHT, 1);
  let shown = ""; // what `cells` was decoded from
  let width = 0;
  let height = HEIGHT;
  let fresh = false; // the canvas holds `cells`, apart from what changed

  const resized = new ResizeObserver(() => {
    if (!fits()) app.touch();
  });
  resized.observe(field);

  function point(event: PointerEvent): void {
    const box = field.getBoundingClientRect();
    const cell = cellAt(place, event.clientX - box.left, event.clientY - box.top);
    attr(info, "aria-live", "off");
    if (app.ui.pointed !== (cell < 0 ? null : cell)) app.set({ pointed: cell < 0 ? null : cell });
  }
  function start(): number {
    return app.ui.chosen === null ? Math.max(0, cells.indexOf(82)) : cellOf(app.ui.chosen, per());
  }
  function per(): number {
    return Math.max(1, app.snapshot?.grid.per ?? 1);
  }
  function pinIt(): void {
    if (app.ui.pointed !== null && app.snapshot) app.choose(targetOf(app.snapshot, app.ui.pointed));
  }
  function key(event: KeyboardEvent): void {
    if (!cells.length || event.ctrlKey || event.metaKey || event.altKey) return;
    const next = moved(place, app.ui.pointed ?? start(), event.key);
    if (next !== undefined) app.set({ pointed: next });
    else if (event.key === "Enter" || event.key === " ") pinIt();
    else if (event.key === "Escape") app.set({ pointed: null });
    else return;
    attr(info, "aria-live", "polite");
    event.preventDefault();
  }

  function fits(): boolean {
    return field.clientWidth === width && (field.clientHeight || HEIGHT) === height;
  }
  function measure(): void {
    width = field.clientWidth;
    height = field.clientHeight || HEIGHT;
    const ratio = Math.max(1, window.devicePixelRatio || 1);
    const next = layout(cells.length, width, height, ratio);
    const [w, h] = [Math.floor(width * ratio), Math.floor(height * ratio)];
    const same = base.width === w && base.height === h && next.dx === place.dx && next.dy === place.dy && next.gap === place.gap && next.across === place.across;
    place = next;
    if (same) return;
    for (const canvas of [base, above]) {
      canvas.width = w;
      canvas.height = h;
      canvas.style.width = `${w / ratio}px`;
      canvas.style.height = `${height}px`;
    }
    fresh = false;
  }

  function draw(): void {
    const s = app.snapshot;
    const spec = s ? `${s.grid.jobs}/${s.grid.per}/${s.grid.cells}` : "";
    if (fresh && spec === shown && fits() && window.devicePixelRatio === place.ratio) return;
    const before = cells;
    if (spec !== shown) cells = s ? decode(s.grid.cells, Math.ceil(s.grid.jobs / per())) : new Uint8Array(0);
    shown = spec;
    measure();
    const [g, over] = [base.getContext("2d"), above.getContext("2d")];
    if (!g || !over || !width) return;
    const colour = colours(el);
    if (!fresh || before.length > cells.length) g.clearRect(0, 0, base.width, base.height);
    const which = fresh && before.length === cells.length ? changed(before, cells) : changed(new Uint8Array(0), cells);
    paintCells(g, place, cells, which, colour);
    if (which.length) paintMarks(over, place, cells, colour);
    fresh = true;
  }

  function put(frame: HTMLElement, cell: number | null): void {
    attr(frame, "hidden", cell === null || cell >= cells.length);
    if (cell === null) return;
    const box = boxOf(place, cell);
    const [w, h] = [Math.max(box.w, 7), Math.max(box.h, 7)];
    frame.style.transform = `translate(${box.x - (w - box.w) / 2}px, ${box.y - (h - box.h) / 2}px)`;
    frame.style.width = `${w}px`;
    frame.style.height = `${h}px`;
  }

  function tell(): void {
    const s = app.snapshot;
    const cell = app.ui.pointed;
    attr(sign, "hidden", !s || cell === null || cell >= cells.length);
    attr(info, "data-hint", cell === null);
    if (!s || cell === null || cell >= cells.length) {
      text(words, cells.length ? __("Point at a job or use the arrow keys; click or Enter keeps it.") : "");
      return;
    }
    const job = targetOf(s, cell);
    app.details.want(job);
    const { state, tenths } = stateOf(cells[cell] ?? 0);
    const detail = app.details.get(job);
    const one = s.grid.per <= 1;
    const seen = one && detail && isState(detail.state) && detail.state !== state ? undefined : detail;
    reshape(sign, state);
    const [first, last] = jobsOf(cell, per(), s.grid.jobs);
    const partly = tenths && tenths < 10 ? __("%1 % finished", tenths * 10) : stateName(state);
    text(words, one ? jobWords(job, state, seen) : [__("jobs %1 to %2", number(first), number(last)), partly, ...(detail ? [jobWords(job, detail.state, detail)] : [])].join(" · "));
    attr(info, "title", words.textContent);
  }

  return {
    el,
    update() {
      text(title, gridTitle(app.snapshot));
      attr(field, "aria-label", __("Grid of jobs, %1. Arrow keys move, Enter shows the job.", gridTitle(app.snapshot) || __("empty")));
      text(nothing, emptiness(app.snapshot));
      attr(nothing, "hidden", !nothing.textContent);
      draw();
      put(cursor, app.ui.pointed);
      put(pin, app.ui.chosen === null ? null : cellOf(app.ui.chosen, per()));
      tell();
    },
    recolour() {
      fresh = false;
      app.touch();
    },
    close: () => resized.disconnect(),
  };
}
