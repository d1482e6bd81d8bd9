import assert from "node:assert/strict";
import { test } from "node:test";
import { NOW, rowOf, SCENES } from "../dev/sessions";
import { acts, age, batchSentence, batchWords, bytes, distinctTitle, doing, firstChoice, killQuestion, ordered, sessionLine, sessionMood, stuck, tally, title } from "../src/panel/model";
import type { Row, SessionView } from "../src/panel/types";

function scene(name: string): { readonly row: Row; readonly view: SessionView } {
  const view = SCENES[name]?.views["a1b2"];
  const row = SCENES[name]?.rows?.find(({ id }) => id === "a1b2");
  assert.ok(view && row, name);
  return { row, view };
}

test("a session is called by its notebook, else by its own name", () => {
  assert.equal(title({ notebook: "studies/analysis.ipynb", name: "x" }), "analysis.ipynb");
  assert.equal(title({ notebook: "", name: "nightly" }), "nightly");
});

test("two sessions that are called alike are told apart by their ids", () => {
  const { row } = scene("running");
  const rows: readonly Row[] = ["1a2b", "3c4d", "5e6f"].map((id) => ({ ...row, id, notebook: "", name: id === "5e6f" ? "other" : "default" }));
  assert.deepEqual(rows.map((each) => distinctTitle(each, rows)), ["default · 1a2b", "default · 3c4d", "other"]);
});

test("each session has its mood and its line", () => {
  const says = Object.fromEntries(
    ["running", "paused", "over", "nobatch"].map((name) => {
      const { row, view } = scene(name);
      return [name, `${sessionMood(row, view, "live")}: ${sessionLine(row, view)}`];
    }),
  );
  assert.deepEqual(says, {
    running: "running: 10 workers · 10 running · 2,946 queued · 20 failed",
    paused: "paused: 10 workers · 2,946 queued · 3 failed",
    over: "asleep: not running · its journal is kept",
    nobatch: "stuck: 0 workers · no jobs yet",
  });
  const { row, view } = scene("running");
  assert.equal(sessionMood(row, view, "away"), "away");
  assert.equal(sessionLine(row, null), "10 workers · 10 running · 2,946 queued · 20 failed", "the list alone tells the same");
  assert.deepEqual(tally(row, view).map(({ state, count }) => [state, count]), [["running", 10], ["queued", 2946], ["failed", 20]]);
  assert.match(stuck(scene("nobatch").view), /^local: workers die at birth/);
});

test("a batch says in two words how it goes, and in a sentence all of it", () => {
  const { view } = scene("running");
  assert.deepEqual(view.batches.map((batch) => batchWords(batch, true)), ["0:18 left", "done", "20 failed", "cancelled"]);
  const [first] = view.batches;
  assert.ok(first);
  assert.equal(batchSentence(first, true), "hist: 7,044 of 10,000 finished, 10 running, 2,946 queued, about 0:18 left");
  assert.equal(batchWords({ ...first, left: null }, true), "70 %");
  assert.equal(batchWords(first, false), "stopped");
  assert.equal(batchWords({ ...first, total: 0, drawing: true, counts: { queued: 0, running: 0, finished: 0, failed: 0, cancelled: 0, lost: 0 } }, true), "drawing");
});

test("the whole session may be told what makes sense", () => {
  const enabled = (view: SessionView | null): string[] => acts(view).filter((act) => act.enabled).map(({ op }) => op);
  assert.deepEqual(enabled(scene("running").view), ["pause", "cancel", "retry", "refresh", "die"]);
  assert.deepEqual(enabled(scene("paused").view), ["resume", "cancel", "retry", "refresh", "die"]);
  assert.deepEqual(enabled(scene("cancelled").view), ["refresh", "die"]);
  assert.deepEqual(enabled(null), ["refresh", "die"]);
  assert.equal(killQuestion(scene("running").view, "a.ipynb · kernel 1a2b"), "Kill the child of a.ipynb · kernel 1a2b and its 10 workers? 2,956 jobs have not ended. The session's journal goes, too.");
  assert.equal(killQuestion(null, "x"), "Kill the child of x and its 0 workers? The session's journal goes, too.");
});

test("a worker is told by its job and the job's batch", () => {
  const { view } = scene("running");
  const [worker] = view.workers;
  assert.ok(worker);
  assert.equal(doing(worker, view.batches), "7,044 of hist");
  assert.equal(doing({ ...worker, batch: 99 }, view.batches), "job 7,044");
  assert.equal(doing({ ...worker, job: null }, []), "idle");
  assert.equal(doing({ ...worker, job: null, stage: "starting" }, []), "starting");
});

test("memory and ages are short", () => {
  assert.deepEqual([null, 0, 61e6, 1.44e9, 23.4e9, 999_600].map(bytes), ["", "0 B", "61 MB", "1.4 GB", "23 GB", "1.0 MB"]);
  assert.deepEqual([5, 300, 7300, 300_000].map((ago) => age(NOW - ago, NOW)), ["now", "5 min", "2 h", "3 d"]);
});

test("the list has the living and the new on top, and shows first what is at work", () => {
  const rows = SCENES["running"]?.rows ?? [];
  assert.deepEqual(ordered(rows).map(({ id }) => id), ["t1", "a1b2", "old1"]);
  assert.equal(firstChoice(rows), "a1b2");
  assert.equal(firstChoice([]), null);
  const asleep = rowOf(scene("over").view);
  assert.equal(firstChoice([asleep]), "a1b2");
});
