import assert from "node:assert/strict";
import { test } from "node:test";
import { SCENES } from "../dev/sessions";
import { PanelApp } from "../src/panel/app";
import { batchTime, distinctName } from "../src/panel/model";
import { kernelWord, relation, sessionOf, whose } from "../src/panel/whose";
import { moment } from "../src/words";
import type { Notebook, Row, Sessions } from "../src/panel/types";

const scene = SCENES["running"];
const own = scene?.rows?.find(({ id }) => id === "a1b2");
const training = scene?.rows?.find(({ id }) => id === "t1");
assert.ok(scene && own && training);

function notebook(path: string, kernel: string): Notebook {
  return { name: path, path, kernel, start: () => Promise.resolve(), attach: () => Promise.resolve() };
}
const OWN = notebook("studies/analysis.ipynb", "kernel-a1b2.json");
const NEW = notebook("new.ipynb", "kernel-new.json");

test("a notebook has the session of its kernel, else one that it attached to, else its earlier kernel's, and no other's", () => {
  const rows: readonly Row[] = [own, training];
  const of = (path: string, kernel: string, among = rows): string | undefined => sessionOf(among, { path, kernel })?.id;
  assert.equal(of("moved.ipynb", own.kernel), "a1b2");
  assert.equal(of("new.ipynb", "kernel-new.json"), undefined);
  assert.equal(of("analysis.ipynb", ""), undefined, "the same name in another folder");
  assert.equal(of("studies/analysis.ipynb", "kernel-next.json"), "a1b2");
  const shared = { ...training, kernels: [...training.kernels, "kernel-new.json"] };
  assert.equal(of("new.ipynb", "kernel-new.json", [own, shared]), "t1");
  const later = { ...own, id: "later", kernel: "kernel-x.json", kernels: ["kernel-x.json"], created: own.created + 5 };
  assert.equal(of("studies/analysis.ipynb", own.kernel, [own, later]), "a1b2");
  assert.equal(of("studies/analysis.ipynb", "", [{ ...own, alive: false }, later]), "later");
  assert.equal(of("", "", [{ ...own, path: "", kernel: "", kernels: [] }]), undefined, "a script's");
  assert.deepEqual([OWN, NEW, { ...OWN, kernel: "" }, null].map((front) => relation(own, front)), ["mine", "other", "earlier", "none"]);
  assert.equal(relation(shared, NEW), "attached");
});

test("it is said whose a session is, and since when", () => {
  const at = new Date(2026, 10, 30, 14, 5, 9).getTime() / 1000;
  const row = { ...own, kernel: "kernel-1a2b3c4d-5e6f.json", created: at };
  assert.equal(whose(row, at + 60), "analysis.ipynb · kernel 1a2b3c4d · started 14:05");
  assert.equal(kernelWord({ kernel: "" }), "no kernel");
  assert.equal(moment(at, at + 86_400), "30 Nov 14:05");
  assert.equal(moment(at, at, true), "14:05:09");
});

test("batches of one name are told apart by time, by seconds only where the minute is the same", () => {
  const at = new Date(2026, 10, 30, 14, 5, 9).getTime() / 1000;
  const [first] = scene.views["a1b2"]?.batches ?? [];
  assert.ok(first);
  const batches = [[4, at], [3, at - 600], [2, at - 603]].map(([number, created]) => ({ ...first, name: number === 4 ? "hist" : `hist#${number}`, number: number!, created: created! }));
  const other = { ...first, number: 1, name: "fit" };
  assert.deepEqual([...batches, other].map((batch) => batchTime(batch, [...batches, other], at)), ["14:05", "13:55:09", "13:55:06", ""]);
  assert.equal(distinctName(batches[0]!, batches, at), "hist · 14:05");
});

class Front {
  now: Notebook | null = NEW;
  told: () => void = () => undefined;
  answer: () => void = () => undefined;
  rows: readonly Row[] = scene?.rows ?? [];
  readonly app: PanelApp;

  constructor() {
    Object.assign(globalThis, { requestAnimationFrame: () => 1, cancelAnimationFrame: () => undefined, window: globalThis });
    const self = this;
    const sessions: Partial<Sessions> = {
      get rows() {
        return self.rows;
      },
      subscribe: () => () => undefined,
      view: (id) => scene?.views[id] ?? null,
      follow: () => () => undefined,
      log: () => Promise.resolve(""),
      order: (id) => new Promise((done) => (this.answer = () => done(`${id} is paused.`))),
    };
    this.app = new PanelApp(sessions as Sessions, { notebook: () => this.now, onChange: (changed) => ((this.told = changed), () => undefined) });
  }
  to(next: Notebook | null): string | null {
    this.now = next;
    this.told();
    return this.app.ui.session;
  }
}

test("the panel follows the notebook in front, and shows nothing where that has no session", () => {
  const front = new Front();
  assert.equal(front.app.ui.session, null, "opened beside a new notebook");
  assert.equal(front.to(OWN), "a1b2");
  front.app.set({ question: { what: "die" }, menu: true });
  assert.equal(front.to(notebook("training.ipynb", "kernel-t1.json")), "t1");
  assert.deepEqual([front.app.ui.question, front.app.ui.menu], [null, false], "what was asked was about another");
  assert.equal(front.to(NEW), null);
  assert.equal(front.to(null), "a1b2", "without a notebook: what is at work");
  front.app.close();
});

test("a choice stays until another notebook comes, a pin stays until it is taken out or its session goes", () => {
  const front = new Front();
  front.app.choose("t1");
  assert.equal(front.app.ui.session, "t1");
  assert.equal(front.to(NEW), "t1", "nothing came to the front");
  assert.equal(front.to(OWN), "a1b2");
  front.app.pin(true);
  assert.equal(front.to(NEW), "a1b2");
  front.app.choose("t1");
  assert.equal(front.to(OWN), "t1", "pinned still");
  front.app.pin(false);
  assert.equal(front.app.ui.session, "a1b2");
  front.app.choose("t1");
  front.app.pin(true);
  front.rows = front.rows.filter(({ id }) => id !== "t1");
  assert.equal(front.to(NEW), null);
  assert.equal(front.app.ui.pinned, false);
  front.app.close();
});

test("an answer that comes when another session is shown says whose it is", async () => {
  const front = new Front();
  front.to(OWN);
  const done = front.app.order({ op: "pause" });
  assert.equal(front.app.pending.has("pause"), true);
  front.to(notebook("training.ipynb", "kernel-t1.json"));
  assert.equal(front.app.pending.has("pause"), false, "nothing was asked of this one");
  front.answer();
  await done;
  assert.equal(front.app.ui.note, "analysis.ipynb: a1b2 is paused.");
  front.app.close();
});
