/** Light or dark, as the place around says it: JupyterLab, VS Code, Colab, else the system. */

const SYSTEM = "(prefers-color-scheme: dark)";
const MORE = "(prefers-contrast: more)";

function isDark(doc: Document): boolean {
  const { body, documentElement: html } = doc;
  const lab = body.dataset["jpThemeLight"];
  if (lab !== undefined) return lab === "false";
  const code = body.dataset["vscodeThemeKind"];
  if (code !== undefined) return code.includes("dark") || code === "vscode-high-contrast";
  const said = html.getAttribute("theme") ?? html.dataset["theme"];
  return said ? said === "dark" : matchMedia(SYSTEM).matches;
}

/** Whether the place or the person asks for high contrast. */
function isStark(doc: Document): boolean {
  const { jpThemeName, vscodeThemeKind } = doc.body.dataset;
  return /contrast/i.test(`${jpThemeName ?? ""} ${vscodeThemeKind ?? ""}`) || matchMedia(MORE).matches;
}

/** Keep `data-theme` and `data-contrast` of an element right and tell when it, or a variable of Lab's, may have changed. */
export function follow(el: HTMLElement, changed: () => void): () => void {
  const doc = el.ownerDocument;
  const look = (): void => {
    el.dataset["theme"] = isDark(doc) ? "dark" : "light";
    if (isStark(doc)) el.dataset["contrast"] = "high";
    else delete el.dataset["contrast"];
    changed();
  };
  const observer = new MutationObserver(look);
  const attributeFilter = ["data-jp-theme-light", "data-jp-theme-name", "data-vscode-theme-kind", "theme", "data-theme"];
  for (const node of [doc.body, doc.documentElement]) observer.observe(node, { attributes: true, attributeFilter });
  const media = [matchMedia(SYSTEM), matchMedia(MORE)];
  for (const query of media) query.addEventListener("change", look);
  look();
  return () => {
    observer.disconnect();
    for (const query of media) query.removeEventListener("change", look);
  };
}

/** The colours that a canvas draws with, read from the style sheet. */
export function colours(el: HTMLElement): (name: string) => string {
  const style = getComputedStyle(el);
  return (name) => style.getPropertyValue(`--dsage-${name}`).trim() || "#888";
}
