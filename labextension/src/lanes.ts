/** A lane for each worker: what it did in the last 30 seconds. Where nothing can run, the reason instead. */

import { attr, h, Rows, text, type Component, type Row } from "./dom";
import { trouble } from "./model";
import { __ } from "./say";
import { colours } from "./theme";
import { number, stateName } from "./words";
import type { App } from "./app";
import type { Block, Worker } from "./types";

const SPAN = 30; // seconds
const MOST = 8; // lanes beside a grid of 176 px; the style sheet says otherwise where the grid is taller

const NAMES: Readonly<Record<string, string>> = { F: "finished", X: "failed", R: "running", O: "other" };

export interface Lanes extends Component {
  recolour(): void;
}

export function lanes(app: App): Lanes {
  const list = h("ul", { class: "dsage-lanes" });
  const more = h("button", { type: "button", class: "dsage-link", click: () => app.open("workers") });
  const reason = h("p", { class: "dsage-reason", role: "status" });
  const el = h("section", { class: "dsage-work", "aria-label": __("Workers") }, h("h4", {}, h("span", {}, __("Workers")), h("span", {}, __("last 30 s"))), reason, list, more);
  const rows = new Rows<Worker>(list, (worker) => worker.name, lane);
  let seen: unknown;
  let width = 0;
  const resized = new ResizeObserver(() => {
    if (list.clientWidth !== width) redo();
  });
  resized.observe(list);

  function redo(): void {
    seen = undefined;
    app.touch();
  }
  return {
    el,
    update() {
      const s = app.snapshot;
      if (seen === s) return;
      seen = s;
      width = list.clientWidth;
      const workers = s?.workers ?? [];
      const all = workers.length + (s?.more_workers ?? 0);
      const why = trouble(s);
      const most = Number(getComputedStyle(el).getPropertyValue("--dsage-lanes")) || MOST;
      const room = why && workers.length ? 5 : all > most ? most - 1 : most;
      text(reason, why);
      attr(reason, "hidden", !why);
      attr(reason, "data-over", s ? !s.session.alive : false);
      rows.update(workers.slice(0, room));
      text(more, __("+ %1 more", number(all - room)));
      attr(more, "hidden", all <= room);
    },
    recolour: redo,
    close: () => resized.disconnect(),
  };
}

function lane(): Row<Worker> {
  const name = h("span", { class: "dsage-worker" });
  const canvas = h("canvas", { role: "img" });
  const doing = h("span", { class: "dsage-doing" });
  return {
    el: h("li", {}, name, canvas, doing),
    update(worker) {
      text(name, worker.name);
      attr(name, "title", __("%1, process %2", worker.name, worker.pid));
      text(doing, now(worker));
      const said = told(worker.lane);
      attr(canvas, "aria-label", said);
      attr(canvas, "title", said);
      draw(canvas, worker.lane);
    },
  };
}

export function now(worker: Worker): string {
  if (worker.job !== null) return __("job %1", number(worker.job));
  return worker.stage === "ready" ? __("idle") : worker.stage;
}

/** "in the last 30 s: 40 finished, 1 failed" */
export function told(blocks: readonly Block[]): string {
  return __("in the last 30 s: %1", did(blocks));
}

/** "40 finished, 1 failed" */
export function did(blocks: readonly Block[]): string {
  const sums = new Map<string, number>();
  for (const [, , state, jobs] of blocks) sums.set(state, (sums.get(state) ?? 0) + jobs);
  const parts = [...sums].map(([state, jobs]) => `${number(jobs)} ${NAMES[state] === "other" ? __("of other batches") : stateName(NAMES[state] ?? "")}`);
  return parts.join(", ") || __("nothing");
}

function draw(canvas: HTMLCanvasElement, blocks: readonly Block[]): void {
  const ratio = Math.max(1, window.devicePixelRatio || 1);
  const [w, h] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  const g = canvas.getContext("2d");
  if (!g || !w) return;
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  const colour = colours(canvas);
  g.clearRect(0, 0, w, h);
  for (const [start, stop, state] of blocks) {
    const left = Math.round(w * (1 - Math.min(start, SPAN) / SPAN));
    const right = Math.round(w * (1 - Math.max(stop, 0) / SPAN));
    const wide = Math.max(ratio, right - left - (right - left > 3 * ratio && right < w ? ratio : 0));
    const at = Math.min(left, w - wide);
    const inset = state === "X" ? 0 : Math.round(ratio);
    g.fillStyle = colour(NAMES[state] ?? "other");
    g.fillRect(at, inset, wide, h - 2 * inset);
    if (state === "R") stripes(g, at, inset, wide, h - 2 * inset, colour("stripe"), ratio);
    if (state === "X" && wide >= 8 * ratio) triangle(g, at + wide / 2, h / 2, 3.2 * ratio, colour("bg"));
  }
}

/** The same slanted lines as in the bar: running is told from failed without its colour. */
function stripes(g: CanvasRenderingContext2D, x: number, y: number, w: number, h: number, colour: string, ratio: number): void {
  g.save();
  g.beginPath();
  g.rect(x, y, w, h);
  g.clip();
  g.strokeStyle = colour;
  g.lineWidth = 2 * ratio;
  g.beginPath();
  for (let at = x - h; at < x + w; at += 6 * ratio) {
    g.moveTo(at, y + h);
    g.lineTo(at + h, y);
  }
  g.stroke();
  g.restore();
}

function triangle(g: CanvasRenderingContext2D, x: number, y: number, r: number, colour: string): void {
  g.fillStyle = colour;
  g.beginPath();
  g.moveTo(x - r, y + r * 0.9);
  g.lineTo(x, y - r);
  g.lineTo(x + r, y + r * 0.9);
  g.fill();
}
