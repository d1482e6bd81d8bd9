"""What is said of a worker's end: a folder stands for the system, with files as the kernel writes them."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from jupyter_dsage import settings
from jupyter_dsage.worker.blame import Memory, ending

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 500_000_000
V1 = ("4:memory:/jobs\n0::/\n", "memory/jobs", "memory.oom_control", "memory.limit_in_bytes")
V2 = ("0::/user.slice/jobs\n", "user.slice/jobs", "memory.events", "memory.max")


class System:
    """A folder that looks like ``/``, as far as memory goes."""

    def __init__(self, root: Path, version: tuple[str, str, str, str]) -> None:
        self.root = root
        text, group, self._events, limit = version
        self.write("proc/self/cgroup", text)
        self.write("proc/vmstat", "pgfault 12\noom_kill 40\n")
        self._group = f"sys/fs/cgroup/{group}"
        self.write(f"{self._group}/{limit}", f"{LIMIT}\n")
        self.kills(3)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def kills(self, count: int) -> None:
        self.write(f"{self._group}/{self._events}", f"low 0\nunder_oom 0\noom 9\noom_kill {count}\n")


@pytest.fixture(params=[V1, V2], ids=["version 1", "version 2"])
def system(request: pytest.FixtureRequest, tmp_path: Path) -> System:
    return System(tmp_path, request.param)


def test_a_kill_by_the_system_is_called_so(system: System) -> None:
    memory = Memory(str(system.root))
    memory.look(100.0)
    system.kills(4)
    text = memory.ending(signal.SIGKILL, 480_000_000, 100.2)
    assert text == "signal 9 (SIGKILL) from the system, since memory was exhausted; it took 480 MB of 500 MB"


def test_also_if_it_was_seen_before_the_worker_had_ended(system: System) -> None:
    memory = Memory(str(system.root))
    memory.look(100.0)
    system.kills(4)
    memory.look(102.0)
    assert "memory was exhausted" in memory.ending(signal.SIGKILL, 1, 104.0)


def test_a_kill_of_long_ago_was_not_of_this_worker(system: System) -> None:
    memory = Memory(str(system.root))
    memory.look(100.0)
    system.kills(4)
    memory.look(102.0)
    assert memory.ending(signal.SIGKILL, 1, 102.0 + settings.KILL_SECONDS + 1) == "signal 9 (SIGKILL)"


def test_without_it_much_memory_is_probable_only(system: System) -> None:
    memory = Memory(str(system.root))
    assert memory.ending(signal.SIGKILL, 260_000_000, 1.0) == (
        "signal 9 (SIGKILL), probably since memory was exhausted; it took 260 MB of 500 MB"
    )
    assert memory.ending(signal.SIGKILL, 240_000_000, 1.0) == "signal 9 (SIGKILL)"


def test_where_there_is_no_control_group_the_machines_count_makes_it_probable(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/vmstat").write_text("oom_kill 40\n")
    memory = Memory(str(tmp_path))
    memory.look(1.0)
    (tmp_path / "proc/vmstat").write_text("oom_kill 41\n")
    assert ", probably since memory was exhausted" in memory.ending(signal.SIGKILL, 1, 2.0)


def test_a_system_that_says_nothing_leaves_the_signal(tmp_path: Path) -> None:
    assert Memory(str(tmp_path)).ending(signal.SIGKILL, 1, 1.0) == "signal 9 (SIGKILL)"


def test_no_other_end_is_put_down_to_memory(system: System) -> None:
    memory = Memory(str(system.root))
    memory.look(100.0)
    system.kills(4)
    assert memory.ending(signal.SIGSEGV, LIMIT, 100.2) == "signal 11 (SIGSEGV)"
    assert memory.ending(3 << 8, LIMIT, 100.2) == "exit code 3"


def test_signals_without_a_name_have_their_number() -> None:
    assert ending(50) == "signal 50"


def test_in_a_container_the_group_is_what_is_mounted(tmp_path: Path) -> None:
    system = System(tmp_path, ("0::/docker/0123\n", "", "memory.events", "memory.max"))
    memory = Memory(str(tmp_path))
    memory.look(1.0)
    system.kills(4)
    assert "from the system" in memory.ending(signal.SIGKILL, 1, 1.5)
