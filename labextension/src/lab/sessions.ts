/**
 * The one store of sessions on the page: the list, asked for now and then, and the channels of those that are looked at.
 *
 * Panel, cell outputs, status bar and notifications all read here. What is not looked at costs one small request in a
 * while; a session at work that no channel follows is asked for its view, so that the end of a batch is noticed.
 */

import { Listeners } from "../listeners";
import { __ } from "../say";
import { Refused, type Api } from "./api";
import { Channel } from "./channel";
import type { Counts, Snapshot, Store } from "../types";
import type { Link, Order, Row, Sessions, SessionView } from "../panel/types";

const LOOKED_AT = 2000; // ms between two questions for the list while a panel is open
const AT_WORK = 5000;
const QUIET = 10_000;
const AGAIN = 2500; // ms after which a session that ended is tried again, if the list says that it lives

export class SessionStore implements Sessions {
  rows: readonly Row[] | null = null;
  problem = "";
  private readonly changed = new Listeners();
  private readonly channels = new Map<string, Channel>();
  private readonly asked = new Map<string, SessionView>();
  private readonly links = new Map<string, Link>();
  /** When a channel was told that its session is over. */
  private readonly ended = new Map<string, number>();
  private onlookers = 0;
  private timer = 0;
  private loading: Promise<void> | null = null;

  constructor(private readonly api: Api) {
    document.addEventListener("visibilitychange", () => document.hidden || void this.reload());
    window.addEventListener("online", () => this.wakeAll());
  }

  subscribe(changed: () => void): () => void {
    return this.changed.add(changed);
  }

  /** Somebody looks at the list: keep it fresh. */
  look(): () => void {
    this.onlookers += 1;
    void this.reload();
    let looking = true;
    return () => {
      if (looking) this.onlookers -= 1;
      looking = false;
    };
  }

  reload(): Promise<void> {
    this.loading ??= this.load().finally(() => {
      this.loading = null;
      clearTimeout(this.timer);
      this.timer = window.setTimeout(() => document.hidden || void this.reload(), this.pause());
    });
    return this.loading;
  }

  view(id: string): SessionView | null {
    const channel = this.channels.get(id);
    if (channel?.view && (channel.link === "live" || !this.row(id)?.alive)) return channel.view;
    return this.asked.get(id) ?? channel?.view ?? null;
  }

  link(id: string): Link {
    return this.channels.get(id)?.link ?? "idle";
  }

  follow(id: string): () => void {
    return this.channel(id).hold();
  }

  retry(id: string): void {
    this.channel(id).wake();
  }

  batch(id: string, number: number, saved: Snapshot | null = null): Store {
    return this.channel(id).batch(number, saved);
  }

  /** The channel of a session, whether it is in the list or not: a saved output may know one that is not. */
  channel(id: string): Channel {
    let channel = this.channels.get(id);
    if (!channel) {
      channel = new Channel({ dial: () => this.api.channel(id), probe: () => this.probe(id) });
      channel.changed.add(() => this.turned(id));
      this.channels.set(id, channel);
    }
    return channel;
  }

  async order(id: string, order: Order): Promise<string> {
    try {
      return await this.api.order(id, order);
    } finally {
      void this.reload();
    }
  }

  log(id: string): Promise<string> {
    return this.api.log(id);
  }

  private row(id: string): Row | undefined {
    return this.rows?.find((row) => row.id === id);
  }

  private pause(): number {
    if (this.onlookers || this.rows?.some(({ id, alive }) => alive && isOver(this.link(id)))) return LOOKED_AT;
    return this.rows?.some(busy) ? AT_WORK : QUIET;
  }

  private async load(): Promise<void> {
    const busyBefore = new Set(this.rows?.filter(busy).map(({ id }) => id));
    try {
      const rows = await this.api.sessions();
      this.problem = "";
      this.rows = rows;
      const wanted = rows.filter((row) => row.alive && (busy(row) || busyBefore.has(row.id)) && this.link(row.id) !== "live");
      await Promise.all(wanted.map(({ id }) => this.ask(id)));
      for (const { id, alive } of rows) {
        if (!alive) this.asked.delete(id);
        // Revived, or started again by its client. Not at once: one that cannot be talked to would be asked without end.
        else if (isOver(this.link(id)) && performance.now() - (this.ended.get(id) ?? 0) > AGAIN) this.channels.get(id)?.wake();
      }
    } catch (error) {
      this.problem = explained(error);
    }
    this.changed.tell();
  }

  private async ask(id: string): Promise<void> {
    try {
      this.asked.set(id, await this.api.session(id));
    } catch (error) {
      if (!(error instanceof Refused)) throw error; // it went meanwhile: the next list says so
      this.asked.delete(id);
    }
  }

  /** Why a channel does not open: there is no such session, or (away) nobody answers. */
  private async probe(id: string): Promise<Link> {
    try {
      await this.api.session(id);
      return "away";
    } catch (error) {
      if (!(error instanceof Refused)) return "away";
      return error.status === 404 ? "unknown" : error.status === 409 ? "over" : "away";
    }
  }

  private turned(id: string): void {
    const link = this.link(id);
    if (link !== this.links.get(id) && isOver(link)) {
      this.ended.set(id, performance.now());
      void this.reload();
    }
    this.links.set(id, link);
    this.changed.tell();
  }

  private wakeAll(): void {
    for (const channel of this.channels.values()) channel.wake();
    void this.reload();
  }
}

function isOver(link: Link): boolean {
  return link === "over" || link === "unknown";
}

export function busy({ counts }: { readonly counts: Counts | null }): boolean {
  return counts !== null && counts.queued + counts.running > 0;
}

function explained(error: unknown): string {
  if (!(error instanceof Refused)) return __("The Jupyter server does not answer; trying again.");
  if (error.status === 404 && !error.ours) {
    return __("This Jupyter server has no jupyter_dsage extension. Install jupyter_dsage where the server runs, then restart it.");
  }
  return error.message;
}
