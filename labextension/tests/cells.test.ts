import assert from "node:assert/strict";
import { test } from "node:test";
import { boxOf, cellAt, cellOf, changed, CODE, decode, jobsOf, layout, marks, moved, stateOf } from "../src/cells";

const spelled = (cells: Uint8Array): string => String.fromCharCode(...cells);

test("a run-length string becomes one code a cell", () => {
  assert.equal(spelled(decode("F3X1Q2", 6)), "FFFXQQ");
  assert.equal(spelled(decode("FX2", 3)), "FXX", "a letter without a number stands for one cell");
  assert.deepEqual(decode("", 0), new Uint8Array(0));
});

test("what is short, long, unknown or absurd does no harm", () => {
  assert.equal(spelled(decode("F2", 4)), "FFQQ");
  assert.equal(spelled(decode("F999999999999", 3)), "FFF");
  assert.equal(spelled(decode("F1Z2F1", 4)), "FQQF");
  assert.equal(spelled(decode("<b>", 3)), "QbQ");
  assert.ok(decode("F9", 1e9).length <= 20_000);
});

test("10,000 cells of 10,000 runs are decoded in one pass over the text", () => {
  const text = "F1Q1".repeat(5_000);
  let reads = 0;
  const counting = { length: text.length, charCodeAt: (at: number): number => (reads++, text.charCodeAt(at)) };
  assert.equal(decode(counting, 10_000).length, 10_000);
  assert.ok(reads <= 2 * text.length, `${reads} reads of ${text.length} characters`);
});

test("only what changed is named, and everything when cells came", () => {
  assert.deepEqual(changed(decode("F2Q2", 4), decode("F3Q1", 4)), [2]);
  assert.deepEqual(changed(decode("F2", 2), decode("F3", 3)), [0, 1, 2]);
});

test("tenths are queued cells that are partly finished", () => {
  assert.deepEqual(stateOf("d".charCodeAt(0)), { state: "queued", tenths: 4 });
  assert.deepEqual(stateOf(CODE.finished), { state: "finished", tenths: 10 });
  assert.deepEqual(stateOf(CODE.lost), { state: "lost", tenths: 0 });
});

test("a run of failed cells has one mark, a lost one beside it another", () => {
  assert.deepEqual(marks(decode("F2X3L1F1X1", 8), 10), [2, 5, 7]);
  assert.equal(marks(decode("X1F1".repeat(50), 100), 10).length, 10);
});

test("cells fill the room, whole device pixels each, for any number, width and screen", () => {
  for (const count of [1, 7, 100, 2_500, 9_999, 10_000])
    for (const width of [240, 476, 530, 612, 1_000])
      for (const ratio of [1, 1.25, 2, 3]) {
        const place = layout(count, width, 176, ratio);
        const said = JSON.stringify({ width, ...place });
        assert.ok(Number.isInteger(place.dx) && Number.isInteger(place.dy), said);
        assert.ok(place.across * place.dx <= width * ratio && place.rows * place.dy <= 176 * ratio, said);
        assert.ok(place.across * place.rows >= count, said);
        assert.ok(place.gap < Math.min(place.dx, place.dy), said);
        if (count >= 100 && width > 300) assert.ok(place.rows * place.dy > 176 * ratio * 0.5, `half of the room is empty: ${said}`);
      }
});

test("a layout is found by trying widths of a cell, not places of cells", () => {
  let tries = 0;
  const { floor } = Math;
  Math.floor = (value) => (tries++, floor(value));
  try {
    layout(10_000, 1_000, 176, 2);
  } finally {
    Math.floor = floor;
  }
  assert.ok(tries < 500, `${tries} steps`);
});

test("a point finds its cell and a cell its place", () => {
  const place = layout(100, 530, 176, 2);
  for (const cell of [0, 1, 17, 99]) {
    const { x, y, w, h } = boxOf(place, cell);
    assert.equal(cellAt(place, x + w / 2, y + h / 2), cell);
  }
  assert.equal(cellAt(place, -1, 3), -1);
  assert.equal(cellAt(place, 529.9, 175), -1);
});

test("arrow keys stay inside", () => {
  const place = layout(100, 530, 176, 1);
  assert.equal(moved(place, 0, "ArrowLeft"), 0);
  assert.equal(moved(place, 3, "ArrowUp"), 3);
  assert.equal(moved(place, 3, "ArrowDown"), 3 + place.across);
  assert.equal(moved(place, 98, "ArrowDown"), 98);
  assert.equal(moved(place, 99, "ArrowRight"), 99);
  assert.equal(moved(place, 50, "PageDown"), 99);
  assert.equal(moved(place, 50, "Home"), 0);
  assert.equal(moved(place, 50, "x"), undefined);
});

test("cells and jobs find each other when many jobs share a cell", () => {
  assert.deepEqual(jobsOf(3, 100, 1_000_000), [300, 399]);
  assert.deepEqual(jobsOf(9, 100, 950), [900, 949]);
  assert.equal(cellOf(399, 100), 3);
  assert.equal(cellOf(7, 1), 7);
});
