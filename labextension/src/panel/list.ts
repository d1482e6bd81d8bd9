/**
 * The sessions and, below the chosen one, its batches: a tree for the keyboard, two kinds of rows for the eye.
 *
 * One row is in the tab order; arrows move, Enter or a click chooses.
 */

import { attr, h, reshape, Rows, shape, text, type Component, type Row as Line } from "../dom";
import { __, _n } from "../say";
import { number } from "../words";
import { meter } from "./meter";
import { age, batchMood, batchSentence, batchTime, batchWords, fullTitle, moodWord, sessionLine, sessionMood, tally, distinctTitle, workersOf, type BatchMood } from "./model";
import type { Sign } from "../dom";
import type { PanelApp } from "./app";
import type { BatchRow, Row } from "./types";

type Item = { readonly kind: "session"; readonly row: Row } | { readonly kind: "more"; readonly count: number; readonly session: string } | { readonly kind: "batch"; readonly batch: BatchRow; readonly alive: boolean; readonly session: string };

export function list(app: PanelApp): Component {
  const tree = h("div", { class: "dsage-p-tree", role: "tree", "aria-label": __("Sessions and their batches"), keydown: (event) => arrows(event as KeyboardEvent) });
  const rows = new Rows<Item>(tree, keyOf, (item) =>
    item.kind === "session" ? sessionLineOf(app, item.row.id) : item.kind === "batch" ? batchLineOf(app, item.session, item.batch.number) : moreLine());

  function arrows(event: KeyboardEvent): void {
    const all = [...tree.querySelectorAll<HTMLElement>("[role=treeitem]")];
    const at = all.indexOf(document.activeElement as HTMLElement);
    const step = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (event.key === "ArrowLeft" && all[at]?.getAttribute("aria-level") === "2") focus(all.slice(0, at).findLast((el) => el.getAttribute("aria-level") === "1"));
    else if (event.key === "ArrowRight" || event.key === "Enter" || event.key === " ") all[at]?.click();
    else if (step !== undefined) focus(all[Math.min(all.length - 1, Math.max(0, step))]);
    else return;
    event.preventDefault();
  }
  function focus(el: HTMLElement | undefined): void {
    if (!el) return;
    for (const other of tree.querySelectorAll("[role=treeitem]")) attr(other, "tabindex", other === el ? "0" : "-1");
    el.focus();
  }
  return {
    el: h("div", { class: "dsage-p-list" }, tree),
    update() {
      const items: Item[] = [];
      for (const row of app.rows) {
        items.push({ kind: "session", row });
        if (row.id !== app.id) continue;
        for (const batch of app.view?.batches ?? []) items.push({ kind: "batch", batch, alive: row.alive, session: row.id });
        if (app.view?.more_batches) items.push({ kind: "more", count: app.view.more_batches, session: row.id });
      }
      rows.update(items);
      // One stop for the Tab key: where the focus is, else the chosen row.
      const stops = [...tree.querySelectorAll("[role=treeitem]")];
      if (!tree.contains(document.activeElement)) {
        const stop = stops.findLast((el) => el.getAttribute("aria-selected") === "true") ?? stops[0];
        for (const el of stops) attr(el, "tabindex", el === stop ? "0" : "-1");
      }
    },
  };
}

function keyOf(item: Item): string {
  return item.kind === "session" ? item.row.id : `${item.session}/${item.kind === "batch" ? item.batch.number : "more"}`;
}

function moreLine(): Line<Item> {
  const el = h("p", { class: "dsage-p-more", role: "none" });
  return {
    el,
    update(item) {
      if (item.kind === "more") text(el, _n("and 1 older batch", "and %2 older batches", item.count, number(item.count)));
    },
  };
}

function sessionLineOf(app: PanelApp, id: string): Line<Item> {
  const dot = h("span", { class: "dsage-p-dot", "aria-hidden": "true" });
  const name = h("span", { class: "dsage-p-name" });
  const when = h("span", { class: "dsage-p-age" });
  const workers = h("span", { class: "dsage-p-words" });
  const counts = h("span", { class: "dsage-p-tally" });
  const said = h("span", { class: "dsage-p-said", "aria-hidden": "true" }, workers, counts);
  const numbers = new Rows<ReturnType<typeof tally>[number]>(counts, ({ state }) => state, ({ state }) => {
    const value = h("span");
    return { el: h("span", { class: "dsage-p-one" }, shape(state), value), update: ({ count }) => text(value, number(count)) };
  });
  const bar = meter();
  const el = h("div", { class: "dsage-p-session", role: "treeitem", "aria-level": "1", tabindex: "-1", click: () => app.choose(id) }, h("div", { class: "dsage-p-top" }, dot, name, when), bar.el, said);
  return {
    el,
    update(item) {
      if (item.kind !== "session") return;
      const { row } = item;
      const chosen = app.id === id;
      const view = app.sessions.view(id);
      const mood = sessionMood(row, view, app.sessions.link(id));
      attr(dot, "data-mood", mood);
      const called = distinctTitle(row, app.rows);
      text(name, called);
      text(when, age(row.created, Date.now() / 1000));
      attr(when, "title", new Date(row.created * 1000).toLocaleString());
      const line = sessionLine(row, view);
      const word = mood === "away" || mood === "paused" || mood === "stuck" ? moodWord(mood) : "";
      text(workers, word || workersOf(row, view));
      numbers.update(mood === "away" ? [] : tally(row, view));
      bar.show(row.alive ? (view?.counts ?? row.counts) : null);
      attr(el, "title", `${fullTitle(row)}\n${line}`);
      attr(el, "data-alive", row.alive);
      attr(el, "aria-expanded", String(chosen));
      attr(el, "aria-selected", String(chosen));
      attr(el, "aria-label", `${called}, ${moodWord(mood)}. ${line}`);
    },
  };
}

const SIGNS: Readonly<Record<BatchMood, Sign>> = {
  empty: "queued", queued: "queued", running: "running", paused: "paused", finished: "open", failed: "failed", cancelled: "cancelled", over: "cancelled",
};

function batchLineOf(app: PanelApp, session: string, batch: number): Line<Item> {
  const sign = shape("queued");
  const name = h("span", { class: "dsage-p-name" });
  const when = h("span", { class: "dsage-p-when" });
  const label = h("span", { class: "dsage-p-label" }, name, when);
  const count = h("span", { class: "dsage-p-count" });
  const said = h("span", { class: "dsage-p-said" });
  const bar = meter();
  const el = h("div", { class: "dsage-p-batch", role: "treeitem", "aria-level": "2", tabindex: "-1", click: () => app.choose(session, batch) }, sign, label, count, bar.el, said);
  return {
    el,
    update(item) {
      if (item.kind !== "batch") return;
      const mood = batchMood(item.batch, item.alive);
      reshape(sign, SIGNS[mood]);
      text(name, item.batch.name);
      const time = batchTime(item.batch, app.view?.batches ?? [], Date.now() / 1000);
      text(when, time);
      attr(when, "hidden", !time);
      text(count, number(item.batch.total));
      text(said, batchWords(item.batch, item.alive));
      bar.show(item.batch.counts);
      const sentence = [batchSentence(item.batch, item.alive), ...(time ? [__("started %1", time)] : [])].join(", ");
      attr(el, "title", sentence);
      attr(el, "aria-label", sentence);
      attr(el, "data-mood", mood);
      attr(el, "aria-selected", String(app.id === session && app.batch?.number === batch && app.ui.pane === "batch"));
    },
  };
}
