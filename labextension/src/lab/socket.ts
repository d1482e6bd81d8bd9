/**
 * One WebSocket that is opened again when it drops, later each time. It knows how it stands, and nothing of what is said.
 *
 * The server says with a close code that it is pointless to come back: 4001 the session is over, 4404 there is none.
 */

import type { Link } from "../panel/types";

/** What is used of a WebSocket. */
export interface Wire {
  readonly readyState: number;
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  send(text: string): void;
  close(): void;
}

export interface Clock {
  later(call: () => void, ms: number): () => void;
}

export interface Ears {
  opened(): void;
  heard(message: unknown): void;
  /** The link is another one now. */
  turned(): void;
}

const BROWSER: Clock = {
  later: (call, ms) => {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
};

export const OVER = 4001;
export const UNKNOWN = 4404;
const OPEN = 1;
const FIRST_WAIT = 500; // ms; doubled after each failure
const LONGEST_WAIT = 15_000;

/** How long to wait before the next try; the random part keeps many pages from coming back in one instant. */
export function wait(failures: number, random: number): number {
  return Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** failures) * (0.75 + random / 2);
}

export class Socket {
  link: Link = "idle";
  private wire: Wire | null = null;
  private failures = 0;
  private forget: () => void = () => undefined;

  constructor(
    private readonly dial: () => Wire,
    private readonly ears: Ears,
    /** Says why a connection is refused that never opened: a browser does not. */
    private readonly probe: () => Promise<Link>,
    private readonly clock: Clock = BROWSER,
  ) {}

  /** Connect now, unless that is done or under way. */
  open(): void {
    this.forget();
    if (this.wire) return;
    if (this.link !== "away") this.turn("connecting");
    const wire = (this.wire = this.dial());
    let opened = false;
    wire.onopen = () => {
      opened = true;
      this.turn("live");
      this.ears.opened();
    };
    wire.onmessage = (event) => {
      const message = parsed(event.data);
      if (this.wire !== wire || message === null) return;
      this.failures = 0; // and not when it opens: a server that closes at once is waited for longer, too
      this.ears.heard(message);
    };
    wire.onclose = (event) => void this.dropped(wire, event.code, opened);
  }

  close(): void {
    this.forget();
    const wire = this.wire;
    this.wire = null;
    if (wire) {
      wire.onopen = wire.onmessage = wire.onclose = null;
      wire.close();
    }
    if (this.link === "live" || this.link === "connecting" || this.link === "away") this.turn("idle");
  }

  /** Send; false if it cannot go now. */
  send(message: unknown): boolean {
    if (this.wire?.readyState !== OPEN) return false;
    this.wire.send(JSON.stringify(message));
    return true;
  }

  private async dropped(wire: Wire, code: number, opened: boolean): Promise<void> {
    if (this.wire !== wire) return;
    const link = code === OVER ? "over" : code === UNKNOWN ? "unknown" : opened ? "away" : await this.probe();
    if (this.wire !== wire) return;
    this.wire = null;
    this.turn(link);
    if (link === "away") this.forget = this.clock.later(() => this.open(), wait(this.failures++, Math.random()));
  }

  private turn(link: Link): void {
    if (link === this.link) return;
    this.link = link;
    this.ears.turned();
  }
}

function parsed(data: unknown): unknown {
  if (typeof data !== "string") return null;
  try {
    return JSON.parse(data);
  } catch {
    return null; // not from our server; the next message may be
  }
}
