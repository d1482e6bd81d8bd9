import assert from "node:assert/strict";
import { test } from "node:test";
import { clock, duration, jobs, number, pace, spoken } from "../src/words";

test("numbers and times read as people say them", () => {
  assert.equal(number(1_000_000), "1,000,000");
  assert.deepEqual([1, 0, 1240].map(jobs), ["1 job", "0 jobs", "1,240 jobs"]);
  assert.deepEqual([0, 42, 725, 3723, -1].map(clock), ["0:00", "0:42", "12:05", "1:02:03", "0:00"]);
  assert.deepEqual([0.00014, 0.012, 0.8, 42, 100].map(duration), ["140 µs", "12 ms", "0.8 s", "42 s", "1:40"]);
  assert.deepEqual([1240.4, 12.34, 0.14, 0.001].map(pace), ["1,240 jobs/s", "12.3 jobs/s", "8.4 jobs/min", "3.6 jobs/h"]);
  assert.deepEqual([0, 1, 62, 3700].map(spoken), ["0 seconds", "1 second", "1 minute 2 seconds", "1 hour 1 minute"]);
});

test("a unit is never shown with a number that belongs to the next one", () => {
  assert.deepEqual([0.0009999, 0.0999, 9.96, 99.6].map(duration), ["1 ms", "0.1 s", "10 s", "1:40"]);
});
