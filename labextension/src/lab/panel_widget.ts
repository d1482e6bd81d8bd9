/** The panel and a batch's tab as JupyterLab's widgets: they keep the list fresh only while they are seen. */

import { Widget } from "@lumino/widgets";
import { h } from "../dom";
import { mountPanel, type Panel } from "../panel/panel";
import { __ } from "../say";
import { mount } from "../view";
import { jobsIcon } from "./icons";
import type { Place } from "../panel/types";
import type { SessionStore } from "./sessions";

export class SessionsPanel extends Widget {
  private readonly panel: Panel;
  private unlook: (() => void) | null = null;

  constructor(
    private readonly sessions: SessionStore,
    place: Place,
  ) {
    super();
    this.id = "jupyter-dsage-panel";
    this.addClass("jp-DsagePanel");
    this.title.icon = jobsIcon;
    this.title.caption = __("Jobs: sessions and their batches");
    this.node.style.minWidth = "300px";
    this.panel = mountPanel(this.node, sessions, place);
  }

  choose(session: string, batch?: number): void {
    this.panel.choose(session, batch);
  }

  override dispose(): void {
    this.unlook?.();
    this.panel.close();
    super.dispose();
  }

  protected override onAfterShow(): void {
    this.unlook ??= this.sessions.look();
  }

  protected override onAfterAttach(): void {
    if (this.isVisible) this.onAfterShow();
  }

  protected override onAfterHide(): void {
    this.unlook?.();
    this.unlook = null;
  }
}

/** One batch, wide. */
export class BatchTab extends Widget {
  private readonly close_: () => void;

  constructor(sessions: SessionStore, session: string, batch: number) {
    super();
    const box = h("div", { class: "jp-DsageTab" });
    box.style.cssText = "height:100%;overflow:auto;padding:12px";
    const style = h("style");
    style.textContent = ".jp-DsageTab > .dsage{max-width:1600px;margin:0 auto}";
    box.append(style);
    this.node.append(box);
    this.close_ = mount(box, sessions.batch(session, batch));
    this.title.icon = jobsIcon;
  }

  override dispose(): void {
    this.close_();
    super.dispose();
  }
}
