/** What can be done from the palette and the menus. Where a session is meant, it is the one of the notebook in front. */

import { Dialog, InputDialog, Notification, showDialog } from "@jupyterlab/apputils";
import { sessionOf, whose } from "../panel/whose";
import { __ } from "../say";
import { openExample } from "./example";
import { jobsIcon } from "./icons";
import { attach, frontOf, nameOf, notebookOf, start } from "./kernel";
import type { JupyterFrontEnd } from "@jupyterlab/application";
import type { INotebookTracker } from "@jupyterlab/notebook";
import type { Row } from "../panel/types";
import type { SessionStore } from "./sessions";

export const COMMANDS = {
  open: "jupyter-dsage:open",
  start: "jupyter-dsage:start",
  attach: "jupyter-dsage:attach",
  refresh: "jupyter-dsage:refresh",
  pause: "jupyter-dsage:pause-all",
  kill: "jupyter-dsage:kill",
  example: "jupyter-dsage:example",
} as const;

export interface Doing {
  readonly app: JupyterFrontEnd;
  readonly tracker: INotebookTracker | null;
  readonly sessions: SessionStore;
  /** Show the panel. */
  open(): void;
}

/** Start a session in the kernel of the notebook in front, and say how that went. */
export async function startHere({ tracker, sessions, open }: Doing): Promise<void> {
  const panel = notebookOf(tracker);
  if (!panel) return;
  const said = start(panel);
  Notification.promise(said, {
    pending: { message: __("Starting a session in %1…", nameOf(panel)) },
    success: { message: (text) => String(text) || __("The session runs."), options: { autoClose: 5000 } },
    error: { message: (error) => (error instanceof Error ? error.message : String(error)) },
  });
  await said.catch(() => undefined); // the notification says what went wrong
  await sessions.reload();
  open();
}

export function addCommands(doing: Doing): void {
  const { app, tracker, sessions, open } = doing;
  const { commands } = app;
  const hasNotebook = (): boolean => notebookOf(tracker) !== null;
  const alive = (): readonly Row[] => sessions.rows?.filter((row) => row.alive) ?? [];

  commands.addCommand(COMMANDS.open, { label: () => __("Show the Panel of Jobs"), icon: jobsIcon, execute: open });
  commands.addCommand(COMMANDS.start, {
    label: () => __("Start a Session of Workers"),
    caption: () => __("Start a session of jupyter_dsage in this notebook's kernel"),
    isEnabled: hasNotebook,
    execute: () => startHere(doing),
  });
  commands.addCommand(COMMANDS.attach, {
    label: () => __("Attach to a Session…"),
    caption: () => __("Add a cell that brings a session's batches into this notebook"),
    isEnabled: () => hasNotebook() && (sessions.rows?.length ?? 0) > 0,
    execute: async () => {
      const panel = notebookOf(tracker);
      const row = await pick(__("Attach to a session"), sessions.rows ?? []);
      if (panel && row) await attach(panel, row.id);
    },
  });
  commands.addCommand(COMMANDS.refresh, {
    label: () => __("Refresh Workers"),
    caption: () => __("Replace dead workers, restart idle ones so that edited modules are read anew"),
    isEnabled: () => alive().length > 0,
    execute: () => orderOne(__("Refresh the workers of a session"), "refresh"),
  });
  commands.addCommand(COMMANDS.pause, {
    label: () => __("Pause All Batches of Every Session"),
    caption: () => __("Start no more jobs in any session; those that run go on"),
    isEnabled: () => alive().length > 0,
    execute: async () => {
      for (const row of alive()) await tell(sessions.order(row.id, { op: "pause" }));
    },
  });
  commands.addCommand(COMMANDS.kill, {
    label: () => __("Kill a Session's Child…"),
    caption: () => __("End a session: the child and every worker it started"),
    isEnabled: () => alive().length > 0,
    execute: async () => {
      const row = mine() ?? (await pick(__("Kill a session's child"), alive()));
      if (!row) return;
      const { button } = await showDialog({
        title: __("Kill the child of %1?", whose(row, Date.now() / 1000)),
        body: __("Its workers end with it, and its journal goes: what no notebook has read is lost."),
        buttons: [Dialog.cancelButton({ label: __("Keep it") }), Dialog.warnButton({ label: __("Kill child") })],
        defaultButton: 0,
      });
      if (button.accept) await tell(sessions.order(row.id, { op: "die" }));
    },
  });
  commands.addCommand(COMMANDS.example, { label: () => __("Scatter/Gather Example Notebook"), icon: jobsIcon, execute: () => openExample(app) });

  /** The session of the notebook in front. */
  function mine(): Row | null {
    const panel = tracker?.currentWidget;
    return panel ? sessionOf(alive(), frontOf(panel)) : null;
  }
  async function orderOne(question: string, op: "refresh"): Promise<void> {
    const row = mine() ?? (await pick(question, alive(), true));
    if (row) await tell(sessions.order(row.id, { op }));
  }
}

/** Ask which session is meant; with one there is nothing to ask, unless it could be another notebook's (`always`). */
async function pick(question: string, rows: readonly Row[], always = false): Promise<Row | null> {
  if (rows.length < 2 && !always) return rows[0] ?? null;
  const items = rows.map((row) => `${whose(row, Date.now() / 1000)} (${row.name}, ${row.id})`);
  const { value } = await InputDialog.getItem({ title: question, items });
  return rows[items.indexOf(value ?? "")] ?? null;
}

async function tell(answer: Promise<string>): Promise<void> {
  try {
    Notification.success(await answer, { autoClose: 5000 });
  } catch (error) {
    Notification.error(error instanceof Error ? error.message : String(error));
  }
}
