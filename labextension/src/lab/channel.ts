/**
 * One session's connection, shared by everything on the page that shows it: its view, and a store for each batch.
 *
 * It is open while somebody holds it, and a moment longer, since JupyterLab takes outputs away and makes them anew.
 * When the session is over, the last snapshots stay, with a word on it.
 */

import { asSnapshot } from "../anywidget";
import { Listeners } from "../listeners";
import { __ } from "../say";
import { Socket, type Clock, type Wire } from "./socket";
import type { Link, SessionView } from "../panel/types";
import type { Message, Reply, Snapshot, Store } from "../types";

const LINGER = 3000; // ms for which a connection that nobody holds stays open
const HELD_BACK = 20; // messages that wait for the first connection; a person presses no more in that time

type Told =
  | { readonly kind: "session"; readonly session: SessionView }
  | { readonly kind: "batch"; readonly batch: number; readonly snapshot: unknown }
  | { readonly kind: "reply"; readonly batch: number | null; readonly reply: Reply }
  | { readonly kind: "gone"; readonly text: string };

type Said = { readonly kind: "watch"; readonly batch: number; readonly on: boolean } | { readonly kind: "command"; readonly batch: number; readonly message: Message };

interface Watched {
  snapshot: Snapshot | null;
  readonly changed: Listeners;
  readonly told: Listeners<Reply>;
}

export interface Ways {
  dial(): Wire;
  probe(): Promise<Link>;
}

export class Channel {
  view: SessionView | null = null;
  /** Why the session is over, in the server's words. */
  gone = "";
  /** The view or the link is another one. */
  readonly changed = new Listeners();
  private readonly socket: Socket;
  private readonly watched = new Map<number, Watched>();
  private readonly waiting: Said[] = [];
  private holders = 0;
  private leave: () => void = () => undefined;

  constructor(
    ways: Ways,
    private readonly clock: Clock = { later: (call, ms) => stop(setTimeout(call, ms)) },
  ) {
    this.socket = new Socket(
      () => ways.dial(),
      { opened: () => this.opened(), heard: (message) => this.heard(message as Told), turned: () => this.turned() },
      () => ways.probe(),
      clock,
    );
  }

  get link(): Link {
    return this.socket.link;
  }

  /** Keep the connection open until the returned function is called. */
  hold(): () => void {
    this.holders += 1;
    this.leave();
    if (this.link === "idle") this.socket.open();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.holders -= 1;
      if (!this.holders) this.leave = this.clock.later(() => this.socket.close(), LINGER);
    };
  }

  /** Try again now: the session may be there again, or the network. */
  wake(): void {
    if (this.holders && this.link !== "live") this.socket.open();
  }

  /** The store of a batch; `saved` is what it shows until there is news. */
  batch(number: number, saved: Snapshot | null = null): Store {
    const watched = this.watchedOf(number);
    watched.snapshot ??= saved;
    return {
      get: () => this.shown(watched.snapshot),
      subscribe: (changed) => {
        const letGo = this.hold();
        if (!watched.changed.size) this.say({ kind: "watch", batch: number, on: true });
        const off = watched.changed.add(changed);
        return () => {
          off();
          if (!watched.changed.size) this.say({ kind: "watch", batch: number, on: false });
          letGo();
        };
      },
      send: (message) => this.command(number, message),
      onReply: (told) => watched.told.add(told),
    };
  }

  private command(number: number, message: Message): void {
    if (this.say({ kind: "command", batch: number, message })) return;
    if (this.link === "connecting" || this.link === "idle") {
      if (this.waiting.length < HELD_BACK) this.waiting.push({ kind: "command", batch: number, message });
    } else if (message.op !== "job") {
      const text = this.link === "away" ? __("Not sent: there is no connection to the server.") : __("Not sent: the session is over.");
      this.watchedOf(number).told.tell(message.op === "add" ? { re: "add", status: "error", text } : { re: "note", text });
    }
  }

  private watchedOf(number: number): Watched {
    let watched = this.watched.get(number);
    if (!watched) this.watched.set(number, (watched = { snapshot: null, changed: new Listeners(), told: new Listeners() }));
    return watched;
  }

  private say(said: Said): boolean {
    return this.socket.send(said);
  }

  private opened(): void {
    this.gone = "";
    for (const [number, { changed }] of this.watched) if (changed.size) this.say({ kind: "watch", batch: number, on: true });
    for (const said of this.waiting.splice(0)) this.say(said);
  }

  private heard(told: Told): void {
    switch (told.kind) {
      case "session":
        this.view = told.session;
        this.changed.tell();
        break;
      case "batch": {
        const watched = this.watchedOf(told.batch);
        watched.snapshot = asSnapshot(told.snapshot) ?? watched.snapshot;
        watched.changed.tell();
        break;
      }
      case "reply":
        for (const [number, watched] of this.watched) if (told.batch === null || told.batch === number) watched.told.tell(told.reply);
        break;
      case "gone":
        this.gone = told.text;
        break;
    }
  }

  private turned(): void {
    if (this.link === "over" || this.link === "unknown") {
      this.waiting.length = 0;
      if (this.view) this.view = { ...this.view, alive: false, note: this.gone || this.view.note };
    }
    this.changed.tell();
    for (const { changed } of this.watched.values()) changed.tell();
  }

  private shown(snapshot: Snapshot | null): Snapshot | null {
    return this.link === "over" || this.link === "unknown" ? frozen(snapshot, this.gone) : snapshot;
  }
}

const past = new WeakMap<Snapshot, Snapshot>();

/** A snapshot as what it is when its session is gone: the past. The same one for the same, so that it is drawn once. */
export function frozen(snapshot: Snapshot | null, note: string): Snapshot | null {
  if (!snapshot?.session.alive) return snapshot;
  let is = past.get(snapshot);
  if (!is) past.set(snapshot, (is = { ...snapshot, workers: [], session: { ...snapshot.session, alive: false, note: note || snapshot.session.note } }));
  return is;
}

function stop(timer: ReturnType<typeof setTimeout>): () => void {
  return () => clearTimeout(timer);
}
