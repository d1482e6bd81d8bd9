/** The view of one batch: its parts, in order, drawn again when the state changed. */

import css from "./style.css";
import { App } from "./app";
import { attr, h } from "./dom";
import { keepFocus } from "./focus";
import { grid } from "./grid";
import { header } from "./header";
import { keepKeys } from "./keys";
import { lanes } from "./lanes";
import { mood } from "./model";
import { progress } from "./progress";
import { __ } from "./say";
import { tabs } from "./tabs";
import { follow } from "./theme";
import type { Store } from "./types";

/** Show a store in an element; returns what takes it away again. */
export function mount(el: HTMLElement, store: Store): () => void {
  const app = new App(store);
  const [top, bar, cells, work, below] = [header(app), progress(app), grid(app), lanes(app), tabs(app)];
  const parts = [top, bar, cells, work, below];
  const style = h("style");
  style.textContent = css;
  const body = h("div", { class: "dsage-body" }, top.el, bar.el, h("div", { class: "dsage-two" }, cells.el, work.el), below.el);
  const root = h("div", { class: "dsage", role: "region", tabindex: "-1" }, style, body); // a click on its text gives it the focus, and not to the cell

  function draw(): void {
    attr(root, "data-mood", mood(app.snapshot));
    attr(root, "data-over", app.snapshot ? !app.snapshot.session.alive : false);
    attr(root, "aria-label", __("Batch %1", app.snapshot?.batch.name ?? ""));
    for (const part of parts) part.update();
  }
  app.onRedraw(() => keepFocus(root, draw));
  const letKeysGo = keepKeys(root);
  const unfollow = follow(root, () => {
    cells.recolour();
    work.recolour();
  });
  el.append(root);
  draw();
  return () => {
    letKeysGo();
    unfollow();
    app.close();
    for (const part of parts) part.close?.();
    root.remove();
  };
}
