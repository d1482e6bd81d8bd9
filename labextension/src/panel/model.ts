/** What the panel says of sessions and batches: every word, number and "may it be pressed". Pure. */

import { reasons } from "../engines";
import { __, _n } from "../say";
import { clock, moment, number } from "../words";
import type { Counts, State } from "../types";
import type { BatchRow, Link, Row, SessionView, WorkerRow } from "./types";

export type SessionMood = "running" | "waiting" | "idle" | "paused" | "stuck" | "asleep" | "away";

/** The notebook's name if there is one: that is what people know their session by. */
export function title({ notebook, name }: { readonly notebook: string; readonly name: string }): string {
  return notebook ? (notebook.split("/").at(-1) ?? name) : name;
}

/** The title, with the session's id where another session in the list has the same. */
export function distinctTitle(row: Row, rows: readonly Row[]): string {
  const alike = rows.some((other) => other.id !== row.id && title(other) === title(row));
  return alike ? `${title(row)} · ${row.id}` : title(row);
}

/** The same in full, for the pointer. */
export function fullTitle(row: Row): string {
  const parts = [row.notebook || row.name];
  if (row.notebook && row.name) parts.push(__("session %1", row.name));
  parts.push(__("id %1", row.id));
  if (row.pid !== null) parts.push(__("child %1", row.pid));
  return parts.join("\n");
}

/** How a session is. `paused` only when nothing runs and all that waits is held back; `stuck` when nothing can run. */
export function sessionMood(row: Row, view: SessionView | null, link: Link): SessionMood {
  if (!row.alive) return "asleep";
  if (link === "away") return "away";
  if (stuck(view)) return "stuck";
  const counts = view?.counts ?? row.counts;
  if (counts?.running) return "running";
  if (!counts?.queued) return "idle";
  const held = view?.batches.filter((batch) => batch.counts.queued > 0) ?? [];
  return held.length && held.every(({ paused }) => paused) ? "paused" : "waiting";
}

export function moodWord(mood: SessionMood): string {
  return {
    running: __("running"),
    waiting: __("waiting"),
    idle: __("idle"),
    paused: __("paused"),
    stuck: __("no workers"),
    asleep: __("not running"),
    away: __("no connection"),
  }[mood];
}

/** Why no job can run, if so: its engines failed or are away. "" while there are workers, or some are on their way. */
export function stuck(view: SessionView | null): string {
  return view?.alive && !view.workers.length ? view.note || reasons(view.engines) : "";
}

/** What is said of a session below its name, as far as it is known; in the list the counts have their shapes instead. */
export function sessionLine(row: Row, view: SessionView | null): string {
  const parts = [workersOf(row, view), ...tally(row, view).map(({ count, word }) => `${number(count)} ${word}`)];
  return parts.filter(Boolean).join(" · ");
}

/** "10 workers"; what there is instead where none can be. */
export function workersOf(row: Row, view: SessionView | null): string {
  if (!row.alive) return row.revivable ? __("not running · its journal is kept") : __("not running");
  const workers = view ? view.workers.length + view.more_workers : row.workers;
  const counts = view?.counts ?? row.counts;
  const idle = counts && !counts.running && !counts.queued ? (total(counts) ? __("all done") : __("no jobs yet")) : "";
  return [workers === null ? "" : _n("1 worker", "%2 workers", workers, number(workers)), idle].filter(Boolean).join(" · ");
}

/** The counts worth a look in the list: what runs, what waits, what went wrong. */
export function tally(row: Row, view: SessionView | null): readonly { readonly state: State; readonly count: number; readonly word: string }[] {
  const counts = row.alive ? (view?.counts ?? row.counts) : null;
  const all = [
    { state: "running", count: counts?.running ?? 0, word: __("running") },
    { state: "queued", count: counts?.queued ?? 0, word: __("queued") },
    { state: "failed", count: failures(counts), word: __("failed") },
  ] as const;
  return all.filter(({ count }) => count > 0);
}

export function failures(counts: Counts | null | undefined): number {
  return counts ? counts.failed + counts.lost : 0;
}

