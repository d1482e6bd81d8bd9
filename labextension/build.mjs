/**
 * Bundles what `src/` holds with esbuild; package.json's scripts call it: `node build.mjs view`, `lab`, `dev`, `watch`.
 *
 * Style sheets, icons and the example notebook go into the bundles as strings, the first and the last made small.
 * For `lab` jupyter-builder then wraps the bundle into what JupyterLab loads.
 */

import { readFile } from "node:fs/promises";
import { build, context, transform } from "esbuild";

const strings = {
  name: "strings",
  setup({ onLoad }) {
    onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(await readFile(path, "utf8"), { loader: "css", minify: true, charset: "utf8" });
      return { contents: code.trim(), loader: "text" };
    });
    onLoad({ filter: /\.ipynb$/ }, async ({ path }) => ({ contents: JSON.stringify(JSON.parse(await readFile(path, "utf8"))), loader: "text" }));
    onLoad({ filter: /\.svg$/ }, async ({ path }) => ({ contents: (await readFile(path, "utf8")).replace(/\s*\n\s*/g, " ").trim(), loader: "text" }));
  },
};
const common = { bundle: true, format: "esm", target: "es2022", charset: "utf8", legalComments: "none", plugins: [strings], logLevel: "info" };
const view = { ...common, entryPoints: ["src/index.ts"], outfile: "../jupyter_dsage/static/view.js" };
const lab = { ...common, entryPoints: ["src/lab/index.ts"], packages: "external", outfile: "lib/lab.js" };
const dev = { ...common, entryPoints: ["dev/page.ts", "dev/panel.ts"], outdir: "lib/dev" };

switch (process.argv[2]) {
  case "view":
    await build({ ...view, minify: true });
    break;
  case "lab":
    await build({ ...lab, minify: true });
    break;
  case "dev": {
    const { hosts, port } = await (await context(dev)).serve({ servedir: "." });
    console.log(`${hosts[0]}:${port}, in /dev/ and /dev/panel.html`);
    break;
  }
  case "watch":
    await (await context({ ...view, sourcemap: "inline" })).watch();
    break;
  default:
    throw new Error(`node build.mjs view|lab|dev|watch, not '${process.argv[2] ?? ""}'`);
}
