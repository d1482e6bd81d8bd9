/**
 * What the view is told and what it may ask: the snapshot, the replies, the messages, and the store between.
 *
 * The same shapes are made in Python (the child's snapshot of a batch). Every view and every transport meets here.
 */

export type State = "queued" | "running" | "finished" | "failed" | "cancelled" | "lost";

export type Counts = Readonly<Record<State, number>>;

/** [start, stop, state, jobs]: seconds before now; F finished, X failed, R running, O another batch. */
export type Block = readonly [start: number, stop: number, state: string, jobs: number];

export interface Worker {
  readonly name: string;
  /** The name of its engine. */
  readonly engine: string;
  readonly stage: string;
  readonly pid: number;
  readonly job: number | null;
  readonly lane: readonly Block[];
}

export type EngineState = "connecting" | "open" | "away" | "failed" | "leaving";

/** What an engine may be unable to do: end a running job; run functions (it only calls services); change its size. */
export type Lack = "interrupt" | "functions" | "scale";

export interface Engine {
  readonly name: string;
  readonly host: string;
  readonly state: EngineState;
  readonly slots: number;
  /** Workers that are up. */
  readonly workers: number;
  /** Jobs of this batch on this engine. */
  readonly running: number;
  readonly finished: number;
  readonly failed: number;
  /** One sentence for people; "" if there is nothing to say. */
  readonly note: string;
  readonly cannot: readonly Lack[];
}

export interface Failure {
  readonly job: number;
  readonly error: string;
  readonly state: "failed" | "lost";
}

export interface Batch {
  readonly name: string;
  readonly total: number;
  /** More jobs are still being drawn: `total` will grow. */
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
}

export interface Snapshot {
  readonly v: 1;
  readonly session: { readonly id: string; readonly name: string; readonly alive: boolean; readonly note: string };
  readonly batch: Batch;
  readonly engines: readonly Engine[];
  readonly workers: readonly Worker[];
  readonly more_workers: number;
  readonly more_engines: number;
  readonly grid: { readonly jobs: number; readonly per: number; readonly cells: string };
  readonly failures: { readonly total: number; readonly rows: readonly Failure[] };
}

/** What is known of one job; comes on request only. */
export interface Detail {
  readonly job: number;
  readonly state: string;
  readonly args: string | null;
  readonly worker: string | null;
  readonly seconds: number | null;
  readonly attempt: number | null;
  readonly error: string | null;
  readonly traceback: string | null;
  readonly output: string | null;
}

export type Reply =
  | ({ readonly re: "job" } & Detail)
  | { readonly re: "add"; readonly status: "adding" | "added" | "error"; readonly text: string }
  | { readonly re: "note"; readonly text: string }
  | { readonly re: "log"; readonly text: string };

export type Message =
  | { readonly op: "pause" | "resume" | "refresh" | "die" | "log" }
  | { readonly op: "retry" | "cancel"; readonly job?: number }
  | { readonly op: "add"; readonly text: string }
  | { readonly op: "job"; readonly job: number };

/** All that the view knows of its transport. `subscribe` and `onReply` return the way to leave again. */
export interface Store {
  get(): Snapshot | null;
  subscribe(changed: () => void): () => void;
  send(message: Message): void;
  onReply(told: (reply: Reply) => void): () => void;
}
