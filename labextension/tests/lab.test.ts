import assert from "node:assert/strict";
import { test } from "node:test";
import { SCENES } from "../dev/sessions";
import { SNAPSHOTS } from "../dev/snapshots";
import { noticesOf } from "../src/lab/notices";
import { savedOf, sameBatch, worthKeeping } from "../src/lab/saved";
import { DEFAULTS, read } from "../src/lab/settings";
import { __, _n, speak } from "../src/say";
import type { SessionView } from "../src/panel/types";
import type { Snapshot } from "../src/types";

function known(name: string): Snapshot {
  const s = SNAPSHOTS[name];
  assert.ok(s);
  return s;
}

test("an output's value is read with care", () => {
  const value = { v: 1, session: "a1", name: "analysis", batch: 3, snapshot: known("running") };
  assert.deepEqual(savedOf(value), value);
  assert.equal(savedOf({ ...value, snapshot: { v: 7 } })?.snapshot, null);
  for (const wrong of [null, "x", {}, { ...value, v: 2 }, { ...value, batch: "3" }, { ...value, session: 5 }]) assert.equal(savedOf(wrong), null);
  assert.ok(sameBatch(savedOf(value), savedOf({ ...value, snapshot: null })));
  assert.ok(!sameBatch(savedOf(value), savedOf({ ...value, batch: 4 })));
  assert.ok(!sameBatch(null, null));
});

test("a notebook keeps the end of a batch once, and nothing on the way", () => {
  const saved = savedOf({ v: 1, session: "a1", name: "", batch: 3, snapshot: known("running") });
  assert.ok(saved);
  assert.equal(worthKeeping(saved, known("failed")), false);
  assert.equal(worthKeeping(saved, null), false);
  const end = known("finished");
  assert.equal(worthKeeping(saved, end), true);
  assert.equal(worthKeeping({ ...saved, snapshot: end }, end), false);
  assert.equal(worthKeeping({ ...saved, snapshot: end }, { ...end, session: { ...end.session, alive: false } }), false, "it ended before its session did");
  assert.equal(worthKeeping(saved, known("over")), true);
});

test("the end of a long batch is told, that of a short one not, and none twice", () => {
  const view = SCENES["running"]?.views["a1b2"];
  assert.ok(view);
  const [first, ...rest] = view.batches;
  assert.ok(first);
  const now = (change: object): SessionView => ({ ...view, batches: [{ ...first, ended: true, ...change }, ...rest] });
  const counts = { ...first.counts, running: 0, queued: 0 };
  assert.deepEqual(noticesOf(view, now({ counts: { ...counts, finished: 10_000 } }), 30).map(({ text, kind }) => `${kind}: ${text}`), ["success: hist in analysis.ipynb is done: 10,000 jobs in 0:42."]);
  assert.deepEqual(noticesOf(view, now({ counts: { ...counts, failed: 2 } }), 30).map(({ text, kind }) => `${kind}: ${text}`), ["warning: hist in analysis.ipynb ended after 0:42: 2 of its jobs failed."]);
  assert.match(noticesOf(view, now({ counts: { ...counts, cancelled: 9 } }), 30)[0]?.text ?? "", /was cancelled/);
  assert.deepEqual(noticesOf(view, now({}), 60), []);
  assert.deepEqual(noticesOf(null, now({}), 30), []);
  assert.deepEqual(noticesOf(now({}), now({}), 30), []);
});

test("settings that make no sense are the defaults", () => {
  assert.deepEqual(read({}), DEFAULTS);
  assert.deepEqual(read({ side: "left", notifications: false, seconds: 5 }), { side: "left", notifications: false, seconds: 5 });
  assert.deepEqual(read({ side: 3, notifications: "no", seconds: -1 }), DEFAULTS);
});

test("strings are English until somebody speaks otherwise", () => {
  assert.equal(__("%1 of %2", "a", 3), "a of 3");
  assert.equal(_n("1 job", "%2 jobs", 1, "1"), "1 job");
  assert.equal(_n("1 job", "%2 jobs", 1240, "1,240"), "1,240 jobs");
  speak({ __: (text) => text.toUpperCase(), _n: (one) => one });
  assert.equal(__("Pause"), "PAUSE");
});
