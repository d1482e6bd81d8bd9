/**
 * What the panel is told of sessions and what it may ask: shapes that the server extension makes, and the store between.
 *
 * The panel knows no transport: JupyterLab's half (`src/lab/sessions.ts`) and the page with made-up sessions both are
 * a `Sessions`.
 */

import type { Counts, Engine, Store } from "../types";

/** A session in the list. What is null is known only while it lives. */
export interface Row {
  readonly id: string;
  readonly name: string;
  /** Seconds since the epoch. */
  readonly created: number;
  readonly alive: boolean;
  /** The name of its kernel's connection file; "" without one. */
  readonly kernel: string;
  /** The path of its notebook; "" without one. */
  readonly notebook: string;
  /** The notebook's path on this server; "" if it is not of it. */
  readonly path: string;
  /** The kernels of all that have the session now: its own, and those that attached. */
  readonly kernels: readonly string[];
  readonly pid: number | null;
  readonly slots: number | null;
  readonly workers: number | null;
  readonly batches: number | null;
  readonly counts: Counts | null;
  readonly revivable: boolean;
}

export interface BatchRow {
  readonly number: number;
  readonly name: string;
  readonly total: number;
  readonly drawing: boolean;
  readonly counts: Counts;
  readonly paused: boolean;
  readonly limit: number | null;
  /** What its jobs want of their engine, in words; missing in what older versions saved. */
  readonly wants?: string;
  readonly ended: boolean;
  readonly elapsed: number;
  readonly rate: number | null;
  readonly left: number | null;
  readonly created: number;
}

export interface WorkerRow {
  readonly name: string;
  readonly engine: string;
  readonly host: string;
  readonly stage: string;
  readonly pid: number;
  readonly job: number | null;
  /** The number of the job's batch. */
  readonly batch: number | null;
  /** Percent of one core. */
  readonly cpu: number | null;
  /** Bytes. */
  readonly memory: number | null;
}

/** All of one session but the jobs of its batches. */
export interface SessionView {
  readonly v: 1;
  readonly id: string;
  readonly name: string;
  readonly alive: boolean;
  readonly note: string;
  readonly created: number;
  readonly kernel: string;
  readonly notebook: string;
  readonly pid: number | null;
  readonly counts: Counts;
  readonly rate: number | null;
  /** The newest first. */
  readonly batches: readonly BatchRow[];
  readonly more_batches: number;
  readonly engines: readonly Engine[];
  readonly more_engines: number;
  readonly workers: readonly WorkerRow[];
  readonly more_workers: number;
}

/** What may be asked of a session beside what the view of a batch sends. Without a batch: all that it concerns. */
export type Order =
  | { readonly op: "pause" | "resume" | "cancel" | "retry"; readonly batch?: number }
  | { readonly op: "refresh" | "die" | "revive" | "delete" }
  | { readonly op: "engine-add"; readonly url: string }
  | { readonly op: "engine-remove"; readonly engine: string }
  | { readonly op: "engine-scale"; readonly engine: string; readonly slots: number };

/** How a session is reached: not asked for; on its way; yes; trying again; it is over; the server does not know it. */
export type Link = "idle" | "connecting" | "live" | "away" | "over" | "unknown";

/** The one store of what is known of sessions. `subscribe`, `follow` return the way to leave again. */
export interface Sessions {
  /** Null until the first answer. */
  readonly rows: readonly Row[] | null;
  /** Why the list cannot be had, as a sentence; "" if it can. */
  readonly problem: string;
  subscribe(changed: () => void): () => void;
  /** Ask for the list again now. */
  reload(): Promise<void>;
  view(id: string): SessionView | null;
  link(id: string): Link;
  /** Keep a session's view up to date. */
  follow(id: string): () => void;
  /** Try at once to reach a session that is away. */
  retry(id: string): void;
  batch(id: string, number: number): Store;
  /** Resolves with a sentence for people; rejects with an Error whose message is one. */
  order(id: string, order: Order): Promise<string>;
  log(id: string): Promise<string>;
}

export interface Notebook {
  readonly name: string;
  /** As in a session's row. */
  readonly path: string;
  /** As in a session's row; "" while it has no kernel. */
  readonly kernel: string;
  /** Start a session in its kernel. */
  start(): Promise<void>;
  /** Bring a session's batches into it. */
  attach(session: string): Promise<void>;
}

/** What the place around the panel can do; what it cannot is absent. */
export interface Place {
  /** Open a batch wide, in a tab of its own. */
  openTab?(id: string, batch: number): void;
  /** The way to the cell that made a batch; null if no open notebook has it. */
  cellOf?(id: string, batch: number): (() => void) | null;
  /** The notebook in front. */
  notebook?(): Notebook | null;
  openExample?(): void;
  /** Tells that any of the above may have changed. */
  onChange?(changed: () => void): () => void;
}
