/**
 * The one place where the panel's state lives: what the person chose, what was asked, what was answered.
 *
 * Components read it and call its methods; each change asks for one redraw in the browser's next frame.
 */

import { firstChoice, ordered } from "./model";
import { Listeners } from "../listeners";
import type { BatchRow, Notebook, Order, Place, Row, Sessions, SessionView } from "./types";

export type Pane = "batch" | "workers" | "engines" | "log";

/** What is asked before it is done. */
export type Question = { readonly what: "die" | "delete" } | { readonly what: "engine"; readonly engine: string } | null;

export interface Ui {
  readonly session: string | null;
  readonly batch: number | null;
  readonly pane: Pane;
  readonly question: Question;
  readonly menu: boolean;
  readonly note: string;
  readonly noteIsError: boolean;
  readonly log: string | null;
}

const NOTE = 10_000; // ms for which an answer stands

export class PanelApp {
  ui: Ui = { session: null, batch: null, pane: "batch", question: null, menu: false, note: "", noteIsError: false, log: null };
  /** What was sent and has no answer yet: "pause", "engine-add". */
  readonly pending = new Set<string>();
  private readonly redraws = new Listeners();
  private readonly leave: (() => void)[];
  private followed: string | null = null;
  private unfollow: () => void = () => undefined;
  private frame = 0;
  private noteTimer = 0;

  constructor(
    readonly sessions: Sessions,
    readonly place: Place,
  ) {
    this.leave = [sessions.subscribe(() => this.changed())];
    const off = place.onChange?.(() => this.touch());
    if (off) this.leave.push(off);
    this.changed();
  }

  onRedraw(redraw: () => void): void {
    this.redraws.add(redraw);
  }

  close(): void {
    for (const off of this.leave) off();
    this.unfollow();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.noteTimer);
  }

  touch(): void {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.redraws.tell();
    });
  }

  set(change: Partial<Ui>): void {
    this.ui = { ...this.ui, ...change };
    this.touch();
  }

  get rows(): readonly Row[] {
    return ordered(this.sessions.rows ?? []);
  }

  get row(): Row | null {
    return this.sessions.rows?.find(({ id }) => id === this.ui.session) ?? null;
  }

  get view(): SessionView | null {
    return this.ui.session === null ? null : this.sessions.view(this.ui.session);
  }

  /** The batch that is shown: the chosen one, else the newest. */
  get batch(): BatchRow | null {
    const batches = this.view?.batches ?? [];
    return batches.find(({ number }) => number === this.ui.batch) ?? batches[0] ?? null;
  }

  /** The notebook in front. */
  get notebook(): Notebook | null {
    return this.place.notebook?.() ?? null;
  }

  choose(session: string, batch: number | null = null): void {
    const other = session !== this.ui.session;
    const pane = batch === null ? this.ui.pane : "batch";
    this.set({ session, batch: batch ?? (other ? null : this.ui.batch), pane, question: null, menu: false, ...(other ? { log: null } : {}) });
    this.follow();
    if (other && pane === "log") void this.readLog();
  }

  open(pane: Pane): void {
    this.set({ pane, question: null });
    if (pane === "log") void this.readLog();
  }

  /** Ask a session for something; the answer, a refusal too, stands in the note for a while. */
  async order(order: Order, key: string = order.op): Promise<boolean> {
    const id = this.ui.session;
    if (id === null || this.pending.has(key)) return false;
    this.pending.add(key);
    this.set({ question: null, menu: false });
    try {
      this.say(await this.sessions.order(id, order), false);
      return true;
    } catch (error) {
      this.say(error instanceof Error ? error.message : String(error), true);
      return false;
    } finally {
      this.pending.delete(key);
      this.touch();
    }
  }

  say(note: string, noteIsError: boolean): void {
    clearTimeout(this.noteTimer);
    this.set({ note, noteIsError });
    this.noteTimer = window.setTimeout(() => this.set({ note: "" }), NOTE);
  }

  async readLog(): Promise<void> {
    const id = this.ui.session;
    if (id === null) return;
    let log: string;
    try {
      log = await this.sessions.log(id);
    } catch (error) {
      log = error instanceof Error ? error.message : String(error);
    }
    if (this.ui.session === id) this.set({ log });
  }

  private changed(): void {
    const rows = this.sessions.rows;
    if (rows && !rows.some(({ id }) => id === this.ui.session)) {
      this.ui = { ...this.ui, session: firstChoice(rows), batch: null, question: null, log: null };
    }
    this.follow();
    this.touch();
  }

  /** The chosen session, if it lives, is kept up to date; the others are told of by the list. */
  private follow(): void {
    const id = this.row?.alive ? this.ui.session : null;
    if (this.followed === id) return;
    this.followed = id; // first, since following tells of changes
    const before = this.unfollow;
    this.unfollow = id === null ? () => undefined : this.sessions.follow(id);
    before();
  }
}
