/** The failed and lost jobs: what went wrong with each, its traceback in place, and Retry. */

import { attr, h, id, reshape, Rows, shape, text, type Component, type Row } from "./dom";
import { oneLine } from "./jobs";
import { __ } from "./say";
import { traceback } from "./traceback";
import { number, stateName } from "./words";
import type { App } from "./app";
import type { Failure } from "./types";

export function failures(app: App): Component {
  const none = h("p", { class: "dsage-empty" });
  const body = h("div", { role: "rowgroup" });
  const head = h(
    "div",
    { role: "row", class: "dsage-frow dsage-fhead" },
    ...Object.entries({ job: __("job"), arguments: __("arguments"), error: __("error"), worker: __("worker"), attempt: __("attempt"), do: "" }).map(([name, word]) => h("span", { role: "columnheader", class: `dsage-f-${name}` }, word)),
  );
  const table = h("div", { class: "dsage-failures", role: "table", "aria-label": __("Failed jobs") }, head, body);
  const rest = h("p", { class: "dsage-empty" });
  const rows = new Rows<Failure>(body, (row) => String(row.job), (row) => failure(app, row.job));
  return {
    el: h("div", {}, none, table, rest),
    update() {
      const found = app.snapshot?.failures;
      const shown = found?.rows ?? [];
      attr(table, "hidden", !shown.length);
      attr(none, "hidden", shown.length > 0);
      text(none, app.snapshot?.batch.ended ? __("No job failed.") : __("No job has failed."));
      rows.update(shown);
      const more = (found?.total ?? 0) - shown.length;
      text(rest, __("The first %1 of %2; the others stand out in the grid.", number(shown.length), number(found?.total ?? 0)));
      attr(rest, "hidden", more <= 0 || !shown.length);
    },
  };
}

function failure(app: App, job: number): Row<Failure> {
  const below = id("why");
  const sign = shape("failed");
  const caret = h("span", { class: "dsage-caret", "aria-hidden": "true" }, "▸");
  const toggle = h("button", { type: "button", class: "dsage-link dsage-f-job", "aria-controls": below, click: () => flip() }, caret, sign, h("span", {}, number(job)));
  const args = h("code");
  const error = h("span", { role: "cell", class: "dsage-f-error" });
  const worker = h("span", { role: "cell", class: "dsage-f-worker" });
  const attempt = h("span", { role: "cell", class: "dsage-f-attempt" });
  const retry = h("button", { type: "button", class: "dsage-button dsage-small", "aria-label": __("Retry job %1", number(job)), click: () => {
    if (retry.getAttribute("aria-disabled") !== "true") app.command({ op: "retry", job });
  } }, __("Retry"));
  const why = traceback();
  const row = h("div", { role: "row", class: "dsage-frow" }, h("span", { role: "cell" }, toggle), h("span", { role: "cell", class: "dsage-f-arguments" }, args), error, worker, attempt, h("span", { role: "cell", class: "dsage-f-do" }, retry));
  const given = h("code");
  const facts = h("p", {}, given);
  const open = h("div", { id: below, class: "dsage-why", hidden: true }, facts, why.el);

  function flip(): void {
    const expanded = new Set(app.ui.expanded);
    if (!expanded.delete(job)) expanded.add(job);
    app.set({ expanded });
  }
  return {
    el: h("div", { class: "dsage-failure" }, row, open),
    update(item) {
      const isOpen = app.ui.expanded.has(job);
      app.details.want(job, false);
      const detail = app.details.get(job);
      reshape(sign, item.state);
      attr(toggle, "aria-expanded", String(isOpen));
      attr(toggle, "aria-label", __("%1 job %2, traceback", stateName(item.state), number(job)));
      text(caret, isOpen ? "▾" : "▸");
      text(args, oneLine(detail?.args ?? ""));
      attr(args, "title", detail?.args ?? null);
      text(error, oneLine(item.error));
      attr(error, "title", item.error);
      attr(error, "data-state", item.state);
      text(worker, detail?.worker ?? "");
      text(attempt, detail?.attempt == null ? "" : number(detail.attempt));
      const pending = app.isPending(`retry ${job}`) || app.isPending("retry");
      text(retry, pending ? __("Queued…") : __("Retry"));
      attr(retry, "aria-disabled", !pending && app.snapshot?.session.alive ? null : "true");
      attr(open, "hidden", !isOpen);
      if (!isOpen) return;
      text(given, detail?.args ?? "");
      attr(facts, "hidden", !detail?.args);
      why.show(detail ? (detail.traceback ?? detail.error ?? item.error) : "…");
    },
  };
}
