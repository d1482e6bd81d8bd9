/** The page for looking at the view: ?state=failed&theme=dark&width=500&live=1; without a state, all of them. */

import { Fake } from "./fake";
import { SNAPSHOTS } from "./snapshots";
import { mount } from "../src/index";

const wish = new URLSearchParams(location.search);
const theme = wish.get("theme");
if (theme) document.body.dataset["jpThemeLight"] = String(theme === "light");
document.body.style.background = theme === "dark" ? "#0b0d10" : "#eef0f3";

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
