/** What is said of single jobs. Pure. */

import { cellOf, decode, jobsOf, stateOf } from "./cells";
import { __ } from "./say";
import { duration, number, stateName } from "./words";
import type { Detail, Snapshot, State } from "./types";

/** The job that a cell stands for: the failed one in it, if it is known, else the first. */
export function targetOf(s: Snapshot, cell: number): number {
  const [first, last] = jobsOf(cell, Math.max(1, s.grid.per), s.grid.jobs);
  if (first === last) return first;
  return s.failures.rows.find(({ job }) => job >= first && job <= last)?.job ?? first;
}

/** The state of one job, as far as the grid tells: null where several jobs share a cell. */
export function stateInGrid(s: Snapshot, job: number): State | null {
  if (s.grid.per > 1) return s.failures.rows.find((row) => row.job === job)?.state ?? null;
  const code = decode(s.grid.cells, s.grid.jobs)[cellOf(job, 1)];
  return code === undefined ? null : stateOf(code).state;
}

/** "job 7,052 · running · [1000], loc=1 · local/1 · 0.8 s · attempt 2", as far as it is known. */
export function jobWords(job: number, state: string, detail: Detail | undefined): string {
  const parts = [__("job %1", number(job)), stateName(state)];
  if (detail) {
    if (detail.args) parts.push(oneLine(detail.args));
    if (detail.worker) parts.push(detail.worker);
    if (detail.seconds !== null) parts.push(duration(detail.seconds));
    if (detail.attempt !== null && detail.attempt > 1) parts.push(__("attempt %1", detail.attempt));
    if (detail.error) parts.push(oneLine(detail.error));
  }
  return parts.join(" · ");
}

export function oneLine(value: string): string {
  return value.replace(/\s+/g, " ").trim();
}

/** A traceback's lines with their parts: where it was ("place"), the code, and what was raised ("error"). */
export function tracebackLines(value: string): readonly { readonly kind: "place" | "code" | "error"; readonly line: string }[] {
  const lines = value.replace(/\s+$/, "").split("\n");
  const place = /^\s*(File |[Cc]ell |Traceback )/;
  const last = lines.findLastIndex((line) => place.test(line));
  const raised = lines.findIndex((line, i) => i > last && /^\S/.test(line));
  return lines.map((line, i) => {
    if (raised >= 0 && i >= raised) return { kind: "error", line };
    return { kind: place.test(line) ? "place" : "code", line };
  });
}