export function total(counts: Counts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** How long ago, in one unit: "now", "5 min", "3 h", "2 d". */
export function age(created: number, now: number): string {
  const seconds = Math.max(0, now - created);
  if (seconds < 60) return __("now");
  if (seconds < 3600) return __("%1 min", Math.floor(seconds / 60));
  if (seconds < 86_400) return __("%1 h", Math.floor(seconds / 3600));
  return __("%1 d", number(Math.floor(seconds / 86_400)));
}

export type BatchMood = "empty" | "queued" | "running" | "paused" | "finished" | "failed" | "cancelled" | "over";

export function batchMood(batch: BatchRow, alive: boolean): BatchMood {
  const { counts, ended } = batch;
  if (ended && batch.total) return failures(counts) ? "failed" : counts.cancelled ? "cancelled" : "finished";
  if (!alive) return "over";
  if (!batch.total) return "empty";
  return batch.paused ? "paused" : counts.running ? "running" : "queued";
}

/** How many percent have ended; 100 only when all have. */
export function done(counts: Counts): number {
  const all = total(counts);
  return all ? Math.floor(((all - counts.queued - counts.running) / all) * 100) : 0;
}

/** The few words behind a batch's bar: what one wants to know of it now. */
export function batchWords(batch: BatchRow, alive: boolean): string {
  const bad = failures(batch.counts);
  switch (batchMood(batch, alive)) {
    case "empty":
      return batch.drawing ? __("drawing") : __("empty");
    case "queued":
      return __("queued");
    case "running":
      return batch.left !== null && batch.total > 1 ? __("%1 left", clock(batch.left)) : `${done(batch.counts)} %`;
    case "paused":
      return __("paused");
    case "finished":
      return __("done");
    case "failed":
      return __("%1 failed", number(bad));
    case "cancelled":
      return __("cancelled");
    case "over":
      return __("stopped");
  }
}

/** A batch in one sentence, for ears and the pointer. */
export function batchSentence(batch: BatchRow, alive: boolean): string {
  const { counts } = batch;
  const parts = [__("%1 of %2 finished", number(counts.finished), number(batch.total))];
  for (const [state, word] of [["running", __("running")], ["queued", __("queued")], ["failed", __("failed")], ["lost", __("lost")], ["cancelled", __("cancelled")]] as const) {
    if (counts[state]) parts.push(`${number(counts[state])} ${word}`);
  }
  if (batch.paused && !batch.ended) parts.push(__("paused"));
  else if (alive && batch.left !== null && !batch.ended) parts.push(__("about %1 left", clock(batch.left)));
  return `${batch.name}: ${parts.join(", ")}`;
}

export type Level = "pause" | "resume" | "cancel" | "retry" | "refresh" | "die";

export interface Act {
  readonly op: Level;
  readonly label: string;
  readonly hint: string;
  readonly enabled: boolean;
}

/** What may be done to a session as a whole. Pause or Resume stands, whichever would do something. */
export function acts(view: SessionView | null): readonly Act[] {
  const counts = view?.counts;
  const waiting = counts ? counts.queued + counts.running > 0 : false;
  const open = view?.batches.filter((batch) => !batch.ended) ?? [];
  const resting = open.length > 0 && open.every(({ paused }) => paused);
  const bad = failures(counts);
  return [
    resting
      ? { op: "resume", label: __("Resume all"), hint: __("Go on with the queued jobs of every batch"), enabled: true }
      : { op: "pause", label: __("Pause all"), hint: __("Start no more jobs; those that run go on"), enabled: waiting },
    { op: "cancel", label: __("Cancel all"), hint: __("Cancel every queued job and interrupt those that run"), enabled: waiting },
    { op: "retry", label: __("Retry %1", number(bad)), hint: __("Queue each failed or lost job of every batch again"), enabled: bad > 0 },
    { op: "refresh", label: __("Refresh workers"), hint: __("Replace dead workers, restart idle ones so that edited modules are read anew"), enabled: true },
    { op: "die", label: __("Kill child…"), hint: __("End the session: the child, every worker it started, and its journal"), enabled: true },
  ];
}

/** The name that a batch was given: all but the newest of a name are called "hist#1". */
function givenName({ name }: BatchRow): string {
  return name.replace(/#\d+$/, "");
}

/** When a batch began, where another one of its session has its name; "" else. The seconds only where the minute is the same. */
export function batchTime(batch: BatchRow, batches: readonly BatchRow[], now: number): string {
  const alike = batches.filter((other) => givenName(other) === givenName(batch) && other.number !== batch.number);
  if (!alike.length) return "";
  const short = moment(batch.created, now);
  return alike.some(({ created }) => moment(created, now) === short) ? moment(batch.created, now, true) : short;
}

/** The name, with the time of its start where another batch has the same. */
export function distinctName(batch: BatchRow, batches: readonly BatchRow[], now: number): string {
  return [batch.name, batchTime(batch, batches, now)].filter(Boolean).join(" · ");
}

/** What is asked before a session is killed. */
export function killQuestion(view: SessionView | null, whose: string): string {
  const workers = view ? view.workers.length + view.more_workers : 0;
  const jobs = view ? view.counts.queued + view.counts.running : 0;
  const first = _n("Kill the child of %3 and its 1 worker?", "Kill the child of %3 and its %2 workers?", workers, number(workers), whose);
  const rest = jobs ? [_n("1 job has not ended.", "%2 jobs have not ended.", jobs, number(jobs))] : [];
  return [first, ...rest, __("The session's journal goes, too.")].join(" ");
}

/** "job 7,053 of hist", "idle", "starting". */
export function doing(worker: WorkerRow, batches: readonly BatchRow[]): string {
  if (worker.job === null) return worker.stage === "ready" ? __("idle") : worker.stage;
  const batch = batches.find(({ number }) => number === worker.batch);
  return batch ? __("%1 of %2", number(worker.job), distinctName(batch, batches, Date.now() / 1000)) : __("job %1", number(worker.job));
}

const UNITS = ["B", "KB", "MB", "GB", "TB"];

/** "212 MB", "1.4 GB". */
export function bytes(count: number | null): string {
  if (count === null) return "";
  let [value, unit] = [count, 0];
  while (value >= 999.5 && unit < UNITS.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${value < 9.95 && unit > 1 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit] ?? ""}`;
}

/** Which session is shown while there is no notebook and nobody chose: the one at work, else the newest that lives, else the newest. */
export function firstChoice(rows: readonly Row[]): string | null {
  const alive = rows.filter((row) => row.alive);
  const atWork = alive.filter(({ counts }) => counts && counts.queued + counts.running > 0);
  return (atWork.at(-1) ?? alive.at(-1) ?? rows.at(-1))?.id ?? null;
}

/** The list as it is shown: those that live first, the newest on top. */
export function ordered(rows: readonly Row[]): readonly Row[] {
  return [...rows].sort((a, b) => Number(b.alive) - Number(a.alive) || b.created - a.created);
}
