/** One job: where it stands, its arguments, output and traceback; steps to its neighbours; Retry or Cancel for it alone. */

import { attr, h, isState, reshape, shape, text, type Component } from "./dom";
import { whyNotCancel } from "./engines";
import { stateInGrid } from "./jobs";
import { __ } from "./say";
import { traceback } from "./traceback";
import { duration, number, stateName } from "./words";
import type { App } from "./app";
import type { Detail, State } from "./types";

export function jobPane(app: App): Component {
  const hint = h("p", { class: "dsage-empty" }, __("No job is chosen: click one in the grid, or type its number."));
  const field = h("input", { type: "text", inputmode: "numeric", class: "dsage-field dsage-number", "aria-label": __("Job number"), placeholder: __("number"), change: () => go(field.value), keydown: (event) => {
    if ((event as KeyboardEvent).key !== "Enter") return;
    event.preventDefault(); // JupyterLab's notebook keeps Enter from meaning a change inside an output
    go(field.value);
  } });
  const step = (by: number, label: string, sign: string): HTMLElement =>
    h("button", { type: "button", class: "dsage-button dsage-small", "aria-label": label, title: label, click: () => app.choose((app.ui.chosen ?? -by) + by) }, sign);
  const sign = shape("queued");
  const word = h("b");
  const facts = h("span", { class: "dsage-facts" });
  const act = h("button", { type: "button", class: "dsage-button dsage-small", click: () => {
    if (app.ui.chosen !== null && act.getAttribute("aria-disabled") !== "true") app.command({ op: doing(), job: app.ui.chosen });
  } });
  const state = h("span", { class: "dsage-job-state" }, sign, word);
  const bar = h("div", { class: "dsage-job-bar" }, h("label", {}, __("Job"), " ", field), step(-1, __("Previous job"), "‹"), step(1, __("Next job"), "›"), state, facts, act);
  const args = part(__("Arguments"));
  const output = part(__("Output"));
  const raisedAt = traceback();
  const whyPart = h("div", { class: "dsage-part" }, h("h5", {}, __("Traceback")), raisedAt.el);
  let shown: number | null = null;
  let standing: State | null = null;

  function go(said: string): void {
    const job = Number.parseInt(said.replace(/[,\s]/g, ""), 10);
    if (Number.isNaN(job)) field.value = shown === null ? "" : number(shown);
    else app.choose(job);
  }
  function doing(): "retry" | "cancel" {
    return standing === "failed" || standing === "lost" ? "retry" : "cancel";
  }
  function known(job: number): { at: State | null; detail: Detail | undefined } {
    const detail = app.details.get(job);
    const inGrid = app.snapshot ? stateInGrid(app.snapshot, job) : null;
    const fresh = inGrid === null || detail?.state === inGrid ? detail : undefined;
    return { at: inGrid ?? (detail && isState(detail.state) ? detail.state : null), detail: fresh };
  }
  return {
    el: h("div", { class: "dsage-job" }, bar, hint, args.el, whyPart, output.el),
    update() {
      const job = app.ui.chosen;
      for (const el of [state, facts, act]) attr(el, "hidden", job === null);
      attr(hint, "hidden", job !== null);
      for (const el of [args.el, output.el, whyPart]) if (job === null) el.hidden = true;
      if (job === null) return;
      app.details.want(job);
      if (shown !== job) field.value = number(job);
      shown = job;
      const { at, detail } = known(job);
      attr(sign, "class", at ? sign.getAttribute("class") : "dsage-shape");
      if (at) reshape(sign, at);
      standing = at;
      text(word, at ? stateName(at) : "…");
      const alive = app.snapshot?.session.alive ?? false;
      const can = at !== null && at !== "finished" && at !== "cancelled";
      text(act, doing() === "retry" ? __("Retry") : __("Cancel"));
      attr(act, "hidden", !can);
      const why = at === "running" ? whyNotCancel(app.snapshot, detail?.worker ?? null) : "";
      attr(act, "aria-disabled", alive && !why && !app.isPending(`${doing()} ${job}`) ? null : "true");
      attr(act, "title", why || null);
      text(facts, factsOf(detail));
      args.show(detail?.args, at === "queued" ? __("shown once it runs") : __("not told"));
      const raised = detail?.traceback ?? detail?.error;
      attr(whyPart, "hidden", !raised);
      if (raised) raisedAt.show(raised);
      output.show(detail?.output, detail ? __("printed nothing") : "…");
    },
  };
}

function factsOf(detail: Detail | undefined): string {
  if (!detail) return "";
  const parts: string[] = [];
  if (detail.worker) parts.push(__("on %1", detail.worker));
  if (detail.seconds !== null) parts.push(duration(detail.seconds));
  if (detail.attempt !== null) parts.push(__("attempt %1", detail.attempt));
  return parts.join(" · ");
}

function part(title: string): { el: HTMLElement; show(value: string | null | undefined, none: string): void } {
  const pre = h("pre", { tabindex: "0", "aria-label": title });
  const el = h("div", { class: "dsage-part" }, h("h5", {}, title), pre);
  return {
    el,
    show(value, none) {
      el.hidden = false;
      text(pre, value || none);
      attr(pre, "data-none", !value);
    },
  };
}
