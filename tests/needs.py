"""Parts that a newcomer's machine may lack: skip without them, or fail where they are required.

Call `needs("root")` in a test, or mark it `@pytest.mark.needs("root", "linux")` (the mark is looked at before
any fixture is set up). DSAGE_REQUIRE is `all` or a comma list of parts: one of these, missing, fails it.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.sshd import SSHD

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "firefox")


def has_node() -> bool:
    """Say whether there is a node on the PATH or, from a wheel, beside this Python."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return shutil.which("node", path=places) is not None


@functools.cache
def has_namespaces() -> bool:
    """Say whether network namespaces and TAP devices can be made here (tests/network/hosts.py)."""
    if sys.platform != "linux" or os.geteuid() or not shutil.which("ip") or not Path("/dev/net/tun").exists():
        return False
    name = f"dsage-{os.getpid()}-0-a"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)  # noqa: S607
    if made.returncode == 0:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=True)  # noqa: S607
    return made.returncode == 0


PARTS: dict[str, tuple[str, Callable[[], bool]]] = {
    "browser": (
        f"a browser on the PATH ({', '.join(BROWSERS)})",
        lambda: any(shutil.which(name) for name in BROWSERS),
    ),
    "root": ("to run as root", lambda: os.geteuid() == 0),
    "linux": ("Linux", lambda: sys.platform == "linux"),
    "sshd": (
        "OpenSSH's server and client (Debian: openssh-server, openssh-client)",
        lambda: SSHD is not None and shutil.which("ssh") is not None,
    ),
    "slurm": (
        "Slurm, munge and to run as root (Debian: slurm-wlm, munge; `make test-slurm` installs them)",
        lambda: os.geteuid() == 0 and all(map(shutil.which, ("sbatch", "slurmctld", "slurmd", "munged"))),
    ),
    "ray": (
        "Ray (pip install 'jupyter_dsage[ray]')",
        lambda: importlib.util.find_spec("ray") is not None and importlib.util.find_spec("grpc") is not None,
    ),
    "namespaces": (
        "network namespaces (Linux, root with the right to make them, iproute2's `ip`, /dev/net/tun)",
        has_namespaces,
    ),
    "view": (
        "the built view (jupyter_dsage/static/view.js, which `pip install -e .` makes)",
        (ROOT / "jupyter_dsage" / "static" / "view.js").exists,
    ),
    "node": (
        "node, and the npm packages in labextension/node_modules, which a build of the view leaves there",
        lambda: has_node() and (ROOT / "labextension" / "node_modules" / "typescript").exists(),
    ),
}


def required(part: str) -> bool:
    """Say whether DSAGE_REQUIRE names `part`."""
    words = {word.strip() for word in os.environ.get("DSAGE_REQUIRE", "").split(",")}
    return "all" in words or part in words


def needs(*parts: str) -> None:
    """Skip the running test when one of `parts` is missing; fail it when that part is required."""
    for part in parts:
        if part not in PARTS:
            pytest.fail(f"needs({part!r}): the known parts are {', '.join(PARTS)}.", pytrace=False)
        wish, present = PARTS[part]
        if present():
            continue
        if required(part):
            pytest.fail(f"This test needs {wish}, and DSAGE_REQUIRE says it must be here.", pytrace=False)
        pytest.skip(f"needs {wish}")
