/** The server extension's REST API, as Jupyter's own client asks for things: with its token, its base URL, its XSRF cookie. */

import { URLExt } from "@jupyterlab/coreutils";
import { ServerConnection } from "@jupyterlab/services";
import type { Order, Row, SessionView } from "../panel/types";
import type { Wire } from "./socket";

const ROOT = "jupyter-dsage";

/** An answer that says no; `message` is the server's sentence. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** The answer came from our handlers, and not from a server that has none. */
    readonly ours: boolean,
  ) {
    super(message);
  }
}

export class Api {
  constructor(private readonly settings: ServerConnection.ISettings) {}

  async sessions(): Promise<readonly Row[]> {
    return (await this.get<{ readonly sessions: readonly Row[] }>("sessions")).sessions;
  }

  session(id: string): Promise<SessionView> {
    return this.get("sessions", id);
  }

  async log(id: string): Promise<string> {
    return (await this.get<{ readonly text: string }>("sessions", id, "log")).text;
  }

  async order(id: string, order: Order): Promise<string> {
    const init = { method: "POST", body: JSON.stringify(order) };
    return (await this.ask<{ readonly text: string }>(["sessions", id, "commands"], init)).text;
  }

  /** Open the channel of a session. */
  channel(id: string): Wire {
    const { wsUrl, appendToken, token, WebSocket } = this.settings;
    const url = URLExt.join(wsUrl, ROOT, "sessions", encodeURIComponent(id), "channel");
    return new WebSocket(appendToken && token ? `${url}?token=${encodeURIComponent(token)}` : url);
  }

  private get<T>(...path: string[]): Promise<T> {
    return this.ask(path, { method: "GET", cache: "no-store" });
  }

  private async ask<T>(path: readonly string[], init: RequestInit): Promise<T> {
    const url = URLExt.join(this.settings.baseUrl, ROOT, ...path.map(encodeURIComponent));
    const response = await ServerConnection.makeRequest(url, init, this.settings);
    const body: unknown = await response.json().catch(() => null);
    if (response.ok) return body as T;
    const said = typeof body === "object" && body !== null && "message" in body ? String(body.message) : "";
    throw new Refused(response.status, said || `${response.status} ${response.statusText}`, said !== "");
  }
}
