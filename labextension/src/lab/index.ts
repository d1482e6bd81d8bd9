/** JupyterLab's door: the plugins. Each part may be turned off by its id; all read the one store of sessions. */

import { ILabShell, ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from "@jupyterlab/application";
import { ICommandPalette, MainAreaWidget, Notification } from "@jupyterlab/apputils";
import { ILauncher } from "@jupyterlab/launcher";
import { INotebookTracker } from "@jupyterlab/notebook";
import { IRenderMimeRegistry } from "@jupyterlab/rendermime";
import { ISettingRegistry } from "@jupyterlab/settingregistry";
import { IStatusBar } from "@jupyterlab/statusbar";
import { ITranslator } from "@jupyterlab/translation";
import { __, speak } from "../say";
import { distinctName } from "../panel/model";
import { whose } from "../panel/whose";
import { Api } from "./api";
import { addCommands, COMMANDS, startHere, type Doing } from "./commands";
import { attach, frontOf, nameOf, onFront } from "./kernel";
import { noticesOf } from "./notices";
import { wayTo } from "./origin";
import { BatchOutput } from "./output";
import { BatchTab, SessionsPanel } from "./panel_widget";
import { MIME } from "./saved";
import { SessionStore } from "./sessions";
import { DEFAULTS, follow } from "./settings";
import { StatusItem } from "./status";
import { ISessionStore } from "./token";
import type { Place, SessionView } from "../panel/types";

const ID = "jupyter_dsage:plugin";
const RANK = -20; // ahead of the widgets' renderer, which has -10

const sessions: JupyterFrontEndPlugin<SessionStore> = {
  id: "jupyter_dsage:sessions",
  description: "What is known of the sessions of jupyter_dsage.",
  autoStart: true,
  provides: ISessionStore,
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, translator: ITranslator | null) => {
    if (translator) speak(translator.load("jupyter_dsage"));
    const store = new SessionStore(new Api(app.serviceManager.serverSettings));
    void app.restored.then(() => store.reload());
    return store;
  },
};

const output: JupyterFrontEndPlugin<void> = {
  id: "jupyter_dsage:output",
  description: "Shows a batch of jobs, live, in the output of its cell.",
  autoStart: true,
  requires: [ISessionStore, IRenderMimeRegistry],
  optional: [INotebookTracker],
  activate: (_app: JupyterFrontEnd, store: SessionStore, rendermime: IRenderMimeRegistry, tracker: INotebookTracker | null) => {
    const registryOf = (node: HTMLElement): IRenderMimeRegistry => tracker?.find((panel) => panel.content.node.contains(node))?.content.rendermime ?? rendermime;
    rendermime.addFactory({ safe: true, mimeTypes: [MIME], defaultRank: RANK, createRenderer: () => new BatchOutput(store, registryOf) }, RANK);
  },
};

const plugin: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: "The panel of sessions and their batches, its commands, and a word when a long batch ends.",
  autoStart: true,
  requires: [ISessionStore],
  optional: [INotebookTracker, ISettingRegistry, ICommandPalette, ILayoutRestorer, ILauncher, ILabShell],
  activate: (
    app: JupyterFrontEnd,
    store: SessionStore,
    tracker: INotebookTracker | null,
    registry: ISettingRegistry | null,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null,
    launcher: ILauncher | null,
    labShell: ILabShell | null,
  ) => {
    // Notebook 7.2 and 7.4 take a panel away that is asked for and there.
    const doing: Doing = { app, tracker, sessions: store, open: () => void (panel.isVisible || app.shell.activateById(panel.id)) };
    const panel = new SessionsPanel(store, placeOf(doing, labShell !== null));
    let now = DEFAULTS;
    let side = "";
    void follow(registry, ID, (settings) => {
      now = settings;
      if (side !== settings.side) app.shell.add(panel, (side = settings.side), { rank: 600, type: "Jobs" });
    }).then(() => restorer?.add(panel, panel.id));
    addCommands(doing);
    for (const command of Object.values(COMMANDS)) palette?.addItem({ command, category: __("Jobs") });
    launcher?.add({ command: COMMANDS.example, category: __("Other"), rank: 20 });
    notify(store, () => now, (session, batch) => {
      doing.open();
      panel.choose(session, batch);
    });
  },
};

const status: JupyterFrontEndPlugin<void> = {
  id: "jupyter_dsage:status",
  description: "Jobs that run and that wait, in the status bar.",
  autoStart: true,
  requires: [ISessionStore],
  optional: [IStatusBar], // Notebook 7 has none
  activate: (app: JupyterFrontEnd, store: SessionStore, bar: IStatusBar | null) => {
    if (!bar) return;
    const item = new StatusItem(store, () => void app.commands.execute(COMMANDS.open));
    bar.registerStatusItem("jupyter_dsage:status", { item, align: "left", rank: 5 });
  },
};

/** Show a batch wide, in a tab of the main area; it has one. */
function openTab({ app, sessions: store }: Doing, session: string, batch: number): void {
  const id = `jupyter-dsage-${session}-${batch}`;
  if (![...app.shell.widgets("main")].some((widget) => widget.id === id)) {
    const tab = new MainAreaWidget({ content: new BatchTab(store, session, batch) });
    tab.id = id;
    const batches = store.view(session)?.batches ?? [];
    const row = batches.find(({ number }) => number === batch);
    tab.title.label = row ? distinctName(row, batches, Date.now() / 1000) : __("Batch %1", batch);
    const of = store.rows?.find(({ id }) => id === session);
    if (of) tab.title.caption = `${tab.title.label}\n${whose(of, Date.now() / 1000)}`;
    tab.title.closable = true;
    tab.toolbar.hide(); // the view has its own buttons
    app.shell.add(tab, "main");
  }
  app.shell.activateById(id);
}

/** What the panel can ask of JupyterLab; Notebook 7 has room for one thing in its main area, and no tabs. */
function placeOf(doing: Doing, hasTabs: boolean): Place {
  const { app, tracker } = doing;
  return {
    ...(hasTabs ? { openTab: (session: string, batch: number) => openTab(doing, session, batch) } : {}),
    cellOf: (session, batch) => wayTo(tracker, (notebook) => app.shell.activateById(notebook.id), session, batch),
    notebook: () => {
      const panel = tracker?.currentWidget;
      if (!panel) return null;
      return { name: nameOf(panel), ...frontOf(panel), start: () => startHere(doing), attach: (session) => attach(panel, session) };
    },
    openExample: () => void app.commands.execute(COMMANDS.example),
    onChange: (changed) => onFront(tracker, changed),
  };
}

/** Tell when a long batch ends; a click on it shows the batch. */
function notify(store: SessionStore, settings: () => typeof DEFAULTS, show: (session: string, batch: number) => void): void {
  const before = new Map<string, SessionView>();
  store.subscribe(() => {
    for (const { id } of store.rows ?? []) {
      const view = store.view(id);
      const was = before.get(id) ?? null;
      if (!view || view === was) continue;
      before.set(id, view);
      if (!settings().notifications) continue;
      for (const { kind, text, session, batch } of noticesOf(was, view, settings().seconds)) {
        Notification.emit(text, kind, { autoClose: kind === "warning" ? 20_000 : 8000, actions: [{ label: __("Show"), callback: () => show(session, batch) }] });
      }
    }
  });
}

export default [sessions, output, plugin, status];
