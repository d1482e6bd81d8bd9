import assert from "node:assert/strict";
import { test } from "node:test";
import { viewOf, SCENES } from "../dev/sessions";
import { SNAPSHOTS } from "../dev/snapshots";
import { Channel } from "../src/lab/channel";
import { wait, type Wire } from "../src/lab/socket";
import type { Link } from "../src/panel/types";
import type { Reply, Snapshot } from "../src/types";

/** The browser's half of a WebSocket, without a network: the test is the server. */
class FakeWire implements Wire {
  readyState = 0;
  onopen: Wire["onopen"] = null;
  onmessage: Wire["onmessage"] = null;
  onclose: Wire["onclose"] = null;
  readonly sent: unknown[] = [];
  closed = false;

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }
  close(): void {
    this.closed = true;
  }
  opens(): void {
    this.readyState = 1;
    this.onopen?.({} as Event);
  }
  says(message: unknown): void {
    this.onmessage?.({ data: JSON.stringify(message) } as MessageEvent);
  }
  async drops(code = 1006): Promise<void> {
    this.readyState = 3;
    this.onclose?.({ code } as CloseEvent);
    await Promise.resolve();
    await Promise.resolve();
  }
}

class Line {
  readonly wires: FakeWire[] = [];
  readonly timers: { readonly call: () => void; readonly ms: number; stopped: boolean }[] = [];
  probed: Link = "away";
  readonly channel = new Channel(
    {
      dial: () => {
        const wire = new FakeWire();
        this.wires.push(wire);
        return wire;
      },
      probe: () => Promise.resolve(this.probed),
    },
    {
      later: (call, ms) => {
        const timer = { call, ms, stopped: false };
        this.timers.push(timer);
        return () => (timer.stopped = true);
      },
    },
  );

  get wire(): FakeWire {
    const wire = this.wires.at(-1);
    assert.ok(wire);
    return wire;
  }
  /** Let the time pass for which something was put off. */
  pass(): void {
    for (const timer of this.timers.splice(0)) if (!timer.stopped) timer.call();
  }
}

function snapshot(name = "running"): Snapshot {
  const s = SNAPSHOTS[name];
  assert.ok(s);
  return s;
}

test("all views of a batch share one connection, which is watched while one of them is there", () => {
  const line = new Line();
  const [one, two] = [line.channel.batch(4), line.channel.batch(4)];
  let seen = 0;
  const [off, offTwo] = [one.subscribe(() => (seen += 1)), two.subscribe(() => (seen += 1))];
  assert.equal(line.wires.length, 1);
  line.wire.opens();
  assert.deepEqual(line.wire.sent, [{ kind: "watch", batch: 4, on: true }]);
  seen = 0;
  line.wire.says({ kind: "batch", batch: 4, snapshot: snapshot() });
  assert.equal(seen, 2);
  assert.equal(one.get(), two.get());
  off();
  assert.equal(line.wire.sent.length, 1);
  offTwo();
  assert.deepEqual(line.wire.sent.at(-1), { kind: "watch", batch: 4, on: false });
  assert.equal(line.wire.closed, false);
  line.pass();
  assert.equal(line.wire.closed, true);
  assert.equal(line.channel.link, "idle");
});

test("an output that is made anew at once keeps the connection", () => {
  const line = new Line();
  line.channel.hold()();
  const letGo = line.channel.hold();
  line.pass();
  assert.equal(line.wires.length, 1);
  assert.equal(line.wire.closed, false);
  letGo();
});

test("a connection that drops comes back, watches again, and shows what it had meanwhile", async () => {
  const line = new Line();
  const store = line.channel.batch(1);
  store.subscribe(() => undefined);
  line.wire.opens();
  line.wire.says({ kind: "batch", batch: 1, snapshot: snapshot() });
  await line.wire.drops();
  assert.equal(line.channel.link, "away");
  assert.equal(store.get()?.session.alive, true, "the session lives, as far as anybody knows");
  line.pass();
  assert.equal(line.wires.length, 2);
  assert.equal(line.channel.link, "away", "not back yet");
  line.wire.opens();
  assert.equal(line.channel.link, "live");
  assert.deepEqual(line.wire.sent, [{ kind: "watch", batch: 1, on: true }]);
});

