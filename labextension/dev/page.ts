/** The page for looking at the view: ?state=failed&theme=dark&width=500&live=1; without a state, all of them. */

import { mount, type Message, type Reply, type Snapshot, type Store } from "../src/index";
import { detailOf, SNAPSHOTS } from "./snapshots";

const wish = new URLSearchParams(location.search);
const theme = wish.get("theme");
if (theme) document.body.dataset["jpThemeLight"] = String(theme === "light");
document.body.style.background = theme === "dark" ? "#0b0d10" : "#eef0f3";

class Fake implements Store {
  private readonly changed = new Set<() => void>();
  private readonly told = new Set<(reply: Reply) => void>();
  readonly sent: Message[] = [];

  constructor(public snapshot: Snapshot | null) {}

  get(): Snapshot | null {
    return this.snapshot;
  }
  subscribe(call: () => void): () => void {
    this.changed.add(call);
    return () => this.changed.delete(call);
  }
  onReply(call: (reply: Reply) => void): () => void {
    this.told.add(call);
    return () => this.told.delete(call);
  }
  show(snapshot: Snapshot | null): void {
    this.snapshot = snapshot;
    for (const call of this.changed) call();
  }
  tell(reply: Reply): void {
    for (const call of this.told) call(reply);
  }
  send(message: Message): void {
    this.sent.push(message);
    const s = this.snapshot;
    const later = (call: () => void, ms = 300): unknown => setTimeout(call, ms);
    if (message.op === "job") later(() => this.tell({ re: "job", ...detailOf(message.job, s) }), 20);
    if (message.op === "log") later(() => this.tell({ re: "log", text: "12:00:01 session analysis, child 4099\n12:00:01 engine local: 2 slots\n12:00:02 worker local/0 (4101) is ready\n12:00:02 worker local/1 (4102) is ready" }));
    if (message.op === "add") later(() => this.tell(message.text.includes("(") ? { re: "add", status: "added", text: "100 jobs added" } : { re: "add", status: "error", text: `NameError: name '${message.text}' is not defined` }), 600);
    if (message.op === "refresh") later(() => this.tell({ re: "note", text: "10 workers are well; none was replaced" }));
    if (s && message.op === "pause") later(() => this.show({ ...s, batch: { ...s.batch, paused: true } }));
    if (s && message.op === "resume") later(() => this.show({ ...s, batch: { ...s.batch, paused: false } }));
    if (s && message.op === "die") later(() => this.show({ ...s, workers: [], session: { ...s.session, alive: false, note: "The child was killed (die)." } }));
  }
}

const only = wish.get("state");
const stores: Record<string, Fake> = {};
for (const [name, snapshot] of Object.entries(SNAPSHOTS)) {
  if (only && only !== name) continue;
  const box = document.createElement("div");
  box.style.cssText = `margin:18px;max-width:${wish.get("width") ?? "1060"}px`;
  document.body.append(box);
  mount(box, (stores[name] = new Fake(snapshot)));
}
Object.assign(window, { stores, SNAPSHOTS });
