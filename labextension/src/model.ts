/** What the view says of a snapshot: every word, fraction and "may it be pressed". Pure; the components only show it. */

import { __, _n } from "./say";
import { clock, duration, jobs, number, pace, spoken, stateName } from "./words";
import { reasons, servicesOnly, troubled, uninterruptible } from "./engines";
import type { Batch, Snapshot, State } from "./types";

/** In the order in which they are shown; the first three always are, the others when there are some. */
export const STATES: readonly State[] = ["finished", "running", "queued", "failed", "lost", "cancelled"];

export type Mood = "waiting" | "empty" | "queued" | "running" | "paused" | "finished" | "failed" | "cancelled" | "over";

export function mood(s: Snapshot | null): Mood {
  if (!s) return "waiting";
  const { counts, ended, total, paused } = s.batch;
  if (ended && total) return counts.failed + counts.lost ? "failed" : counts.cancelled ? "cancelled" : "finished";
  if (!s.session.alive) return "over";
  if (!total) return "empty";
  return paused ? "paused" : counts.running ? "running" : "queued";
}

/** The badge beside the name: only what the bar does not show by itself. */
export function badge(s: Snapshot | null): string {
  if (!s) return "";
  if (!s.session.alive) return __("session over");
  return s.batch.paused && !s.batch.ended ? __("paused") : "";
}

/** Seconds in all: short ones as one job's time, so that a quick batch is not "0:00". */
export function took(seconds: number): string {
  return seconds < 10 ? duration(seconds) : clock(seconds);
}

/** The one line that says how it goes: "0:42 · about 0:18 left · 1,240 jobs/s". */
export function pulse(s: Snapshot | null): string {
  if (!s) return __("waiting for the first news");
  const { counts, elapsed, total, left, rate, drawing } = s.batch;
  switch (mood(s)) {
    case "finished":
      return _n("finished in %2", "all %3 finished in %2", total, took(elapsed), number(total));
    case "failed":
      return __("ended after %1", took(elapsed));
    case "cancelled":
      return __("cancelled after %1", took(elapsed));
    case "over":
      return __("stopped after %1", took(elapsed));
    case "empty":
      return drawing ? __("drawing the first jobs") : __("no jobs yet");
    case "paused":
      return [counts.running ? __("paused, %1 still running", number(counts.running)) : __("paused"), clock(elapsed)].join(" · ");
    case "queued":
      return `${clock(elapsed)} · ${__("waiting for a worker")}`;
    default: {
      const parts = [clock(elapsed)];
      if (left !== null) parts.push(__("about %1 left", clock(left)));
      if (rate) parts.push(pace(rate));
      return parts.join(" · ");
    }
  }
}

/** The same for a screen reader, in full words. */
export function summary(s: Snapshot | null): string {
  if (!s) return "";
  const { counts, total, elapsed, left, name } = s.batch;
  const parts = [`${name}: ${__("%1 of %2 finished", number(counts.finished), jobs(total))}`];
  for (const state of ["failed", "lost", "cancelled"] as const) if (counts[state]) parts.push(`${number(counts[state])} ${stateName(state)}`);
  const at = mood(s);
  if (at === "running" && left !== null) parts.push(__("about %1 left", spoken(left)));
  else if (at === "paused") parts.push(__("paused"));
  else if (at === "over") parts.push(__("the session is over"));
  else if (s.batch.ended) parts.push(__("ended after %1", spoken(elapsed)));
  if (s.session.alive) parts.push(...troubled(s));
  return parts.join(", ");
}

/** Shares of the bar in percent, in the order they are drawn; what is left is queued. */
export function shares(batch: Batch | undefined): readonly { readonly state: State; readonly percent: number }[] {
  const total = Math.max(1, batch?.total ?? 0);
  return (["finished", "failed", "lost", "cancelled", "running"] as const).map((state) => ({
    state,
    percent: Math.min(100, ((batch?.counts[state] ?? 0) / total) * 100),
  }));
}

/** How many percent have ended; 100 only when all have. */
export function ended(batch: Batch | undefined): number {
  if (!batch?.total) return 0;
  const { finished, failed, lost, cancelled } = batch.counts;
  return Math.floor(((finished + failed + lost + cancelled) / batch.total) * 100);
}

