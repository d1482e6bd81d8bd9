import assert from "node:assert/strict";
import { test } from "node:test";
import { SNAPSHOTS } from "../dev/snapshots";
import { chipHint, chipText, limits, listed, percent, servicesOnly, share, shown, uninterruptible, whyNotCancel, workersUp } from "../src/engines";
import { button, settled, trouble } from "../src/model";
import type { Engine, Snapshot } from "../src/types";

function known(name: string): Snapshot {
  const s = SNAPSHOTS[name];
  assert.ok(s);
  return s;
}

function engine(change: Partial<Engine> = {}): Engine {
  return { name: "hq2:12345", host: "hq2", state: "open", slots: 8, workers: 8, running: 0, finished: 0, failed: 0, note: "", cannot: [], ...change };
}

/** A snapshot with these engines, everything else as in the state "services". */
function having(...engines: readonly Engine[]): Snapshot {
  return { ...known("services"), engines };
}

test("a chip says an engine's state in a word, and the rest to the pointer", () => {
  assert.deepEqual(known("engines").engines.map(chipText), [
    "local · 2 slots",
    "hq2:12345 · 12 slots",
    "hq3:12345 · away",
    "atlas:12345 · connecting…",
    "old:8002 · failed !",
    "hq4:12345 · leaving…",
  ]);
  assert.equal(chipText(engine({ slots: 1 })), "hq2:12345 · 1 slot");
  assert.equal(chipText(engine({ name: "dsage://hq2:12345" })), "hq2:12345 · 8 slots"); // the scheme says nothing here
  assert.equal(chipHint(engine({ workers: 7 })), "hq2:12345 on hq2: open, 7 of 8 workers up");
  assert.equal(chipHint(engine({ state: "connecting", slots: 0, workers: 0, note: "Dialling." })), "hq2:12345 on hq2: connecting…, no workers yet\nDialling.");
  assert.deepEqual([engine({ workers: 7 }), engine({ slots: 0, workers: 0 })].map(workersUp), ["7 of 8", "0"]);
});

test("where there is no room for all, those that want heed are shown, in the order of all", () => {
  const { engines } = known("engines");
  assert.deepEqual(shown(engines, 3).map(({ name }) => name), ["hq3:12345", "atlas:12345", "old:8002"]);
  assert.deepEqual(shown(engines.slice(0, 4), 3).map(({ name }) => name), ["local", "hq3:12345", "atlas:12345"]);
  assert.equal(shown(engines, 6), engines);
});

test("what an engine cannot do is one sentence", () => {
  assert.equal(limits(engine()), "");
  assert.equal(limits(engine({ cannot: ["scale"] })), "It keeps its number of workers.");
  assert.equal(limits(engine({ cannot: ["interrupt", "functions", "scale"] })), "It only calls services (with plain data), cannot interrupt a running job and keeps its number of workers.");
  assert.deepEqual([[], ["a"], ["a", "b"], ["a", "b", "c"]].map(listed), ["", "a", "a and b", "a, b and c"]);
});

test("Cancel says so when no engine that runs this batch can interrupt, and is over when nothing is queued", () => {
  const s = known("services");
  assert.equal(uninterruptible(s), "hq2:12345");
  const cancel = button("cancel", s, false);
  assert.equal(cancel.hint, "Queued jobs are cancelled; running ones go on to their end, since hq2:12345 cannot interrupt them");
  assert.ok(cancel.enabled);
  const stubborn = engine({ running: 2, cannot: ["interrupt"] });
  assert.equal(uninterruptible(having(stubborn, engine({ name: "local" }))), "hq2:12345"); // local runs none of it
  assert.equal(uninterruptible(having(stubborn, engine({ name: "local", running: 1 }))), "");
  assert.equal(uninterruptible(having(stubborn, engine({ name: "hq3", running: 1, cannot: ["interrupt"] }))), "hq2:12345 and hq3");
  assert.equal(uninterruptible(having(engine({ cannot: ["interrupt"] }), engine({ name: "local" }))), ""); // none runs: both may
  assert.equal(uninterruptible(having(engine({ cannot: ["interrupt"] }), engine({ name: "local", state: "failed" }))), "hq2:12345");
  assert.equal(uninterruptible(having(engine({ state: "failed", cannot: ["interrupt"] }))), "");
  assert.equal(uninterruptible(having()), "");
  assert.equal(uninterruptible(null), "");
  const left = { ...s, batch: { ...s.batch, counts: { ...s.batch.counts, queued: 0, cancelled: 27 } } };
  assert.equal(settled("cancel", s, s), false);
  assert.equal(settled("cancel", s, left), true);
  assert.equal(settled("cancel", s, { ...left, engines: known("running").engines }), false);
});

test("a running job's own engine decides whether it can be cancelled, where its worker is known", () => {
  const mixed = { ...known("services"), engines: [engine({ running: 1, cannot: ["interrupt"] }), engine({ name: "local", running: 1 })] };
  assert.equal(whyNotCancel(mixed, "hq2:12345/0"), "It goes on to its end, since hq2:12345 cannot interrupt it");
  assert.equal(whyNotCancel(mixed, null), "");
  assert.equal(whyNotCancel(known("services"), null), "It goes on to its end, since hq2:12345 cannot interrupt it");
  assert.equal(whyNotCancel(known("running"), "local/0"), "");
  assert.equal(whyNotCancel(null, null), "");
});

test("Add jobs stays, and says when only plain data can be added", () => {
  const add = button("add", known("services"), false);
  assert.ok(add.enabled);
  assert.equal(add.hint, "Add more jobs to this batch: plain data, since hq2:12345 only calls services");
  assert.equal(button("add", known("running"), false).hint, "Add more jobs to this batch");
  assert.equal(servicesOnly(having(engine({ cannot: ["functions"] }), engine({ name: "local" }))), "");
  assert.equal(servicesOnly(having()), "");
});

test("the share of each engine is of what all finished", () => {
  const engines = [engine({ finished: 3 }), engine({ finished: 1 }), engine()];
  assert.deepEqual(engines.map((one) => percent(share(one, engines))), ["75 %", "25 %", "0 %"]);
  assert.equal(percent(share(engine(), [engine()])), "0 %");
  assert.equal(percent(0.2), "< 1 %");
});

test("a session without workers says what its engines say, and waits for those that connect", () => {
  const none = (...engines: readonly Engine[]): string => trouble({ ...having(...engines), workers: [] });
  assert.equal(none(engine({ state: "away", note: "No answer for 14 s." })), "No workers. hq2:12345: No answer for 14 s.");
  assert.equal(none(engine({ state: "connecting", note: "Dialling." })), "No workers yet: they are being started.");
});

test("the made-up snapshots agree with themselves", () => {
  for (const [name, s] of Object.entries(SNAPSHOTS)) {
    if (!s?.session.alive) continue;
    for (const key of ["running", "finished", "failed"] as const) {
      assert.equal(s.engines.reduce((sum, one) => sum + one[key], 0), s.batch.counts[key], `${name}: ${key}`);
    }
    const names = new Set(s.engines.map((one) => one.name));
    assert.ok(s.workers.every((worker) => names.has(worker.engine)), `${name}: workers of engines that are there`);
  }
});
