"""Where this process is: the kernel and the notebook by which its sessions are found again (design, end of 5)."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from jupyter_dsage.process_identity import own_start
from jupyter_dsage.store.holders import Holder


def kernel() -> str:
    """Return the name of this kernel's connection file, which a restart keeps; empty where there is no kernel.

    Servers give each kernel a name of its own, ``kernel-….json``; of any other name it is the whole path.
    """
    loaded: Any = sys.modules.get("ipykernel.kernelapp")  # not imported: it is there where there is a kernel
    if loaded is None or not loaded.IPKernelApp.initialized():
        return ""
    path = Path(str(loaded.IPKernelApp.instance().abs_connection_file))
    return path.name if path.name.startswith("kernel-") else str(path)


def notebook() -> str:
    """Return the path of the notebook whose kernel this is, as the server says it; empty where it says nothing."""
    return os.environ.get("JPY_SESSION_NAME", "")


def here() -> Holder:
    """Return this process as one that has a session."""
    return Holder(os.getpid(), own_start(), kernel(), notebook())


def looked_at() -> bool:
    """Tell whether there is a front end: nbclient and papermill forbid questions on stdin, and front ends do not.

    What those two save is read later, and a widget that they store hides our HTML: `nbconvert --to html` of it is empty
    without a network; and nobody comes back to a session of theirs. Voilà forbids questions too, but shows widgets.
    """
    loaded: Any = sys.modules.get("IPython")
    shell = loaded.get_ipython() if loaded is not None else None
    kernel = getattr(shell, "kernel", None)
    return kernel is not None and (getattr(kernel, "_allow_stdin", True) or "VOILA_KERNEL_ID" in os.environ)
