/**
 * Details of jobs: asked for one at a time, at most every 100 ms, and remembered.
 *
 * What ended never changes and is asked for once; what still runs is asked for again after a second, if it is
 * still looked at. The job looked at right now goes before those wanted for a table.
 */

import type { Detail } from "./types";

export const EVERY = 100; // ms between two questions
const STALE = 1000; // ms after which a job that has not ended is asked about again
const PATIENCE = 3000; // ms after which a question without an answer is asked again
const MOST = 500; // details kept; the oldest go

const ENDED = new Set(["finished", "failed", "cancelled", "lost"]);

export interface Clock {
  now(): number;
  later(call: () => void, ms: number): unknown;
}

const BROWSER: Clock = { now: () => performance.now(), later: (call, ms) => setTimeout(call, ms) };

export class Details {
  private readonly known = new Map<number, { readonly detail: Detail; readonly at: number }>();
  private readonly asked = new Map<number, number>();
  private readonly queue = new Set<number>();
  private urgent: number | null = null;
  private last = -Infinity;
  private waiting = false;

  constructor(
    private readonly ask: (job: number) => void,
    private readonly clock: Clock = BROWSER,
  ) {}

  get(job: number): Detail | undefined {
    return this.known.get(job)?.detail;
  }

  /** Say that a job is looked at (`now`) or stands in a table that is. */
  want(job: number, now = true): void {
    if (this.fresh(job)) return;
    if (now) this.urgent = job;
    else this.queue.add(job);
    this.pump();
  }

  /** Nobody looks at anything any more. */
  drop(): void {
    this.urgent = null;
    this.queue.clear();
  }

  take(detail: Detail): void {
    this.known.delete(detail.job);
    this.known.set(detail.job, { detail, at: this.clock.now() });
    this.asked.delete(detail.job);
    for (const oldest of this.known.keys()) {
      if (this.known.size <= MOST) break;
      this.known.delete(oldest);
    }
  }

  /** A retry gives failed jobs a new life: what is known of them is history. */
  forgetFailures(): void {
    for (const [job, { detail }] of this.known) if (detail.state === "failed" || detail.state === "lost") this.known.delete(job);
  }

  private fresh(job: number): boolean {
    const now = this.clock.now();
    const have = this.known.get(job);
    if (have && (ENDED.has(have.detail.state) || now - have.at < STALE)) return true;
    const when = this.asked.get(job);
    return when !== undefined && now - when < PATIENCE;
  }

  private pump(): void {
    if (this.waiting) return;
    const wait = this.last + EVERY - this.clock.now();
    if (wait > 0) {
      this.waiting = true;
      this.clock.later(() => {
        this.waiting = false;
        this.pump();
      }, wait);
      return;
    }
    const [first] = this.queue;
    const next = this.urgent ?? first;
    if (next === undefined) return;
    this.urgent = null;
    this.queue.delete(next);
    if (!this.fresh(next)) {
      this.last = this.clock.now();
      this.asked.set(next, this.last);
      this.ask(next);
    }
    if (this.queue.size) this.pump();
  }
}
