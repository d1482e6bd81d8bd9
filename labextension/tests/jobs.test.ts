import assert from "node:assert/strict";
import { test } from "node:test";
import { detailOf, SNAPSHOTS } from "../dev/snapshots";
import { jobWords, stateInGrid, targetOf, tracebackLines } from "../src/jobs";

test("a cell of many jobs stands for the failed one in it", () => {
  const s = SNAPSHOTS["million"];
  assert.ok(s);
  assert.equal(targetOf(s, 1203), 120_304);
  assert.equal(targetOf(s, 7), 700);
  assert.equal(stateInGrid(s, 120_304), "failed");
  assert.equal(stateInGrid(s, 700), null, "the grid does not tell");
});

test("with one cell each the grid tells every job's state", () => {
  const s = SNAPSHOTS["failed"];
  assert.ok(s);
  assert.deepEqual([0, 812, 4120, 7044, 9_999, 10_000].map((job) => stateInGrid(s, job)), ["finished", "failed", "lost", "running", "queued", null]);
});

test("a job is told in one line, as far as it is known", () => {
  assert.equal(jobWords(7052, "running", undefined), "job 7,052 · running");
  const detail = { ...detailOf(7052, null), state: "running", args: "[1000],\n  loc=1", worker: "local/1", seconds: 0.8, attempt: 2 };
  assert.equal(jobWords(7052, "running", detail), "job 7,052 · running · [1000], loc=1 · local/1 · 0.8 s · attempt 2");
});

test("a traceback's last raise stands out, with all its lines", () => {
  const kinds = tracebackLines("Traceback (most recent call last):\n  File \"x\", line 1\n    1/0\nZeroDivisionError: by\nzero\n").map(({ kind }) => kind);
  assert.deepEqual(kinds, ["place", "place", "code", "error", "error"]);
  assert.deepEqual(tracebackLines("").map(({ line }) => line), [""]);
});
