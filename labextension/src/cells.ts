/**
 * The grid without its canvas: run-length string -> cells, cells -> places, places <-> job numbers. Pure.
 *
 * A cell is one byte, the code of its letter; 10,000 cells are 10 KB and are compared byte by byte.
 */

import type { State } from "./types";

export const MOST_CELLS = 20_000;

const NAMES: Readonly<Record<string, State>> = {
  Q: "queued",
  R: "running",
  F: "finished",
  X: "failed",
  L: "lost",
  C: "cancelled",
};
const KNOWN = new Set([..."QRFXLCabcdefghi"].map((letter) => letter.charCodeAt(0)));

export const CODE = { queued: 81, running: 82, finished: 70, failed: 88, lost: 76, cancelled: 67 } as const;

/** The cells of "F7044R10Q2943", one code each. What is missing or unknown counts as queued. */
export function decode(text: Pick<string, "length" | "charCodeAt">, count: number): Uint8Array {
  const cells = new Uint8Array(Math.min(Math.max(0, count), MOST_CELLS)).fill(CODE.queued);
  let at = 0;
  for (let i = 0; i < text.length && at < cells.length; ) {
    const letter = text.charCodeAt(i++);
    let run = 0;
    for (let digit; i < text.length && (digit = text.charCodeAt(i) - 48) >= 0 && digit <= 9; i++) run = run * 10 + digit;
    const stop = Math.min(at + (run || 1), cells.length);
    if (KNOWN.has(letter)) cells.fill(letter, at, stop);
    at = stop;
  }
  return cells;
}

/** The state of a cell; tenths finished for one that is partly so (letters a to i). */
export function stateOf(code: number): { state: State; tenths: number } {
  if (code >= 97) return { state: "queued", tenths: code - 96 };
  const state = NAMES[String.fromCharCode(code)] ?? "queued";
  return { state, tenths: state === "finished" ? 10 : 0 };
}

/** Which cells differ, as one list; all of them when their number changed. */
export function changed(before: Uint8Array, after: Uint8Array): number[] {
  const out: number[] = [];
  const same = before.length === after.length;
  for (let i = 0; i < after.length; i++) if (!same || before[i] !== after[i]) out.push(i);
  return out;
}

/** Where a mark stands out from its neighbours: the first cell of each run of failed or lost ones. */
export function marks(cells: Uint8Array, most: number): number[] {
  const out: number[] = [];
  for (let i = 0; i < cells.length && out.length < most; i++) {
    const code = cells[i];
    if ((code === CODE.failed || code === CODE.lost) && cells[i - 1] !== code) out.push(i);
  }
  return out;
}

/** Cells in rows: `across` columns, each `dx` by `dy` device pixels, with a line of `gap` between. */
export interface Layout {
  readonly count: number;
  readonly across: number;
  readonly rows: number;
  readonly dx: number;
  readonly dy: number;
  readonly gap: number;
  readonly ratio: number;
}

const LARGEST = 34; // CSS pixels; a batch of four should not look like a chessboard

/**
 * The largest cells that fit into width x height CSS pixels. Sides are whole device pixels, so that every
 * cell looks the same; where squares would leave much room empty, a cell is a pixel taller than wide or wider than tall.
 */
export function layout(count: number, width: number, height: number, ratio: number): Layout {
  const [w, h] = [Math.max(1, Math.floor(width * ratio)), Math.max(1, Math.floor(height * ratio))];
  const largest = Math.floor(LARGEST * ratio);
  let best: Layout = { count, across: Math.max(1, w), rows: 0, dx: 1, dy: 1, gap: 0, ratio };
  let merit = -1;
  for (let dx = 1; dx <= Math.min(largest, w); dx++) {
    const across = Math.floor(w / dx);
    const rows = Math.ceil(count / across);
    const dy = Math.min(Math.floor(h / Math.max(1, rows)), largest, dx < 4 ? dx + 1 : dx);
    if (dy < 1 || dx > (dy < 4 ? dy + 1 : dy)) continue;
    const value = Math.min(dx, dy) * 1000 + dx * dy;
    if (value > merit) {
      merit = value;
      const side = Math.min(dx, dy) / ratio;
      best = { count, across, rows, dx, dy, gap: side >= 8 ? Math.round(2 * ratio) : side >= 2.5 ? Math.max(1, Math.round(ratio / 2)) : 0, ratio };
    }
  }
  return best;
}

/** The cell under a point in CSS pixels, or -1. */
export function cellAt(place: Layout, x: number, y: number): number {
  const [column, row] = [Math.floor((x * place.ratio) / place.dx), Math.floor((y * place.ratio) / place.dy)];
  if (column < 0 || column >= place.across || row < 0) return -1;
  const cell = row * place.across + column;
  return cell < place.count ? cell : -1;
}

/** Left, top, width and height of a cell in CSS pixels. */
export function boxOf(place: Layout, cell: number): { x: number; y: number; w: number; h: number } {
  const [column, row] = [cell % place.across, Math.floor(cell / place.across)];
  const { dx, dy, ratio } = place;
  return { x: (column * dx) / ratio, y: (row * dy) / ratio, w: dx / ratio, h: dy / ratio };
}

/** Where an arrow key leads from a cell; undefined for any other key. */
export function moved(place: Layout, cell: number, key: string): number | undefined {
  const last = place.count - 1;
  const steps: Readonly<Record<string, number>> = {
    ArrowLeft: cell - 1,
    ArrowRight: cell + 1,
    ArrowUp: cell - place.across < 0 ? cell : cell - place.across,
    ArrowDown: cell + place.across > last ? cell : cell + place.across,
    PageUp: cell - 10 * place.across,
    PageDown: cell + 10 * place.across,
    Home: 0,
    End: last,
  };
  const next = steps[key];
  return next === undefined ? undefined : Math.min(Math.max(next, 0), Math.max(last, 0));
}

/** First and last job of a cell. */
export function jobsOf(cell: number, per: number, total: number): readonly [first: number, last: number] {
  return [cell * per, Math.min((cell + 1) * per, total) - 1];
}

export function cellOf(job: number, per: number): number {
  return Math.floor(job / Math.max(1, per));
}