export function gridTitle(s: Snapshot | null): string {
  if (!s?.batch.total) return "";
  const jobs = number(s.grid.jobs);
  return `${s.batch.drawing ? __("%1 so far", jobs) : jobs} · ${s.grid.per > 1 ? __("%1 to a cell", number(s.grid.per)) : __("one cell each")}`;
}

/** What stands where the grid would be, while there is no job. */
export function emptiness(s: Snapshot | null): string {
  if (!s) return __("Waiting for the session…");
  if (s.batch.total) return "";
  if (s.batch.drawing) return __("Drawing the first jobs…");
  return s.session.alive ? __("No jobs yet. Add some with “Add jobs…”.") : __("No jobs.");
}

/** Why nothing can run, if so: the session is over, or it has no workers. "" while there are some. */
export function trouble(s: Snapshot | null): string {
  if (!s) return "";
  if (!s.session.alive) return s.session.note || __("The session is over.");
  if (s.workers.length) return "";
  if (s.session.note) return s.session.note;
  const why = reasons(s.engines);
  if (why) return `${__("No workers.")} ${why}`;
  return s.engines.length ? __("No workers yet: they are being started.") : __("No workers: the session has no engine.");
}

export interface Button {
  readonly label: string;
  readonly enabled: boolean;
  readonly shown: boolean;
  readonly busy: boolean;
  readonly hint: string;
}

export type Action = "pause" | "resume" | "retry" | "add" | "cancel" | "refresh" | "die";

/** What each button says and whether it may be pressed; `pending`: what was pressed and is not seen to have happened yet. */
export function button(action: Action, s: Snapshot | null, pending: boolean): Button {
  const alive = s?.session.alive ?? false;
  const c = s?.batch.counts;
  const waiting = (c?.queued ?? 0) + (c?.running ?? 0) > 0 || (s?.batch.drawing ?? false);
  const failures = (c?.failed ?? 0) + (c?.lost ?? 0);
  const paused = s?.batch.paused ?? false;
  const stubborn = uninterruptible(s);
  const say = (label: string, doing: string, enabled: boolean, hint: string, shown = true): Button => ({
    label: pending && shown && alive ? doing : label,
    enabled: alive && enabled && !pending,
    shown,
    busy: pending && alive,
    hint: alive ? hint : __("The session is over"),
  });
  switch (action) {
    case "pause":
      return say(__("Pause"), __("Pausing…"), waiting, __("Start no more jobs; those that run go on"), !paused);
    case "resume":
      return say(__("Resume"), __("Resuming…"), true, __("Go on with the queued jobs"), paused);
    case "retry":
      return say(__("Retry %1 failed", number(failures)), __("Retrying…"), true, __("Queue each failed or lost job again"), failures > 0);
    case "add":
      return say(__("Add jobs…"), __("Add jobs…"), true, servicesOnly(s) ? __("Add more jobs to this batch: plain data, since %1 only calls services", servicesOnly(s)) : __("Add more jobs to this batch"));
    case "cancel":
      return say(__("Cancel"), __("Cancelling…"), waiting, stubborn ? __("Queued jobs are cancelled; running ones go on to their end, since %1 cannot interrupt them", stubborn) : __("Cancel what is queued and interrupt what runs"), waiting || pending || !s);
    case "refresh":
      return say(__("Refresh workers"), __("Refreshing…"), true, __("Replace dead workers, restart idle ones so that edited modules are read anew"));
    case "die":
      return say(__("Kill child…"), __("Killing…"), true, __("End the session: the child and every worker it started"));
  }
}

/** Whether a snapshot shows that a command, sent when `before` was shown, has taken effect. */
export function settled(key: string, before: Snapshot | null, now: Snapshot): boolean {
  const { counts, paused, drawing } = now.batch;
  const [op, job] = key.split(" ");
  if (!now.session.alive) return true;
  switch (op) {
    case "pause":
      return paused;
    case "resume":
      return !paused;
    case "cancel":
      return job === undefined ? counts.queued + (uninterruptible(now) ? 0 : counts.running) === 0 && !drawing : false;
    case "retry": {
      if (job !== undefined) return !now.failures.rows.some((row) => row.job === Number(job));
      const were = before ? before.batch.counts.failed + before.batch.counts.lost : 0;
      return counts.failed + counts.lost < were;
    }
    default:
      return false;
  }
}
