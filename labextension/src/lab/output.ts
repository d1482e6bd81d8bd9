/**
 * The output of a cell: the live view of its batch, fed by the server, whatever the kernel does.
 *
 * Where the server does not know the session, the kernel's widget takes the place if its model lives (a kernel on
 * another machine), else the last snapshot stands, and without one the bundle's HTML: never "model not found".
 */

import { MimeModel } from "@jupyterlab/rendermime";
import { Panel, type Widget } from "@lumino/widgets";
import { attr, h, text } from "../dom";
import { keepKeys } from "../keys";
import { __ } from "../say";
import { mount } from "../view";
import { frozen } from "./channel";
import { MIME, sameBatch, savedOf, worthKeeping, type Saved } from "./saved";
import { html, line } from "./still";
import type { IRenderMime, IRenderMimeRegistry } from "@jupyterlab/rendermime";
import type { JSONObject } from "@lumino/coreutils";
import type { Snapshot, Store } from "../types";
import type { SessionStore } from "./sessions";

const WIDGET = "application/vnd.jupyter.widget-view+json";
const HTML = "text/html";
const TEXT = "text/plain";

export class BatchOutput extends Panel implements IRenderMime.IRenderer {
  private readonly box = h("div");
  private readonly bar = h("div", { class: "dsage-away", role: "status" });
  private readonly letKeysGo = keepKeys(this.bar); // the view keeps its own
  private model: IRenderMime.IMimeModel | null = null;
  private saved: Saved | null = null;
  private leave: (() => void)[] = [];
  private unmount: (() => void) | null = null;
  private stand: Widget | null = null;

  constructor(
    private readonly sessions: SessionStore,
    /** The registry of the notebook that an element is in: it knows how to render the notebook's widgets. */
    private readonly registryOf: (node: HTMLElement) => IRenderMimeRegistry,
  ) {
    super();
    this.addClass("jp-DsageOutput");
    const again = h("button", { type: "button", class: "jp-mod-styled", click: () => this.saved && this.sessions.retry(this.saved.session) }, __("Try now"));
    this.bar.append(h("span", {}, __("No connection to the server; what you see is a moment old.")), " ", again);
    this.bar.hidden = true;
    this.bar.style.cssText = "padding:4px 2px;font-size:var(--jp-ui-font-size1);color:var(--jp-ui-font-color1)";
    this.node.append(this.bar, this.box);
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const saved = savedOf(model.data[MIME]);
    this.model = model;
    const same = sameBatch(saved, this.saved);
    this.saved = saved;
    if (same) {
      if (saved) this.keep(this.sessions.batch(saved.session, saved.batch).get()); // the kernel may have written an older one
      return;
    }
    this.clear();
    if (!saved) return this.standIn(HTML);
    const channel = this.sessions.channel(saved.session);
    this.leave = [channel.changed.add(() => this.turned()), channel.hold()];
    this.showView(this.sessions.batch(saved.session, saved.batch, saved.snapshot));
    this.turned();
  }

  override dispose(): void {
    if (this.isDisposed) return;
    this.clear();
    this.letKeysGo();
    this.model = null;
    super.dispose();
  }

  private clear(): void {
    for (const off of this.leave.splice(0)) off();
    this.hideView();
    this.standDown();
  }

  private showView(store: Store): void {
    if (this.unmount) return;
    const off = store.subscribe(() => this.keep(store.get()));
    const away = mount(this.box, store);
    this.unmount = () => {
      off();
      away();
    };
    this.keep(store.get());
  }

  private hideView(): void {
    this.unmount?.();
    this.unmount = null;
  }

  private turned(): void {
    if (!this.saved) return;
    const link = this.sessions.link(this.saved.session);
    attr(this.bar, "hidden", link !== "away");
    if (link === "live") {
      this.standDown();
      this.showView(this.sessions.batch(this.saved.session, this.saved.batch, this.saved.snapshot));
    } else if (link === "unknown" && !this.stand) {
      const live = this.model?.trusted === true && this.model.data[WIDGET] !== undefined;
      if (live) void this.standIn(WIDGET);
      else if (!this.saved.snapshot) void this.standIn(HTML);
    }
  }

  /** Render another part of the bundle. The view goes once something of it is seen. */
  private async standIn(type: string): Promise<void> {
    const model = this.model;
    const data = model?.data[type];
    if (!model || data === undefined) return this.failed(type);
    const registry = this.registryOf(this.node);
    const renderer = (this.stand = registry.createRenderer(type));
    renderer.hide();
    this.addWidget(renderer);
    const taken = new MutationObserver(() => look());
    const look = (): void => {
      // The widgets' renderer says in words that it waits or found no model; a widget is an element.
      if (renderer.isDisposed || !renderer.node.firstElementChild) return;
      taken.disconnect();
      renderer.show();
      this.hideView();
    };
    taken.observe(renderer.node, { childList: true });
    // A copy: the widgets' renderer writes into what it is given.
    await renderer.renderModel(new MimeModel({ data: { [type]: structuredClone(data) }, trusted: model.trusted }));
    look();
    if (this.stand === renderer && renderer.isHidden) this.failed(type);
  }

  /** There is no widget: without a snapshot to show, the HTML is all there is. */
  private failed(type: string): void {
    if (type === WIDGET && !this.saved?.snapshot) {
      this.standDown();
      void this.standIn(HTML);
    } else if (type === HTML && !this.model?.data[HTML]) {
      text(this.box, String(this.model?.data[TEXT] ?? __("A batch of jobs that this version cannot show.")));
    }
  }

  private standDown(): void {
    this.stand?.dispose();
    this.stand = null;
  }

  /** Write the end of a batch into the notebook, so that it is seen where no server is. */
  private keep(now: Snapshot | null): void {
    const { model, saved } = this;
    // Of a session that the server does not know nothing can be told: the kernel may be on another machine.
    if (!model || !saved || this.sessions.link(saved.session) === "unknown" || !worthKeeping(saved, now)) return;
    const kept: Saved = (this.saved = { ...saved, snapshot: frozen(now, now.session.note) });
    // Later, since an output must not change while it is being rendered.
    setTimeout(() => {
      if (this.isDisposed || this.model !== model || this.saved !== kept) return;
      const still = model.data[HTML] === undefined ? {} : { [HTML]: html(now), [TEXT]: line(now) };
      model.setData({ data: { ...model.data, ...still, [MIME]: JSON.parse(JSON.stringify(kept)) as JSONObject } });
    });
  }
}
