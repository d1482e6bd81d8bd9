"""Where this process is: the kernel and the notebook by which its sessions are found again (design, end of 5)."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def kernel() -> str:
    """Return the name of this kernel's connection file, which a restart keeps; empty where there is no kernel."""
    if "ipykernel.kernelapp" not in sys.modules:
        return ""
    from ipykernel.kernelapp import IPKernelApp

    if not IPKernelApp.initialized():
        return ""
    return Path(str(IPKernelApp.instance().connection_file)).name


def notebook() -> str:
    """Return the path of the notebook whose kernel this is, as the server says it; empty where it says nothing."""
    return os.environ.get("JPY_SESSION_NAME", "")
