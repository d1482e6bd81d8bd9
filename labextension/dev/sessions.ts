/** Made-up sessions in every state, for the page of the panel and for its tests. */

import { SNAPSHOTS } from "./snapshots";
import type { BatchRow, Row, SessionView, WorkerRow } from "../src/panel/types";
import type { Counts, Engine, Snapshot } from "../src/types";

const NOW = 1_790_000_000;
const NONE: Counts = { queued: 0, running: 0, finished: 0, failed: 0, cancelled: 0, lost: 0 };

/** A batch's line as a snapshot tells it. */
export function lineOf(number: number, s: Snapshot, change: Partial<BatchRow> = {}): BatchRow {
  const { name, total, drawing, counts, paused, limit, ended, elapsed, rate, left } = s.batch;
  return { number, name, total, drawing, counts, paused, limit, ended, elapsed, rate, left, created: NOW - elapsed, ...change };
}

function known(name: string): Snapshot {
  const s = SNAPSHOTS[name];
  if (!s) throw new Error(name);
  return s;
}

function workersOf(s: Snapshot, batch: number): WorkerRow[] {
  return s.workers.map(({ name, engine, stage, pid, job }, i) => ({
    name, engine, stage, pid, job,
    host: engine === "local" ? "desk" : engine.replace(/:.*/, ""),
    batch: job === null ? null : batch,
    cpu: job === null ? 0.3 : 86 + ((i * 7) % 14),
    memory: 61e6 + ((i * 37) % 23) * 9.3e6,
  }));
}

export function summed(batches: readonly BatchRow[]): Counts {
  const sum = { ...NONE };
  for (const { counts } of batches) for (const state of Object.keys(sum) as (keyof Counts)[]) sum[state] += counts[state];
  return sum;
}

export function viewOf(id: string, batches: readonly BatchRow[], s: Snapshot, change: Partial<SessionView> = {}): SessionView {
  return {
    v: 1, id, name: "analysis", alive: s.session.alive, note: s.session.note, created: NOW - 8000, kernel: `kernel-${id}.json`, notebook: "studies/analysis.ipynb", pid: 4099,
    counts: summed(batches), rate: s.batch.rate, batches, more_batches: 0, engines: s.engines as Engine[], more_engines: 0, workers: workersOf(s, batches[0]?.number ?? 0), more_workers: s.more_workers, ...change,
  };
}

export function rowOf(view: SessionView, change: Partial<Row> = {}): Row {
  const { id, name, created, alive, kernel, notebook, pid, counts } = view;
  return { id, name, created, alive, kernel, notebook, path: notebook, kernels: alive && kernel ? [kernel] : [], pid: alive ? pid : null, slots: 10, workers: alive ? view.workers.length + view.more_workers : null, batches: alive ? view.batches.length : null, counts: alive ? counts : null, revivable: !alive, ...change };
}

export interface Scene {
  readonly rows: readonly Row[] | null;
  readonly views: Readonly<Record<string, SessionView>>;
  readonly snapshots: Readonly<Record<string, Snapshot>>;
  readonly problem?: string;
}

function scene(id: string, shown: readonly string[], change: Partial<SessionView> = {}, others: readonly Row[] = OTHERS): Scene {
  const snapshots = shown.map(known);
  const batches = snapshots.map((s, i) => lineOf(shown.length - i, s, i ? { name: ["fit", "prior draws", "sweep-2"][i - 1] ?? "b" } : {}));
  const [first] = snapshots;
  if (!first) throw new Error("a scene wants a batch");
  const view = viewOf(id, batches, first, change);
  return { rows: [...others, rowOf(view)], views: { [id]: view }, snapshots: Object.fromEntries(snapshots.map((s, i) => [`${id}/${shown.length - i}`, s])) };
}

const OTHERS: readonly Row[] = [
  { id: "old1", name: "spring-fits", created: NOW - 3.2 * 86_400, alive: false, kernel: "", notebook: "fits/spring 2026.ipynb", path: "fits/spring 2026.ipynb", kernels: [], pid: null, slots: null, workers: null, batches: null, counts: null, revivable: true },
  { id: "t1", name: "training", created: NOW - 5200, alive: true, kernel: "kernel-t1.json", notebook: "training.ipynb", path: "training.ipynb", kernels: ["kernel-t1.json"], pid: 5120, slots: 4, workers: 4, batches: 2, counts: { ...NONE, finished: 3120, running: 4, queued: 880 }, revivable: false },
];

/** Three batches of one name, two of which began in the same minute. */
function alike(made: Scene): Scene {
  const [[id, view] = []] = Object.entries(made.views);
  if (!id || !view) throw new Error("a scene wants a view");
  return { ...made, views: { [id]: { ...view, batches: view.batches.map((batch, i) => ({ ...batch, name: i ? `hist#${3 - i}` : "hist", created: NOW - [20, 40, 4000][i]! })) } } };
}

export const SCENES: Readonly<Record<string, Scene>> = {
  running: scene("a1b2", ["running", "finished", "mixed", "cancelled"]),
  failed: scene("a1b2", ["failed", "finished"]),
  paused: scene("a1b2", ["paused", "finished"]),
  small: scene("a1b2", ["small"]),
  million: scene("a1b2", ["million", "finished", "mixed"], { more_batches: 112 }),
  engines: scene("a1b2", ["engines", "services"]),
  cancelled: scene("a1b2", ["cancelled"]),
  over: scene("a1b2", ["over"]),
  alone: scene("a1b2", ["running"], {}, []),
  alike: alike(scene("a1b2", ["running", "finished", "mixed"])),
  nobatch: (() => {
    const s = known("noworkers");
    const view = viewOf("a1b2", [], s, { engines: s.engines });
    return { rows: [rowOf(view)], views: { a1b2: view }, snapshots: {} };
  })(),
  empty: { rows: [], views: {}, snapshots: {} },
  problem: { rows: null, views: {}, snapshots: {}, problem: "This Jupyter server has no jupyter_dsage extension. Install jupyter_dsage where the server runs, then restart it." },
};

export { NOW };
