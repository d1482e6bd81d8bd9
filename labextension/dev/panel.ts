/** The page for looking at the panel: ?state=failed&theme=dark&width=300&pane=engines&front=new; without a state, all of them. */

import { Fake } from "./fake";
import { NOW, SCENES, type Scene } from "./sessions";
import { mountPanel } from "../src/panel/panel";
import type { Order, Place, Sessions } from "../src/panel/types";

const wish = new URLSearchParams(location.search);
const theme = wish.get("theme");
if (theme) document.body.dataset["jpThemeLight"] = String(theme === "light");
document.body.style.background = theme === "dark" ? "#0b0d10" : "#eef0f3";
Date.now = () => NOW * 1000; // so that ages are the same each time

function sessionsOf(scene: Scene): Sessions {
  const stores: Record<string, Fake> = {};
  const said: Record<string, string> = { refresh: "10 workers are well; none was replaced.", pause: "4 batches are paused." };
  return {
    rows: scene.rows,
    problem: scene.problem ?? "",
    subscribe: () => () => undefined,
    reload: () => Promise.resolve(),
    view: (id) => scene.views[id] ?? null,
    link: (id) => (scene.views[id] ? "live" : "idle"),
    follow: () => () => undefined,
    retry: () => undefined,
    batch: (id, number) => (stores[`${id}/${number}`] ??= new Fake(scene.snapshots[`${id}/${number}`] ?? null)),
    order: (_id: string, order: Order) => (order.op === "engine-add" ? Promise.reject(new Error(`${order.url} is no URL of an engine: try dsage://host:12345.`)) : Promise.resolve(said[order.op] ?? `Done: ${order.op}.`)),
    log: () => Promise.resolve("12:00:01 session analysis, child 4099\n12:00:01 engine local: 2 slots\n12:00:02 worker local/0 (4101) is ready\n12:00:02 worker local/1 (4102) is ready"),
  };
}

// ?front=new: a notebook without a session; training: another's; else that of the scene.
const FRONTS: Readonly<Record<string, { readonly name: string; readonly path: string; readonly kernel: string }>> = {
  new: { name: "other.ipynb", path: "other.ipynb", kernel: "kernel-other.json" },
  training: { name: "training.ipynb", path: "training.ipynb", kernel: "kernel-t1.json" },
  own: { name: "analysis.ipynb", path: "studies/analysis.ipynb", kernel: "kernel-a1b2.json" },
};
const front = FRONTS[wish.get("front") ?? "own"]!;

const place: Place = {
  openTab: () => undefined,
  cellOf: (_id, batch) => (batch % 2 ? () => undefined : null),
  notebook: () => ({ ...front, start: () => Promise.resolve(), attach: () => Promise.resolve() }),
  openExample: () => undefined,
};

document.body.style.cssText += ";display:flex;gap:20px;padding:16px;flex-wrap:wrap";
const only = wish.get("state");
for (const [name, scene] of Object.entries(SCENES)) {
  if (only && only !== name) continue;
  const box = document.createElement("div");
  box.style.cssText = `width:${wish.get("width") ?? "300"}px;height:${wish.get("height") ?? "940"}px;background:#fff`;
  document.body.append(box);
  const panel = mountPanel(box, sessionsOf(scene), place);
  const choose = wish.get("choose");
  if (choose) panel.choose(choose);
  const pane = wish.get("pane");
  if (pane) requestAnimationFrame(() => [...box.querySelectorAll<HTMLElement>("[role=tab]")].find((tab) => tab.textContent?.toLowerCase().startsWith(pane))?.click());
}
