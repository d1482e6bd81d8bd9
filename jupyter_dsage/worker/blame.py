"""How a worker's end is told: signal or exit code, and whether memory had run out.

The system says so in its counters of processes that it killed for want of memory: of the control group (v2
``memory.events``, v1 ``memory.oom_control``; see the kernel's cgroup documentation). Where there is none, that of the
machine (``/proc/vmstat``) makes it probable only: any process may be meant.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from jupyter_dsage import settings
from jupyter_dsage.lazy import psutil


class Memory:
    """What the system says of memory. `root`: where its file systems are mounted, for tests."""

    def __init__(self, root: str = "/") -> None:
        self._root = Path(root)
        self._group = self._find_group()
        self._kills = self.kills()
        self._killed_at = float("-inf")
        self._looked = float("-inf")

    def _find_group(self) -> Path | None:
        """Return the folder of this process's control group for memory, or None."""
        text = _text(self._root / "proc/self/cgroup")
        for line in text.splitlines():
            _, names, path = line.split(":", 2)
            if names and "memory" not in names.split(","):
                continue
            base = self._root / "sys/fs/cgroup" / ("memory" if names else "")
            for folder in (base / path.lstrip("/"), base):  # in a container the path may be that of the host
                if (folder / ("memory.oom_control" if names else "memory.events")).exists():
                    return folder
        return None

    def kills(self) -> int:
        """Return how many processes the system has killed for want of memory so far."""
        places = [self._root / "proc/vmstat"]
        if self._group is not None:
            places = [self._group / "memory.events", self._group / "memory.oom_control"]
        for place in places:
            found = re.search(r"^oom_kill (\d+)$", _text(place), re.MULTILINE)
            if found:
                return int(found[1])
        return 0

    def look(self, now: float) -> None:
        """Note when the system has killed for want of memory; called often, reads once a second. `now`: monotonic."""
        if now - self._looked < settings.STATUS_SECONDS:
            return
        self._looked = now
        self._group = self._find_group()  # it may have been put into another
        before, self._kills = self._kills, self.kills()
        if self._kills > before:
            self._killed_at = now

    def limit(self) -> int:
        """Return how many bytes there are: those of the machine, or fewer, as the control group allows."""
        total = int(psutil.virtual_memory().total)
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _text(self._group / name).strip() if self._group is not None else ""
            if text.isdecimal():
                total = min(total, int(text))
        return total

    def ending(self, status: int, peak: int, now: float) -> str:
        """Return in words how a process ended that was not killed from here.

        `status`: its wait status; `peak`: its largest resident memory, in bytes. A kill by the system explains it only
        if that was lately: a large process takes a while to die, but an old kill was another's.
        """
        words = ending(status)
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            return words
        self._looked = float("-inf")
        self.look(now)
        limit = self.limit()
        figures = f"it took {peak / 1e6:,.0f} MB of {limit / 1e6:,.0f} MB"
        lately = now - self._killed_at <= settings.KILL_SECONDS
        if lately and self._group is not None:
            return f"{words} from the system, since memory was exhausted; {figures}"
        if lately or peak > settings.SUSPICIOUS_MEMORY * limit:
            return f"{words}, probably since memory was exhausted; {figures}"
        return words


def ending(status: int) -> str:
    """Return in words how a process ended, from its wait status."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            return f"signal {number} ({signal.Signals(number).name})"
        except ValueError:
            return f"signal {number}"
    return f"exit code {os.waitstatus_to_exitcode(status)}"


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
