import assert from "node:assert/strict";
import { test } from "node:test";
import { detailOf, SNAPSHOTS } from "../dev/snapshots";
import { Details, EVERY } from "../src/details";

class Time {
  at = 0;
  private calls: { when: number; call: () => void }[] = [];
  now = (): number => this.at;
  later = (call: () => void, ms: number): void => void this.calls.push({ when: this.at + ms, call });
  pass(ms: number): void {
    const stop = this.at + ms;
    for (;;) {
      const next = this.calls.filter(({ when }) => when <= stop).sort((a, b) => a.when - b.when)[0];
      if (!next) break;
      this.calls.splice(this.calls.indexOf(next), 1);
      this.at = Math.max(this.at, next.when);
      next.call();
    }
    this.at = stop;
  }
}

function begin(): { time: Time; asked: number[]; details: Details } {
  const time = new Time();
  const asked: number[] = [];
  return { time, asked, details: new Details((job) => asked.push(job), time) };
}

test("a pointer that runs over a thousand cells asks ten times a second, for where it is", () => {
  const { time, asked, details } = begin();
  for (let job = 0; job < 1000; job++) {
    details.want(job);
    time.pass(1);
  }
  time.pass(EVERY);
  assert.ok(asked.length <= 12, `${asked.length} questions`);
  assert.equal(asked.at(-1), 999);
});

test("what ended is asked for once, what runs again after a second", () => {
  const { time, asked, details } = begin();
  const failed = SNAPSHOTS["failed"] ?? null;
  details.want(812);
  details.take(detailOf(812, failed));
  time.pass(5000);
  details.want(812);
  details.want(7045);
  time.pass(EVERY);
  details.take({ ...detailOf(7045, failed), state: "running" });
  time.pass(500);
  details.want(7045);
  time.pass(600);
  details.want(7045);
  assert.deepEqual(asked, [812, 7045, 7045]);
});

test("the job looked at goes before those of a table, and these all have their turn", () => {
  const { time, asked, details } = begin();
  for (const job of [1, 2, 3]) details.want(job, false);
  details.want(9);
  time.pass(10 * EVERY);
  assert.deepEqual(asked, [1, 9, 2, 3]);
});

test("a question without an answer is asked again, but not at once", () => {
  const { time, asked, details } = begin();
  for (let i = 0; i < 40; i++) {
    details.want(5);
    time.pass(100);
  }
  assert.deepEqual(asked, [5, 5]);
});

test("after a retry the old failure is forgotten", () => {
  const { details } = begin();
  details.take(detailOf(812, SNAPSHOTS["failed"] ?? null));
  details.forgetFailures();
  assert.equal(details.get(812), undefined);
});
