/** What is done in the kernel of the notebook in front: starting a session, or a cell that attaches to one. */

import { NotebookActions, type INotebookTracker, type NotebookPanel } from "@jupyterlab/notebook";
import { __ } from "../say";

const START = "%load_ext jupyter_dsage\n%dsage start";

/** The notebook in front, if it has a Python kernel. */
export function notebookOf(tracker: INotebookTracker | null): NotebookPanel | null {
  const panel = tracker?.currentWidget ?? null;
  return panel?.sessionContext.session?.kernel ? panel : null;
}

export function nameOf(panel: NotebookPanel): string {
  return panel.context.path.split("/").at(-1) ?? panel.context.path;
}

/** The name of its kernel's connection file: by that a session says whose it is. */
export function connectionOf(panel: NotebookPanel | null): string {
  return `kernel-${panel?.sessionContext.session?.kernel?.id ?? ""}.json`;
}

/** By what a notebook's session is found. */
export function frontOf(panel: NotebookPanel): { readonly path: string; readonly kernel: string } {
  const { context, sessionContext } = panel;
  return { path: context.localPath, kernel: sessionContext.session?.kernel ? connectionOf(panel) : "" };
}

/** Tell when another notebook is in front, or that one has another kernel or path. */
export function onFront(tracker: INotebookTracker | null, changed: () => void): () => void {
  let front: NotebookPanel | null = null;
  const turn = (next: NotebookPanel | null): void => {
    front?.sessionContext.kernelChanged.disconnect(changed);
    front?.context.pathChanged.disconnect(changed);
    front = next;
    front?.sessionContext.kernelChanged.connect(changed);
    front?.context.pathChanged.connect(changed);
  };
  const turned = (): void => {
    turn(tracker?.currentWidget ?? null);
    changed();
  };
  turned();
  tracker?.currentChanged.connect(turned);
  return () => {
    tracker?.currentChanged.disconnect(turned);
    turn(null);
  };
}

/** Start a session in a notebook's kernel; resolves with what it printed, rejects with what went wrong. */
export async function start(panel: NotebookPanel): Promise<string> {
  const kernel = panel.sessionContext.session?.kernel;
  if (!kernel) throw new Error(__("%1 has no kernel: start one, then try again.", nameOf(panel)));
  const printed: string[] = [];
  const future = kernel.requestExecute({ code: START, store_history: false, stop_on_error: true });
  future.onIOPub = ({ header, content }) => {
    if (header.msg_type === "stream" && "text" in content) printed.push(String(content.text));
  };
  const { content } = await future.done;
  if (content.status !== "ok") {
    const { ename, evalue } = content as { readonly ename?: string; readonly evalue?: string };
    throw new Error(ename === "ModuleNotFoundError" ? __("The kernel of %1 has no jupyter_dsage: install it where the kernel runs.", nameOf(panel)) : `${ename ?? ""}: ${evalue ?? ""}`);
  }
  return printed.join("").trim();
}

/** Put a cell that attaches to a session below the one in front, and run it: its output is the batches' views. */
export async function attach(panel: NotebookPanel, session: string): Promise<void> {
  NotebookActions.insertBelow(panel.content);
  const cell = panel.content.activeCell;
  cell?.model.sharedModel.setSource(`%load_ext jupyter_dsage\n%dsage attach ${/^[\w.-]+$/.test(session) ? session : JSON.stringify(session)}`);
  await NotebookActions.run(panel.content, panel.sessionContext);
}
