/** Made-up snapshots in every state, for the page beside this file and for looking at the view without a session. */

import type { Block, Counts, Detail, Engine, Snapshot, Worker } from "../src/types";

let seed = 7;
const random = (): number => (seed = (seed * 16807) % 2147483647) / 2147483647;

function lane(pace: number, failing: number, running: boolean): Block[] {
  const out: Block[] = [];
  for (let at = 30; at > 0; ) {
    const long = Math.min(at, 0.4 + random() * pace);
    const last = at - long < 0.01;
    out.push([at, at - long, last && running ? "R" : random() < failing ? "X" : "F", last ? 1 : Math.ceil(random() * 3)]);
    at -= long;
  }
  return out;
}

function workers(names: readonly string[], first: number, running: boolean, failing = 0.04): Worker[] {
  return names.map((name, i) => ({ name, engine: name.slice(0, name.indexOf("/")), stage: "ready", pid: 4101 + i, job: running ? first + i : null, lane: running ? lane(3 + i, failing, running) : [] }));
}

const TEN = ["local/0", "local/1", ...Array.from({ length: 8 }, (_, i) => `atlas/${i}`)];

/** An engine that is well: where it is comes from its name, its share of the batch from `divided`. */
function engine(name: string, slots: number, change: Partial<Engine> = {}): Engine {
  return { name, host: name === "local" ? "desk" : name.replace(/:.*/, ""), state: "open", slots, workers: slots, running: 0, finished: 0, failed: 0, note: "", cannot: [], ...change };
}

/** Give the jobs that ran to the engines that have not said how many they ran: running ones by slots, the rest a bit unevenly. */
function divided(engines: readonly Engine[], counts: Counts): Engine[] {
  const free = engines.filter(({ running, finished, state }) => state === "open" && !running && !finished);
  const rest = (key: "running" | "finished" | "failed"): number => counts[key] - engines.reduce((sum, given) => sum + given[key], 0);
  const [running, finished, failed] = [rest("running"), rest("finished"), rest("failed")];
  const all = free.reduce((sum, { slots }) => sum + slots, 0);
  let seen = 0;
  return engines.map((given) => {
    if (!free.includes(given)) return given;
    const cut = (whole: number): number => Math.round((whole * (seen + given.slots)) / all) - Math.round((whole * seen) / all);
    const part = { ...given, running: cut(running), finished: cut(finished), failed: cut(failed) };
    seen += given.slots;
    return part;
  });
}

interface Wish {
  counts: Partial<Counts>;
  cells: string;
  per?: number;
  batch?: Partial<Snapshot["batch"]>;
  session?: Partial<Snapshot["session"]>;
  workers?: Worker[];
  more?: number;
  engines?: Snapshot["engines"];
  failures?: Snapshot["failures"];
}

function snapshot(wish: Wish): Snapshot {
  const counts = { queued: 0, running: 0, finished: 0, failed: 0, cancelled: 0, lost: 0, ...wish.counts };
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const busy = counts.running > 0;
  return {
    v: 1,
    session: { id: "a1b2", name: "analysis", alive: true, note: "", ...wish.session },
    batch: {
      name: "hist",
      total,
      drawing: false,
      counts,
      paused: false,
      limit: null,
      ended: total > 0 && counts.queued + counts.running === 0,
      elapsed: 42,
      rate: busy ? 1240 : null,
      left: busy ? 18 : null,
      ...wish.batch,
    },
    engines: divided(wish.engines ?? [engine("local", 2), engine("atlas", 8)], counts),
    workers: wish.workers ?? workers(TEN, counts.finished, busy, counts.failed ? 0.04 : 0),
    more_workers: wish.more ?? 0,
    more_engines: 0,
    grid: { jobs: total, per: wish.per ?? 1, cells: wish.cells },
    failures: wish.failures ?? { total: 0, rows: [] },
  };
}

const LOST = "WorkerLost: out of memory, 7.9 of 8.0 GB, after 3 attempts";
const THREE: Snapshot["failures"] = {
  total: 3,
  rows: [
    { job: 812, error: "ValueError: scale < 0", state: "failed" },
    { job: 813, error: "ValueError: scale < 0", state: "failed" },
    { job: 4120, error: LOST, state: "lost" },
  ],
};
const RUNNING: Wish = {
  counts: { finished: 7041, failed: 2, lost: 1, running: 10, queued: 2946 },
  cells: "F812X2F3306L1F2923R10Q2946",
  failures: THREE,
};

