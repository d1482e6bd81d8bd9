/** What the view says of a snapshot: every word, fraction and "may it be pressed". Pure; the components only show it. */

import { clock, duration, jobs, number, pace, spoken } from "./words";
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
  if (!s.session.alive) return "session over";
  return s.batch.paused && !s.batch.ended ? "paused" : "";
}

/** Seconds in all: short ones as one job's time, so that a quick batch is not "0:00". */
export function took(seconds: number): string {
  return seconds < 10 ? duration(seconds) : clock(seconds);
}

/** The one line that says how it goes: "0:42 · about 0:18 left · 1,240 jobs/s". */
export function pulse(s: Snapshot | null): string {
  if (!s) return "waiting for the first news";
  const { counts, elapsed, total, left, rate, drawing } = s.batch;
  switch (mood(s)) {
    case "finished":
      return `${total === 1 ? "finished" : `all ${number(total)} finished`} in ${took(elapsed)}`;
    case "failed":
      return `ended after ${took(elapsed)}`;
    case "cancelled":
      return `cancelled after ${took(elapsed)}`;
    case "over":
      return `stopped after ${took(elapsed)}`;
    case "empty":
      return drawing ? "drawing the first jobs" : "no jobs yet";
    case "paused":
      return counts.running ? `paused, ${number(counts.running)} still running · ${clock(elapsed)}` : `paused · ${clock(elapsed)}`;
    case "queued":
      return `${clock(elapsed)} · waiting for a worker`;
    default: {
      const parts = [clock(elapsed)];
      if (left !== null) parts.push(`about ${clock(left)} left`);
      if (rate) parts.push(pace(rate));
      return parts.join(" · ");
    }
  }
}

/** The same for a screen reader, in full words. */
export function summary(s: Snapshot | null): string {
  if (!s) return "";
  const { counts, total, elapsed, left, name } = s.batch;
  const parts = [`${name}: ${number(counts.finished)} of ${jobs(total)} finished`];
  for (const state of ["failed", "lost", "cancelled"] as const) if (counts[state]) parts.push(`${number(counts[state])} ${state}`);
  const at = mood(s);
  if (at === "running" && left !== null) parts.push(`about ${spoken(left)} left`);
  else if (at === "paused") parts.push("paused");
  else if (at === "over") parts.push("the session is over");
  else if (s.batch.ended) parts.push(`ended after ${spoken(elapsed)}`);
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
  const so = s.batch.drawing ? " so far" : "";
  return `${number(s.grid.jobs)}${so} · ${s.grid.per > 1 ? `${number(s.grid.per)} to a cell` : "one cell each"}`;
}

/** What stands where the grid would be, while there is no job. */
export function emptiness(s: Snapshot | null): string {
  if (!s) return "Waiting for the session…";
  if (s.batch.total) return "";
  if (s.batch.drawing) return "Drawing the first jobs…";
  return s.session.alive ? "No jobs yet. Add some with “Add jobs…”." : "No jobs.";
}

/** Why nothing can run, if so: the session is over, or it has no workers. "" while there are some. */
export function trouble(s: Snapshot | null): string {
  if (!s) return "";
  if (!s.session.alive) return s.session.note || "The session is over.";
  if (s.workers.length) return "";
  if (s.session.note) return s.session.note;
  const why = reasons(s.engines);
  if (why) return `No workers. ${why}`;
  return s.engines.length ? "No workers yet: they are being started." : "No workers: the session has no engine.";
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
    hint: alive ? hint : "The session is over",
  });
  switch (action) {
    case "pause":
      return say("Pause", "Pausing…", waiting, "Start no more jobs; those that run go on", !paused);
    case "resume":
      return say("Resume", "Resuming…", true, "Go on with the queued jobs", paused);
    case "retry":
      return say(`Retry ${number(failures)} failed`, "Retrying…", true, "Queue each failed or lost job again", failures > 0);
    case "add":
      return say("Add jobs…", "Add jobs…", true, servicesOnly(s) ? `Add more jobs to this batch: plain data, since ${servicesOnly(s)} only calls services` : "Add more jobs to this batch");
    case "cancel":
      return say("Cancel", "Cancelling…", waiting, stubborn ? `Queued jobs are cancelled; running ones go on to their end, since ${stubborn} cannot interrupt them` : "Cancel what is queued and interrupt what runs", waiting || pending || !s);
    case "refresh":
      return say("Refresh workers", "Refreshing…", true, "Replace dead workers, restart idle ones so that edited modules are read anew");
    case "die":
      return say("Kill child…", "Killing…", true, "End the session: the child and every worker it started");
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
