/**
 * Keeps what is typed in a view from JupyterLab's shortcuts: `d d` would delete its cell, `x` would cut it.
 *
 * JupyterLab goes from the element that has the focus upwards, to the first that carries the attribute or that a shortcut
 * is for. Many of a notebook's shortcuts are for any `:focus` in it, so the attribute is of use on that element only. It
 * stops all shortcuts there; so it is set for each key anew. JupyterLab listens on the document, the window is before it.
 */

const ATTRIBUTE = "data-lm-suppress-shortcuts";

/** With Ctrl or Cmd: save, save as, the palette, find, the side bars. These ask for no cell. */
const PASS: ReadonlySet<string> = new Set(["s", "shift+s", "shift+c", "f", "b", "j"]);

/** Keep the keys that are typed in an element; returns what ends that. */
export function keepKeys(root: HTMLElement): () => void {
  const typed = (event: KeyboardEvent): void => {
    if (!(event.target instanceof Element) || !root.contains(event.target)) return;
    const keep = !passes(event);
    for (let el: Element | null = event.target; el; el = el === root ? null : el.parentElement) el.toggleAttribute(ATTRIBUTE, keep);
  };
  window.addEventListener("keydown", typed, true);
  return () => window.removeEventListener("keydown", typed, true);
}

/** Whether a key is none of the view's, nor one that could change a cell. */
export function passes({ key, ctrlKey, metaKey, altKey, shiftKey }: Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">): boolean {
  return (ctrlKey || metaKey) && !altKey && PASS.has(`${shiftKey ? "shift+" : ""}${key.toLowerCase()}`);
}
