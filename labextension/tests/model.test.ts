import assert from "node:assert/strict";
import { test } from "node:test";
import { SNAPSHOTS } from "../dev/snapshots";
import { badge, button, ended, gridTitle, mood, pulse, settled, shares, summary, trouble } from "../src/model";
import type { Snapshot } from "../src/types";

function known(name: string): Snapshot {
  const s = SNAPSHOTS[name];
  assert.ok(s);
  return s;
}

test("each state of a batch has its mood and its line", () => {
  const says = Object.fromEntries(Object.entries(SNAPSHOTS).map(([name, s]) => [name, `${mood(s)}: ${pulse(s)}`]));
  assert.deepEqual(says, {
    waiting: "waiting: waiting for the first news",
    empty: "empty: no jobs yet",
    queued: "queued: 0:01 · waiting for a worker",
    running: "running: 0:42 · about 0:18 left · 1,240 jobs/s",
    failed: "running: 0:42 · about 0:18 left · 1,240 jobs/s",
    paused: "paused: paused · 0:42",
    finished: "finished: all 100 finished in 0:42",
    small: "running: 0:42 · about 2:10 left · 12.6 jobs/min",
    mixed: "failed: ended after 3.4 s",
    cancelled: "cancelled: cancelled after 0:42",
    million: "running: 1:02:03 · about 39:00 left · 165 jobs/s",
    over: "over: stopped after 0:42",
    noworkers: "queued: 0:12 · waiting for a worker",
    engines: "running: 0:42 · about 0:18 left · 1,240 jobs/s",
    services: "running: 0:42 · about 1:07 left · 24 jobs/min",
  });
});

test("the bar's shares are of all jobs, and 100 % only when all have ended", () => {
  const s = known("small");
  const sum = shares(s.batch).reduce((total, { percent }) => total + percent, 0);
  assert.ok(Math.abs(sum - (16 / 24) * 100) < 1e-9);
  assert.equal(ended({ ...s.batch, total: 1000, counts: { queued: 0, running: 1, finished: 999, failed: 0, cancelled: 0, lost: 0 } }), 99);
  assert.equal(ended(known("mixed").batch), 100);
  assert.ok(shares(undefined).every(({ percent }) => percent === 0));
});

test("ears are told the same as eyes", () => {
  assert.equal(summary(known("failed")), "hist: 7,041 of 10,000 jobs finished, 2 failed, 1 lost, about 18 seconds left");
  assert.equal(summary(known("over")), "hist: 7,041 of 10,000 jobs finished, 2 failed, 1 lost, the session is over");
  assert.match(summary(known("engines")), /left, hq3:12345 is away, old:8002 has failed$/);
});

test("the grid says what a cell stands for", () => {
  assert.equal(gridTitle(known("running")), "10,000 · one cell each");
  assert.equal(gridTitle(known("million")), "1,000,000 so far · 100 to a cell");
});

test("why nothing runs is said where the workers would be", () => {
  assert.match(trouble(known("noworkers")), /^No workers\. local: workers die at birth/);
  assert.match(trouble(known("over")), /killed/);
  assert.equal(trouble(known("running")), "");
  assert.equal(badge(known("over")), "session over");
  assert.equal(badge(known("paused")), "paused");
});

test("buttons are there and enabled when they mean something", () => {
  const may = (name: string): string =>
    (["pause", "resume", "retry", "add", "cancel", "refresh", "die"] as const)
      .filter((action) => button(action, known(name), false).shown && button(action, known(name), false).enabled)
      .join(" ");
  assert.equal(may("running"), "pause add cancel refresh die");
  assert.equal(may("failed"), "pause retry add cancel refresh die");
  assert.equal(may("paused"), "resume retry add cancel refresh die");
  assert.equal(may("finished"), "add refresh die");
  assert.equal(may("over"), "");
  assert.equal(button("retry", known("failed"), false).label, "Retry 3 failed");
});

test("a pressed button says so until the effect is seen", () => {
  const s = known("failed");
  const pressed = button("pause", s, true);
  assert.deepEqual([pressed.label, pressed.enabled, pressed.busy], ["Pausing…", false, true]);
  assert.equal(settled("pause", s, s), false);
  assert.equal(settled("pause", s, known("paused")), true);
  assert.equal(settled("cancel", s, s), false);
  assert.equal(settled("cancel", s, known("cancelled")), true);
  assert.equal(settled("retry", s, s), false);
  assert.equal(settled("retry", s, known("running")), true);
  assert.equal(settled("retry 812", s, s), false);
  assert.equal(settled("retry 812", s, known("running")), true);
  assert.equal(settled("die", s, known("over")), true);
});
