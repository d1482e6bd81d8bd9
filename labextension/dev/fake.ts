/** A store that shows a made-up snapshot and answers as a session would, for the pages in this folder. */

import { detailOf } from "./snapshots";
import type { Message, Reply, Snapshot, Store } from "../src/types";

export class Fake implements Store {
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
