/**
 * A batch that has ended as HTML without scripts and as a line of text, for where no labextension is: GitHub, nbconvert.
 *
 * The same picture that `jupyter_dsage/notebook/display.py` makes when it shows the batch. The HTML is written by the
 * document itself from nodes, so a name is text in it, whatever it holds.
 */

import { h } from "../dom";
import { number } from "../words";
import type { Snapshot, State } from "../types";

const COLOURS: readonly (readonly [State | "waiting", string])[] = [
  ["finished", "#2a78c5"],
  ["failed", "#d6451f"],
  ["lost", "#b05fa5"],
  ["cancelled", "#8b95a1"],
  ["waiting", "#e6e9ee"],
];

function shares({ batch: { counts, total } }: Snapshot): readonly { readonly word: string; readonly colour: string; readonly count: number; readonly percent: number }[] {
  return COLOURS.map(([word, colour]) => {
    const count = word === "waiting" ? counts.queued + counts.running : counts[word];
    return { word, colour, count, percent: total ? (100 * count) / total : 0 };
  }).filter(({ count }) => count > 0);
}

export function html(s: Snapshot): string {
  const parts = shares(s);
  const bits = parts.map(({ colour, percent }) => h("span", { style: `display:inline-block;height:10px;width:${percent.toFixed(2)}%;background:${colour}` }));
  const words = parts.map(({ word, count }) => `${number(count)} ${word}`).join(" · ") || "no jobs";
  const picture = h(
    "div",
    { style: "font:13px/1.5 system-ui,sans-serif;max-width:720px" },
    h("div", {}, h("b", {}, s.batch.name), ` · ${number(s.batch.total)} jobs`),
    h("div", { style: "background:#e6e9ee;border-radius:5px;overflow:hidden;height:10px;line-height:0" }, ...bits),
    h("div", {}, words),
  );
  return new XMLSerializer().serializeToString(picture);
}

/** "hist: 40 of 100 [████████░░░░░░░░░░░░] 3 failed" */
export function line({ batch: { name, counts, total } }: Snapshot): string {
  const ended = total - counts.queued - counts.running;
  const full = total ? Math.floor((20 * ended) / total) : 20;
  const rest = (["failed", "lost", "cancelled"] as const).flatMap((state) => (counts[state] ? [`${counts[state]} ${state}`] : []));
  return `${name}: ${ended} of ${total} [${"█".repeat(full)}${"░".repeat(20 - full)}]${rest.length ? ` ${rest.join(", ")}` : ""}`;
}
