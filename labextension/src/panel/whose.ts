/** Whose a session is, and which one belongs to the notebook in front. Pure. */

import { __ } from "../say";
import { moment } from "../words";
import { title } from "./model";
import type { Notebook, Row } from "./types";

type Front = Pick<Notebook, "path" | "kernel">;

/** The session of a notebook: its kernel's own, else one that its kernel attached to, else what an earlier kernel left. */
export function sessionOf(rows: readonly Row[], { path, kernel }: Front): Row | null {
  const newest = (fits: (row: Row) => boolean): Row | undefined => rows.filter(fits).sort((a, b) => b.created - a.created)[0];
  const has = kernel !== "";
  return (
    newest((row) => has && row.alive && row.kernel === kernel) ??
    newest((row) => has && row.alive && row.kernels.includes(kernel)) ??
    newest((row) => row.alive && path !== "" && row.path === path) ??
    newest((row) => (has && row.kernel === kernel) || (path !== "" && row.path === path)) ??
    null
  );
}

export type Relation = "mine" | "attached" | "earlier" | "other" | "none";

/** What a session is to the notebook in front; "none" while there is no notebook. */
export function relation(row: Row, front: Front | null): Relation {
  if (!front) return "none";
  if (front.kernel && row.kernel === front.kernel) return "mine";
  if (front.kernel && row.kernels.includes(front.kernel)) return "attached";
  return front.path && row.path === front.path ? "earlier" : "other";
}

export function relationWord(relation: Relation): string {
  return { mine: __("this notebook"), attached: __("attached here"), earlier: __("this notebook, earlier kernel"), other: __("not this notebook"), none: "" }[relation];
}

/** "kernel 1a2b3c4d": as `%dsage` says it. */
export function kernelWord({ kernel }: Pick<Row, "kernel">): string {
  const id = kernel.replace(/^kernel-/, "").replace(/\.json$/, "").slice(0, 8);
  return id ? __("kernel %1", id) : __("no kernel");
}

/** "analysis.ipynb · kernel 1a2b3c4d · started 14:05". */
export function whose(row: Row, now: number): string {
  return [title(row), kernelWord(row), __("started %1", moment(row.created, now))].join(" · ");
}
