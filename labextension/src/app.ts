/**
 * The one place where the view's state lives: the snapshot, what the person chose, what was sent and not seen to happen.
 *
 * Components read it and call its methods; each change asks for one redraw in the browser's next frame.
 */

import { Details } from "./details";
import { mood, settled } from "./model";
import { __ } from "./say";
import type { Message, Reply, Snapshot, Store } from "./types";

export type Tab = "failed" | "job" | "workers" | "log";

export interface Ui {
  /** The tab that was chosen; null until then, and the view chooses. */
  readonly tab: Tab | null;
  readonly closed: boolean;
  /** The cell under the pointer or the keyboard's cursor. */
  readonly pointed: number | null;
  /** The job that was pinned. */
  readonly chosen: number | null;
  readonly expanded: ReadonlySet<number>;
  readonly adding: { readonly open: boolean; readonly status: "" | "adding" | "added" | "error"; readonly text: string };
  readonly menu: "closed" | "open" | "asking";
  readonly note: string;
  readonly log: string | null;
}

const IMPATIENCE = 5000; // ms after which a button may be pressed again although nothing was seen to happen
const NOTE = 10_000; // ms for which a one-line answer stands

export class App {
  snapshot: Snapshot | null = null;
  ui: Ui = {
    tab: null,
    closed: false,
    pointed: null,
    chosen: null,
    expanded: new Set(),
    adding: { open: false, status: "", text: "" },
    menu: "closed",
    note: "",
    log: null,
  };
  readonly details: Details;
  private readonly pending = new Map<string, Snapshot | null>();
  private readonly leave: (() => void)[];
  private frame = 0;
  private noteTimer = 0;
  private redraw: () => void = () => undefined;

  constructor(private readonly store: Store) {
    this.details = new Details((job) => this.store.send({ op: "job", job }));
    this.snapshot = store.get();
    this.leave = [store.subscribe(() => this.arrived(store.get())), store.onReply((reply) => this.told(reply))];
  }

  onRedraw(redraw: () => void): void {
    this.redraw = redraw;
  }

  close(): void {
    for (const off of this.leave) off();
    this.details.drop();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.noteTimer);
    this.redraw = () => undefined;
  }

  /** Draw soon; many calls make one drawing. */
  touch(): void {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.redraw();
    });
  }

  set(change: Partial<Ui>): void {
    this.ui = { ...this.ui, ...change };
    this.touch();
  }

  get tab(): Tab {
    return this.ui.tab ?? (this.snapshot?.failures.total ? "failed" : "workers");
  }

  open(tab: Tab): void {
    this.set({ tab, closed: false });
    if (tab === "log") this.store.send({ op: "log" });
  }

  /** Pin a job and show all that is known of it. */
  choose(job: number): void {
    const total = this.snapshot?.grid.jobs ?? 0;
    if (!total) return;
    this.set({ chosen: Math.min(Math.max(0, job), total - 1), tab: "job", closed: false });
  }

  isPending(key: string): boolean {
    return this.pending.has(key);
  }

  /** Send a command; its button shows that it was pressed until a snapshot or an answer shows the effect. */
  command(message: Message): void {
    const key = "job" in message ? `${message.op} ${message.job}` : message.op;
    this.pending.set(key, this.snapshot);
    setTimeout(() => this.settle(key), IMPATIENCE);
    this.store.send(message);
    this.touch();
  }

  add(text: string): void {
    this.set({ adding: { open: true, status: "adding", text: __("adding…") } });
    this.store.send({ op: "add", text });
  }

  private settle(key: string): void {
    if (this.pending.delete(key)) this.touch();
  }

  private arrived(next: Snapshot | null): void {
    const before = this.snapshot;
    this.snapshot = next;
    if (next) {
      for (const [key, then] of this.pending) if (settled(key, then, next)) this.pending.delete(key);
      if (before && failures(next) < failures(before)) this.details.forgetFailures();
      if (mood(next) === "over" && this.ui.menu !== "closed") this.ui = { ...this.ui, menu: "closed" };
    }
    this.touch();
  }

  private told(reply: Reply): void {
    switch (reply.re) {
      case "job":
        this.details.take(reply);
        for (const key of [`cancel ${reply.job}`, `retry ${reply.job}`]) if (!["queued", "running"].includes(reply.state)) this.settle(key);
        this.touch();
        break;
      case "add":
        this.set({ adding: { open: this.ui.adding.open, status: reply.status, text: reply.status === "adding" ? __("adding…") : reply.text || reply.status } });
        break;
      case "log":
        this.set({ log: reply.text });
        break;
      case "note":
        this.pending.delete("refresh");
        this.set({ note: reply.text });
        clearTimeout(this.noteTimer);
        this.noteTimer = window.setTimeout(() => this.set({ note: "" }), NOTE);
        break;
    }
  }
}

function failures(s: Snapshot): number {
  return s.batch.counts.failed + s.batch.counts.lost;
}
