import assert from "node:assert/strict";
import { test } from "node:test";
import { SNAPSHOTS } from "../dev/snapshots";
import { asSnapshot, fromModel, type Model } from "../src/anywidget";
import type { Message, Reply } from "../src/types";

test("anywidget's model is a store: state down, messages both ways, and nothing left listening", () => {
  const listeners = new Map<string, Set<(content: unknown) => void>>();
  const sent: Message[] = [];
  let state: unknown = {};
  const model: Model = {
    get: () => state,
    on: (event, callback) => void listeners.set(event, (listeners.get(event) ?? new Set()).add(callback)),
    off: (event, callback) => void listeners.get(event)?.delete(callback),
    send: (content) => void sent.push(content),
  };
  const fire = (event: string, content: unknown): void => listeners.get(event)?.forEach((call) => call(content));
  const store = fromModel(model);
  const replies: Reply[] = [];
  let changes = 0;
  const off = [store.subscribe(() => changes++), store.onReply((reply) => replies.push(reply))];
  assert.equal(store.get(), null);
  state = SNAPSHOTS["running"];
  fire("change:state", null);
  assert.equal(store.get(), state);
  fire("msg:custom", { re: "note", text: "well" });
  fire("msg:custom", "not ours");
  store.send({ op: "retry", job: 3 });
  for (const leave of off) leave();
  fire("change:state", null);
  fire("msg:custom", { re: "note", text: "late" });
  assert.deepEqual([changes, replies, sent], [1, [{ re: "note", text: "well" }], [{ op: "retry", job: 3 }]]);
});

test("a snapshot of another version is none", () => {
  assert.equal(asSnapshot({ v: 2, batch: {} }), null);
  assert.equal(asSnapshot(null), null);
});
