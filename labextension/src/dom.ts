/** The few ways in which components touch the document: data becomes text nodes and attributes, never markup. */

import type { EngineState, State } from "./types";

/** A part of the view: made once, then told to look at the state again. */
export interface Component {
  readonly el: HTMLElement;
  update(): void;
  close?(): void;
}

type Attributes = Readonly<Record<string, string | boolean | ((event: Event) => void)>>;

/** An element; a function is a listener (`click`), true an empty attribute, false none. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") el.addEventListener(name, value);
    else if (value !== false) el.setAttribute(name, value === true ? "" : value);
  }
  el.append(...children);
  return el;
}

/** Set what changed only: the same text again would take away a selection. */
export function text(node: Node, value: string): void {
  if (node.textContent !== value) node.textContent = value;
}

export function attr(el: Element, name: string, value: string | boolean | null): void {
  const wish = value === true ? "" : value === false ? null : value;
  if (wish === el.getAttribute(name)) return;
  if (wish === null) el.removeAttribute(name);
  else el.setAttribute(name, wish);
}

let ids = 0;

/** An id that no other view on the page has. */
export function id(word: string): string {
  return `dsage-${word}-${++ids}`;
}

const SVG = "http://www.w3.org/2000/svg";

/** What has a shape: the states of jobs and of engines, what failed looks the same in both; and a batch held back. */
export type Sign = State | EngineState | "paused";

const OUTLINES: Readonly<Record<Sign, string>> = {
  finished: "M2 0h6a2 2 0 0 1 2 2v6a2 2 0 0 1-2 2H2a2 2 0 0 1-2-2V2a2 2 0 0 1 2-2z",
  failed: "M0 10 5 .6 10 10z",
  running: "M5 1a4 4 0 0 1 0 8a4 4 0 0 1 0-8z",
  queued: "M2.2.75h5.6A1.45 1.45 0 0 1 9.25 2.2v5.6A1.45 1.45 0 0 1 7.8 9.25H2.2A1.45 1.45 0 0 1 .75 7.8V2.2A1.45 1.45 0 0 1 2.2.75z",
  cancelled: "M0 3.4h10v3.2H0z",
  lost: "M5 0 10 5 5 10 0 5z",
  connecting: "M1 5h.01M5 5h.01M9 5h.01",
  open: "M1 5.4 4 8.4 9.2 1.8",
  away: "M5 1.2a3.8 3.8 0 0 1 0 7.6a3.8 3.8 0 0 1 0-7.6zM.6 9.4 9.4.6",
  leaving: "M.8 5h8.2M5.6 1.6 9 5 5.6 8.4",
  paused: "M1.6 1h2.5v8H1.6zM5.9 1h2.5v8H5.9z",
};
const STATES: readonly string[] = ["finished", "failed", "running", "queued", "cancelled", "lost"] satisfies State[];

/** The shape of a state: with it colour never has to carry the meaning alone. */
export function shape(state: Sign): SVGSVGElement {
  const svg = glyph("", 10);
  reshape(svg, state);
  return svg;
}

/** A drawing in one path; what it means is said elsewhere. */
export function glyph(path: string, size: number): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${size} ${size}`);
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

export function reshape(svg: SVGSVGElement, state: Sign): void {
  if (svg.dataset.state === state) return;
  svg.dataset.state = state;
  svg.setAttribute("class", `dsage-shape dsage-${state}`);
  svg.firstElementChild?.setAttribute("d", OUTLINES[state]);
}

export function isState(word: string): word is State {
  return STATES.includes(word);
}

export interface Row<T> {
  readonly el: HTMLElement;
  update(item: T): void;
}

/** A list whose rows stay the same elements as long as their items are there: focus, selection and scrolling survive. */
export class Rows<T> {
  private readonly rows = new Map<string, Row<T>>();

  constructor(
    private readonly parent: HTMLElement,
    private readonly key: (item: T) => string,
    private readonly make: (item: T) => Row<T>,
    /** What stands before the rows: a table's head. */
    private readonly first: Element | null = null,
  ) {}

  update(items: readonly T[]): void {
    const gone = new Set(this.rows.keys());
    let at = this.first ? this.first.nextElementSibling : this.parent.firstElementChild;
    for (const item of items) {
      const key = this.key(item);
      let row = this.rows.get(key);
      if (!row) this.rows.set(key, (row = this.make(item)));
      gone.delete(key);
      if (row.el === at) at = at.nextElementSibling;
      else this.parent.insertBefore(row.el, at);
      row.update(item); // in its place, since a canvas has no size before
    }
    for (const key of gone) {
      this.rows.get(key)?.el.remove();
      this.rows.delete(key);
    }
  }
}
