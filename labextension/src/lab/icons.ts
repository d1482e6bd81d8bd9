/** Our icon: jobs done, one that runs, some that wait. Its colour follows the theme by JupyterLab's own class. */

import { LabIcon } from "@jupyterlab/ui-components";
import svgstr from "./icon.svg";

export const jobsIcon = new LabIcon({ name: "jupyter_dsage:jobs", svgstr });
