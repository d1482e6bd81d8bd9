/** From anywidget's model to a store: `state` is a trait that only Python sets, everything else are messages. */

import type { Message, Reply, Snapshot, Store } from "./types";

/** The part of anywidget's model that is used. */
export interface Model {
  get(key: "state"): unknown;
  on(event: string, callback: (content: unknown) => void): void;
  off(event: string, callback: (content: unknown) => void): void;
  send(content: Message): void;
}

export function fromModel(model: Model): Store {
  const listen = (event: string, callback: (content: unknown) => void): (() => void) => {
    model.on(event, callback);
    return () => model.off(event, callback);
  };
  return {
    get: () => asSnapshot(model.get("state")),
    subscribe: (changed) => listen("change:state", () => changed()),
    send: (message) => model.send(message),
    onReply: (told) => listen("msg:custom", (content) => isReply(content) && told(content)),
  };
}

/** Before the first snapshot the trait is empty; one of another version cannot be shown. */
export function asSnapshot(value: unknown): Snapshot | null {
  return typeof value === "object" && value !== null && "v" in value && value.v === 1 && "batch" in value
    ? (value as Snapshot)
    : null;
}

function isReply(value: unknown): value is Reply {
  return typeof value === "object" && value !== null && "re" in value;
}
