/** The item in the status bar: how many jobs run and wait in all sessions. A click opens the panel. */

import { Widget } from "@lumino/widgets";
import { attr, h, text } from "../dom";
import { __ } from "../say";
import { number } from "../words";
import { jobsIcon } from "./icons";
import type { Row, Sessions, SessionView } from "../panel/types";

export class StatusItem extends Widget {
  private readonly words = h("span", { class: "jp-DsageStatus-words" });
  private readonly button: HTMLButtonElement;
  private readonly leave: () => void;

  constructor(
    private readonly sessions: Sessions,
    open: () => void,
  ) {
    super();
    this.button = h("button", { type: "button", click: open });
    this.button.style.cssText = "display:flex;align-items:center;gap:4px;height:100%;padding:0 6px;border:0;background:none;color:inherit;font:inherit;cursor:pointer";
    jobsIcon.element({ container: this.button, stylesheet: "statusBar" });
    this.button.append(this.words);
    this.node.append(this.button);
    this.leave = sessions.subscribe(() => this.update_());
    this.update_();
  }

  override dispose(): void {
    this.leave();
    super.dispose();
  }

  private update_(): void {
    const { short, long } = statusWords(this.sessions.rows ?? [], (id) => this.sessions.view(id));
    text(this.words, short);
    attr(this.button, "title", long);
    attr(this.button, "aria-label", long);
    this.setHidden(!this.sessions.rows?.some(({ alive }) => alive));
  }
}

/** "10 / 2,946": jobs that run and that wait in all sessions. What is followed is newer than the list. */
export function statusWords(rows: readonly Row[], viewOf: (id: string) => SessionView | null): { readonly short: string; readonly long: string } {
  const alive = rows.filter((row) => row.alive);
  const sum = (state: "running" | "queued"): number => alive.reduce((all, { id, counts }) => all + ((viewOf(id)?.counts ?? counts)?.[state] ?? 0), 0);
  const [running, queued] = [sum("running"), sum("queued")];
  const of = alive.length === 1 ? __("1 session") : __("%1 sessions", number(alive.length));
  return { short: `${number(running)} / ${number(queued)}`, long: __("%1: %2 jobs running, %3 queued. Click for the panel.", of, number(running), number(queued)) };
}
