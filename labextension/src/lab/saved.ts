/** What our MIME type holds: which batch of which session, and how it looked last. Pure. */

import { asSnapshot } from "../anywidget";
import type { Snapshot } from "../types";

export const MIME = "application/vnd.jupyter-dsage.batch+json";

export interface Saved {
  readonly v: 1;
  readonly session: string;
  readonly name: string;
  readonly batch: number;
  readonly snapshot: Snapshot | null;
}

/** Read a bundle's value; null if it is of another version, or not ours. */
export function savedOf(value: unknown): Saved | null {
  if (typeof value !== "object" || value === null) return null;
  const { v, session, batch, name, snapshot } = value as Record<string, unknown>;
  if (v !== 1 || typeof session !== "string" || typeof batch !== "number") return null;
  return { v, session, batch, name: typeof name === "string" ? name : "", snapshot: asSnapshot(snapshot) };
}

export function sameBatch(one: Saved | null, other: Saved | null): boolean {
  return one !== null && other !== null && one.session === other.session && one.batch === other.batch;
}

/** Whether a snapshot is worth keeping in the notebook: nothing more comes, and what is there tells something else. */
export function worthKeeping(saved: Saved, now: Snapshot | null): now is Snapshot {
  if (!now || !(now.batch.ended || !now.session.alive)) return false;
  const then = saved.snapshot;
  return !then || told(then) !== told(now);
}

function told({ batch, session, failures }: Snapshot): string {
  return JSON.stringify([batch.total, batch.counts, batch.ended, batch.ended || session.alive, failures.total]);
}