export const SNAPSHOTS: Readonly<Record<string, Snapshot | null>> = {
  waiting: null,
  empty: snapshot({ counts: {}, cells: "", batch: { elapsed: 0 } }),
  queued: snapshot({ counts: { queued: 100 }, cells: "Q100", batch: { elapsed: 1 }, workers: workers(["local/0", "local/1"], 0, false).map((w) => ({ ...w, stage: "starting" })), engines: [engine("local", 2, { workers: 0 })] }),
  running: snapshot({ counts: { finished: 7044, running: 10, queued: 2946 }, cells: "F7044R10Q2946" }),
  failed: snapshot(RUNNING),
  paused: snapshot({ ...RUNNING, counts: { finished: 7051, failed: 2, lost: 1, queued: 2946 }, cells: "F812X2F3306L1F2933Q2946", batch: { paused: true, limit: 2 } }),
  finished: snapshot({ counts: { finished: 100 }, cells: "F100", engines: [engine("local", 4)], workers: TEN.slice(0, 4).map((_, i) => ({ name: `local/${i}`, engine: "local", stage: "ready", pid: 4101 + i, job: null, lane: lane(2.1, 0, false).map(([from, to, state]): Block => [from, to, state, 1]) })) }),
  small: snapshot({
    counts: { finished: 9, failed: 1, lost: 1, running: 3, queued: 8, cancelled: 2 },
    cells: "F4X1F3L1F2R3C2Q8",
    batch: { rate: 0.21, left: 130 },
    engines: [engine("local", 3)],
    workers: workers(["local/0", "local/1", "local/2"], 11, true),
    failures: { total: 2, rows: [{ job: 4, error: "ZeroDivisionError: division by zero", state: "failed" }, { job: 8, error: LOST, state: "lost" }] },
  }),
  mixed: snapshot({ counts: { finished: 80, failed: 20 }, cells: "F4X1".repeat(20), batch: { elapsed: 3.4 }, failures: { total: 20, rows: Array.from({ length: 20 }, (_, i) => ({ job: 4 + 5 * i, error: `ValueError: <b>${i}</b> is no scale`, state: "failed" as const })) } }),
  cancelled: snapshot({ counts: { finished: 2310, cancelled: 7690 }, cells: "F2310C7690" }),
  million: snapshot({
    counts: { finished: 614_205, running: 32, failed: 41, queued: 385_722 },
    cells: "F1203X1F2208X3F2727hgR1eQ3856",
    per: 100,
    batch: { name: "sweep", drawing: true, elapsed: 3723, left: 2340, rate: 165 },
    workers: workers(Array.from({ length: 24 }, (_, i) => `local/${i}`), 614_246, true),
    more: 8,
    engines: [engine("local", 32)],
    failures: { total: 41, rows: Array.from({ length: 20 }, (_, i) => ({ job: i < 5 ? 120_304 + i : 341_200 + 15 * i, error: "LinAlgError: Matrix is singular to machine precision; its condition number is 3.1e+17, so that no digit of a solution would be right", state: "failed" as const })) },
  }),
  over: snapshot({ ...RUNNING, session: { alive: false, note: "The child was killed (die). Results that were read are still here; the other jobs ended as SessionLost." }, workers: [], batch: { ended: false } }),
  noworkers: snapshot({ counts: { queued: 400 }, cells: "Q400", workers: [], batch: { elapsed: 12 }, engines: [engine("local", 2, { state: "failed", workers: 0, note: "workers die at birth: ModuleNotFoundError: No module named 'numpy'. Install it for the workers and press Refresh." })] }),
  engines: snapshot({
    counts: { finished: 7042, failed: 2, running: 15, queued: 2941 },
    cells: "F812X2F6230R15Q2941",
    failures: { total: 2, rows: THREE.rows.slice(0, 2) },
    workers: workers(["local/0", "local/1", ...[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map((i) => `hq2:12345/${i}`), "hq4:12345/3"], 7044, true),
    engines: [
      engine("local", 2),
      engine("hq2:12345", 12),
      engine("hq3:12345", 8, { state: "away", workers: 0, finished: 1408, note: "No answer for 14 s; its jobs were moved; dialling again." }),
      engine("atlas:12345", 0, { state: "connecting" }),
      engine("old:8002", 0, { state: "failed", host: "old.example", note: "It runs Python 3.11, this session 3.13: start its worker server with Python 3.13, then add it again." }),
      engine("hq4:12345", 4, { state: "leaving", workers: 1, running: 1, finished: 311, note: "It was removed; its last job goes on to its end." }),
    ],
  }),
  services: snapshot({
    counts: { finished: 31, running: 2, queued: 27 },
    cells: "F31R2Q27",
    batch: { name: "series", rate: 0.4, left: 67 },
    workers: workers(["hq2:12345/0", "hq2:12345/1"], 31, true, 0),
    engines: [engine("hq2:12345", 2, { cannot: ["interrupt", "functions", "scale"] })],
  }),
};

/** What a session would answer about a job. */
export function detailOf(job: number, s: Snapshot | null): Detail {
  const failure = s?.failures.rows.find((row) => row.job === job);
  const at = failure?.state ?? (job < (s?.batch.counts.finished ?? 0) ? "finished" : job < (s?.batch.counts.finished ?? 0) + 13 ? "running" : "queued");
  return {
    job,
    state: at,
    args: failure ? `[1000], loc=1, scale=${-1 - (job % 7)}` : `[1000], loc=${job % 7}, scale=1`,
    worker: at === "queued" ? null : failure ? (s?.workers[6]?.name ?? "local/1") : "local/1",
    seconds: at === "queued" ? null : 0.8,
    attempt: at === "queued" ? null : failure?.state === "lost" ? 3 : 1,
    error: failure?.error ?? null,
    traceback:
      failure?.state === "failed"
        ? `Traceback (most recent call last):\n  Cell 4, line 3, in histogram(size, distribution, loc, scale, bins)\n    draws = rng.normal(loc, scale, size)\n  File "/usr/lib/python3/dist-packages/numpy/random.py", line 12, in normal\n    raise ValueError(message)\n${failure.error}`
        : null,
    output: at === "finished" ? `drawn 1000 of normal(${job % 7}, 1)\nmean 1.02 <b>not markup</b>\n` : null,
  };
}