test("each failure is waited for longer, up to a quarter of a minute", () => {
  assert.deepEqual([0, 1, 2, 3, 9].map((failures) => wait(failures, 0.5)), [500, 1000, 2000, 4000, 15_000]);
  assert.ok(wait(0, 0) < wait(0, 1));
});

test("a session that ends is frozen with the server's words; when it is revived, it lives again", async () => {
  const line = new Line();
  const store = line.channel.batch(1);
  store.subscribe(() => undefined);
  line.wire.opens();
  line.wire.says({ kind: "session", session: viewOf("a", [], snapshot()) });
  line.wire.says({ kind: "batch", batch: 1, snapshot: snapshot() });
  line.wire.says({ kind: "gone", text: "The child was killed." });
  await line.wire.drops(4001);
  assert.equal(line.channel.link, "over");
  assert.equal(line.channel.view?.alive, false);
  assert.equal(store.get()?.session.note, "The child was killed.");
  assert.equal(store.get(), store.get(), "the same object, so that it is drawn once");
  line.pass();
  assert.equal(line.wires.length, 1, "nobody knocks at a session that is over");
  line.channel.wake();
  line.wire.opens();
  assert.equal(store.get()?.session.alive, true);
});

test("an unknown session is told apart from a server that does not answer", async () => {
  const line = new Line();
  line.channel.batch(1, snapshot()).subscribe(() => undefined);
  await line.wire.drops();
  assert.equal(line.channel.link, "away");
  line.probed = "unknown";
  line.pass();
  await line.wire.drops();
  assert.equal(line.channel.link, "unknown");
  assert.equal(line.channel.batch(1).get()?.session.alive, false, "the saved snapshot, frozen");
});

test("what is pressed before the connection stands is sent when it does", () => {
  const line = new Line();
  const store = line.channel.batch(2);
  store.subscribe(() => undefined);
  store.send({ op: "pause" });
  line.wire.opens();
  assert.deepEqual(line.wire.sent, [
    { kind: "watch", batch: 2, on: true },
    { kind: "command", batch: 2, message: { op: "pause" } },
  ]);
});

test("what cannot be sent is said, where it was pressed", async () => {
  const line = new Line();
  const store = line.channel.batch(2);
  const replies: Reply[] = [];
  store.subscribe(() => undefined);
  store.onReply((reply) => replies.push(reply));
  line.wire.opens();
  await line.wire.drops();
  store.send({ op: "cancel" });
  store.send({ op: "add", text: "range(3)" });
  store.send({ op: "job", job: 3 });
  assert.deepEqual(replies, [
    { re: "note", text: "Not sent: there is no connection to the server." },
    { re: "add", status: "error", text: "Not sent: there is no connection to the server." },
  ]);
});

test("replies go to the batch they are for, those without one to all", () => {
  const line = new Line();
  const heard: string[] = [];
  for (const batch of [1, 2]) {
    const store = line.channel.batch(batch);
    store.subscribe(() => undefined);
    store.onReply((reply) => heard.push(`${batch} ${reply.re}`));
  }
  line.wire.opens();
  line.wire.says({ kind: "reply", batch: 2, reply: { re: "note", text: "" } });
  line.wire.says({ kind: "reply", batch: null, reply: { re: "log", text: "" } });
  line.wire.says("no JSON of ours");
  assert.deepEqual(heard, ["2 note", "1 log", "2 log"]);
});

test("scenes for the pages are whole", () => {
  for (const [name, scene] of Object.entries(SCENES)) for (const id of Object.keys(scene.views)) assert.ok(scene.rows?.some((row) => row.id === id), name);
});
