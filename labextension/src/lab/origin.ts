/** The cell that made a batch: the one in an open notebook whose output carries our MIME type with its numbers. */

import { MIME, savedOf } from "./saved";
import type { CodeCellModel } from "@jupyterlab/cells";
import type { INotebookTracker, NotebookPanel } from "@jupyterlab/notebook";

/** The way to the cell of a batch; null if no open notebook has it. `show` brings a notebook to the front. */
export function wayTo(tracker: INotebookTracker | null, show: (panel: NotebookPanel) => void, session: string, batch: number): (() => void) | null {
  let found: { readonly panel: NotebookPanel; readonly index: number } | null = null;
  tracker?.forEach((panel) => {
    if (found) return;
    const index = panel.content.widgets.findIndex(({ model }) => model.type === "code" && made(model as CodeCellModel, session, batch));
    if (index >= 0) found = { panel, index };
  });
  if (!found) return null;
  const { panel, index } = found as { readonly panel: NotebookPanel; readonly index: number };
  return () => {
    show(panel);
    panel.content.activeCellIndex = index;
    const cell = panel.content.widgets[index];
    if (cell) void panel.content.scrollToItem(index, "smart").then(() => cell.node.focus());
  };
}

function made(model: CodeCellModel, session: string, batch: number): boolean {
  for (let i = 0; i < model.outputs.length; i++) {
    const saved = savedOf(model.outputs.get(i).data[MIME]);
    if (saved?.session === session && saved.batch === batch) return true;
  }
  return false;
}
