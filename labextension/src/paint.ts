/** Cells onto a canvas, in device pixels. Colours come in as a function; this file knows shapes only. */

import { CODE, marks, stateOf, type Layout } from "./cells";
import type { State } from "./types";

type Colour = (name: string) => string;

/** From this side on (CSS pixels) a cell holds the shape of its state; below, failures stand out as marks. */
const ROOMY = 9;
const SOFT = 0.55; // how much of a cell's colour its edge keeps where cells are too small for a line between them
const MARK = 8; // CSS pixels
const MOST_MARKS = 400;

export function isRoomy(place: Layout): boolean {
  return Math.min(place.dx, place.dy) / place.ratio >= ROOMY;
}

/** Paint the cells of a list, and nothing else. */
export function paintCells(g: CanvasRenderingContext2D, place: Layout, cells: Uint8Array, which: readonly number[], colour: Colour): void {
  const { across, dx, dy, gap } = place;
  const roomy = isRoomy(place);
  const palette = new Map<number, string>();
  for (const cell of which) {
    const code = cells[cell] ?? CODE.queued;
    const { state, tenths } = stateOf(code);
    let fill = palette.get(code);
    if (fill === undefined) palette.set(code, (fill = colour(state)));
    const [x, y, w, h] = [(cell % across) * dx, Math.floor(cell / across) * dy, dx - gap, dy - gap];
    g.clearRect(x, y, dx, dy);
    g.fillStyle = fill;
    if (roomy) {
      roomyCell(g, state, x, y, w, h, colour, place.ratio);
    } else {
      g.fillRect(x, y, w, h);
      if (gap && state !== "queued") {
        g.globalAlpha = SOFT;
        g.fillRect(x + w, y, gap, dy);
        g.fillRect(x, y + h, w, gap);
        g.globalAlpha = 1;
      }
    }
    if (tenths && state === "queued") {
      g.globalAlpha = 0.15 + (tenths / 10) * 0.75;
      g.fillStyle = colour("finished");
      g.fillRect(x, y, w, h);
      g.globalAlpha = 1;
    }
  }
}

function roomyCell(g: CanvasRenderingContext2D, state: State, x: number, y: number, w: number, h: number, colour: Colour, ratio: number): void {
  const radius = Math.min(3 * ratio, w / 5);
  const box = (inset: number): void => {
    g.beginPath();
    g.roundRect(x + inset, y + inset, w - 2 * inset, h - 2 * inset, radius);
  };
  if (state === "finished") {
    box(0);
    g.fill();
    return;
  }
  if (state === "queued") {
    box(0);
    g.fill();
    box(ratio / 2);
    g.lineWidth = ratio;
    g.strokeStyle = colour("queued-line");
    g.stroke();
    return;
  }
  g.globalAlpha = 0.2;
  box(0);
  g.fill();
  g.globalAlpha = 1;
  outline(g, state, x + w / 2, y + h / 2, Math.min(w, h) * 0.58);
  if (state === "running") {
    g.lineWidth = Math.max(ratio, w / 10);
    g.strokeStyle = g.fillStyle;
    g.stroke();
  } else g.fill();
}

/** Begin the path of a state's shape around a point. */
function outline(g: CanvasRenderingContext2D, state: State, x: number, y: number, size: number): void {
  const r = size / 2;
  g.beginPath();
  if (state === "failed") polygon(g, [[x - r, y + r * 0.85], [x, y - r], [x + r, y + r * 0.85]]);
  else if (state === "lost") polygon(g, [[x, y - r], [x + r, y], [x, y + r], [x - r, y]]);
  else if (state === "cancelled") g.rect(x - r, y - r / 3, size, (r * 2) / 3);
  else g.arc(x, y, r * 0.85, 0, 2 * Math.PI);
}

function polygon(g: CanvasRenderingContext2D, points: readonly (readonly [number, number])[]): void {
  for (const [i, [x, y]] of points.entries()) if (i) g.lineTo(x, y); else g.moveTo(x, y);
  g.closePath();
}

/** Failed and lost cells among small ones, as marks that reach over their neighbours. */
export function paintMarks(g: CanvasRenderingContext2D, place: Layout, cells: Uint8Array, colour: Colour): void {
  g.clearRect(0, 0, g.canvas.width, g.canvas.height);
  if (isRoomy(place)) return;
  const { across, dx, dy, ratio } = place;
  const size = Math.max(MARK * ratio, Math.min(dx, dy));
  const edge = size / 2 + ratio;
  for (const cell of marks(cells, MOST_MARKS)) {
    const { state } = stateOf(cells[cell] ?? CODE.queued);
    const x = Math.max(edge, (cell % across) * dx + dx / 2);
    const y = Math.max(edge, Math.floor(cell / across) * dy + dy / 2);
    outline(g, state, x, y, size);
    g.lineJoin = "round";
    g.lineWidth = 2.4 * ratio;
    g.strokeStyle = colour("bg");
    g.stroke();
    g.fillStyle = colour(state);
    g.fill();
  }
}
