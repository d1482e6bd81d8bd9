/** The few ways in which components touch the document: data becomes text nodes and attributes, never markup. */

import type { State } from "./types";

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
const OUTLINES: Readonly<Record<State, string>> = {
  finished: "M2 0h6a2 2 0 0 1 2 2v6a2 2 0 0 1-2 2H2a2 2 0 0 1-2-2V2a2 2 0 0 1 2-2z",
  failed: "M0 10 5 .6 10 10z",
  running: "M5 1a4 4 0 0 1 0 8a4 4 0 0 1 0-8z",
  queued: "M2.2.75h5.6A1.45 1.45 0 0 1 9.25 2.2v5.6A1.45 1.45 0 0 1 7.8 9.25H2.2A1.45 1.45 0 0 1 .75 7.8V2.2A1.45 1.45 0 0 1 2.2.75z",
  cancelled: "M0 3.4h10v3.2H0z",
  lost: "M5 0 10 5 5 10 0 5z",
};

/** The shape of a state: with it colour never has to carry the meaning alone. */
export function shape(state: State): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 10 10");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(SVG, "path"));
  reshape(svg, state);
  return svg;
}

export function reshape(svg: SVGSVGElement, state: State): void {
  if (svg.dataset.state === state) return;
  svg.dataset.state = state;
  svg.setAttribute("class", `dsage-shape dsage-${state}`);
  svg.firstElementChild?.setAttribute("d", OUTLINES[state]);
}

export function isState(word: string): word is State {
  return word in OUTLINES;
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
  ) {}

  update(items: readonly T[]): void {
    const gone = new Set(this.rows.keys());
    let at: Element | null = this.parent.firstElementChild;
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
