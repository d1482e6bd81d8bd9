/**
 * The one place where the panel's state lives: what the person chose, what was asked, what was answered.
 *
 * Components read it and call its methods; each change asks for one redraw in the browser's next frame.
 */

import { firstChoice, ordered, title } from "./model";
import { sessionOf } from "./whose";
import { Listeners } from "../listeners";
import type { BatchRow, Notebook, Order, Place, Row, Sessions, SessionView } from "./types";

export type Pane = "batch" | "workers" | "engines" | "log";

/** What is asked before it is done. */
export type Question = { readonly what: "die" | "delete" } | { readonly what: "engine"; readonly engine: string } | null;

export interface Ui {
  /** The session that is shown, and that all buttons are for; null where the notebook in front has none. */
  readonly session: string | null;
  /** It stays, whatever notebook is in front. */
  readonly pinned: boolean;
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
  ui: Ui = { session: null, pinned: false, batch: null, pane: "batch", question: null, menu: false, note: "", noteIsError: false, log: null };
  /** What was sent and has no answer yet: "pause", "engine-add". */
  readonly pending = new Set<string>();
  private readonly redraws = new Listeners();
  private readonly leave: (() => void)[];
  /** The session that somebody chose; null: that of the notebook in front. */
  private chosen: string | null = null;
  private front: string | null = null;
  private followed: string | null = null;
  private unfollow: () => void = () => undefined;
  private frame = 0;
  private noteTimer = 0;

  constructor(
    readonly sessions: Sessions,
    readonly place: Place,
  ) {
    this.leave = [sessions.subscribe(() => this.changed())];
    const off = place.onChange?.(() => this.changed());
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

  get id(): string | null {
    return this.ui.session;
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

  /** Show a session until another notebook comes to the front, or, pinned, for good. */
  choose(session: string, batch: number | null = null): void {
    this.chosen = session;
    if (batch !== null) this.set({ pane: "batch" });
    this.changed();
    this.set({ batch: batch ?? this.ui.batch, question: null, menu: false });
  }

  /** Stay with the session that is shown, or follow the notebook in front again. */
  pin(pinned: boolean): void {
    this.chosen = pinned ? this.ui.session : null;
    this.set({ pinned });
    this.changed();
  }

  /** Start a session in the notebook in front, and show it. */
  async start(): Promise<void> {
    this.pin(false);
    await this.notebook?.start();
    this.changed();
  }

  open(pane: Pane): void {
    this.set({ pane, question: null });
    if (pane === "log") void this.readLog();
  }

  /** Ask a session for something; the answer, a refusal too, stands in the note for a while. `id`: the one that was shown when it was asked. */
  async order(order: Order, key: string = order.op, id: string | null = this.ui.session): Promise<boolean> {
    if (id === null || this.pending.has(key)) return false;
    const of = this.sessions.rows?.find((row) => row.id === id);
    const answer = (text: string, isError: boolean): void => this.say(this.ui.session === id || !of ? text : `${title(of)}: ${text}`, isError);
    this.pending.add(key);
    this.set({ question: null, menu: false });
    try {
      answer(await this.sessions.order(id, order), false);
      return true;
    } catch (error) {
      answer(error instanceof Error ? error.message : String(error), true);
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

  /** Sessions or the notebook in front are others now. */
  private changed(): void {
    const front = this.notebook?.path ?? null;
    if (front !== this.front && !this.ui.pinned) this.chosen = null;
    this.front = front;
    const { rows } = this.sessions;
    if (rows) this.show(this.pick(rows));
    this.follow();
    this.touch();
  }

  /** Which session is shown: the chosen one, else that of the notebook in front, and none that is another's. */
  private pick(rows: readonly Row[]): string | null {
    const known = (session: string | null): boolean => rows.some(({ id }) => id === session);
    if (known(this.chosen)) return this.chosen;
    this.chosen = null;
    if (this.notebook) return sessionOf(rows, this.notebook)?.id ?? null;
    return known(this.ui.session) ? this.ui.session : firstChoice(rows);
  }

  private show(session: string | null): void {
    if (this.chosen === null && this.ui.pinned) this.ui = { ...this.ui, pinned: false };
    if (session === this.ui.session) return;
    this.pending.clear(); // what is under way concerns the other one
    this.ui = { ...this.ui, session, batch: null, question: null, menu: false, note: "", log: null };
    if (this.ui.pane === "log") void this.readLog();
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
