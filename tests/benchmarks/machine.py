"""Where the suite ran: what a reader needs to know to compare the figures with others."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from pathlib import Path

import psutil


def machine() -> dict[str, str]:
    """Return what there is to say of this machine, in words."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "journals on": _file_system(Path(tempfile.gettempdir())),
        "load before": f"{os.getloadavg()[0]:.2f} (others' work is in the figures)",
    }


def _file_system(folder: Path) -> str:
    """Return what kind of file system a folder lies on."""
    holds = [part for part in psutil.disk_partitions(all=True) if folder.is_relative_to(part.mountpoint)]
    return max(holds, key=lambda part: len(part.mountpoint)).fstype if holds else "unknown"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
