"""How many cores this process may use: as its affinity and the CPU quotas of its control groups say."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def cores(groups: Path = _GROUPS, own: Path = _OWN) -> int:
    """Return the number of cores to use, at least 1.

    A container that may use 150 % of a core of a machine with 64 has 2: its quota, rounded up. `groups`: where control
    groups are mounted; `own`: which of them this process is in. Of all groups around it the narrowest counts.
    """
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [math.ceil(quota) for quota in _quotas(groups, own)]
    return max(1, min([there, *quotas]))


def _quotas(groups: Path, own: Path) -> Iterator[float]:
    """Yield the quotas, in cores, that are set for this process."""
    for mounted, path in _memberships(groups, own):
        for folder in (path, *path.parents):  # in a container the path may be that of the host, which is not there
            here = mounted / folder.relative_to("/")
            with contextlib.suppress(OSError, ValueError):
                quota, period = (here / "cpu.max").read_text().split()  # version 2
                if quota != "max":
                    yield int(quota) / int(period)
            with contextlib.suppress(OSError, ValueError):
                quota, period = ((here / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
                if int(quota) > 0:
                    yield int(quota) / int(period)


def _memberships(groups: Path, own: Path) -> Iterator[tuple[Path, Path]]:
    """Yield where each hierarchy that knows of cores is mounted, and this process's group in it."""
    try:
        lines = own.read_text().splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not path.startswith("/") or ".." in Path(path).parts:
            path = "/"  # outside of what this process sees
        if number == "0":
            yield groups, Path(path)
            yield groups / "unified", Path(path)
        elif "cpu" in controllers.split(","):
            yield groups / controllers, Path(path)
            yield groups / "cpu", Path(path)
