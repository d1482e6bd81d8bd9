/** The panel of all sessions: the list above, that of the notebook in front or the chosen one below; or the first step, while there is none. */

import viewCss from "../style.css";
import css from "./panel.css";
import { attr, h } from "../dom";
import { keepFocus } from "../focus";
import { keepKeys } from "../keys";
import { __ } from "../say";
import { follow } from "../theme";
import { PanelApp } from "./app";
import { detail } from "./detail";
import { empty } from "./empty";
import { list } from "./list";
import { noSession } from "./no_session";
import { tools } from "./tools";
import type { Place, Sessions } from "./types";

export interface Panel {
  /** Show a session, or a batch of it. */
  choose(session: string, batch?: number): void;
  close(): void;
}

/** Show all sessions in an element. */
export function mountPanel(el: HTMLElement, sessions: Sessions, place: Place): Panel {
  const app = new PanelApp(sessions, place);
  const parts = [empty(app), tools(app), list(app), noSession(app), detail(app)];
  const style = h("style");
  style.textContent = `${viewCss}\n${css}`;
  const root = h("div", { class: "dsage dsage-panel", role: "region", tabindex: "-1", "aria-label": __("Sessions") }, style, ...parts.map((part) => part.el));
  const draw = (): void => {
    attr(root, "data-some", (app.sessions.rows?.length ?? 0) > 0);
    for (const part of parts) part.update();
  };
  app.onRedraw(() => keepFocus(root, draw));
  const letKeysGo = keepKeys(root);
  const unfollow = follow(root, () => undefined);
  const ages = window.setInterval(() => app.touch(), 30_000); // how old they are
  el.append(root);
  draw();
  return {
    choose: (session, batch) => app.choose(session, batch ?? null),
    close() {
      clearInterval(ages);
      letKeysGo();
      unfollow();
      app.close();
      for (const part of parts) part.close?.();
      root.remove();
    },
  };
}
