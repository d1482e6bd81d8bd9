/** The example notebook, which the extension carries in itself: written beside what the person works on, then opened. */

import notebook from "../../../notebooks/01_scatter_gather.ipynb";
import type { JupyterFrontEnd } from "@jupyterlab/application";

const NAME = "scatter_gather.ipynb";

/** Open the example; one that is there already is opened as it is. */
export async function openExample({ commands, serviceManager: { contents } }: JupyterFrontEnd): Promise<void> {
  const there = await contents.get(NAME, { content: false }).then(() => true, () => false);
  if (!there) await contents.save(NAME, { type: "notebook", format: "json", content: JSON.parse(notebook) as object });
  await commands.execute("docmanager:open", { path: NAME });
}
