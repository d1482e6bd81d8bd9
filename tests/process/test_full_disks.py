"""Small disks that are full: at the start of a session, and under what jobs print."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

import jupyter_dsage as dsage
from tests.process import jobs

pytestmark = pytest.mark.needs("root", "linux")
MOUNT, UMOUNT = (shutil.which(name) or name for name in ("mount", "umount"))
LOUD = 3_000_000


@contextlib.contextmanager
def disk(folder, size):
    subprocess.run([MOUNT, "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run([UMOUNT, "--lazy", str(folder)], check=True)


def fill_up(folder):
    with (folder / "fill").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.mark.parametrize("name", ["JUPYTER_DATA_DIR", "XDG_RUNTIME_DIR"])
@pytest.mark.parametrize("room", [0, 16_384, 65_536])
def test_a_session_that_has_no_room_to_start_says_where_and_leaves_nothing(monkeypatch, name, room):
    folder = Path(tempfile.mkdtemp(prefix="dt-", dir="/tmp"))
    with disk(folder, "1m"):
        monkeypatch.setenv(name, str(folder))
        if name == "JUPYTER_DATA_DIR":
            (folder / "dsage" / "sessions").mkdir(mode=0o700, parents=True)
        fill_up(folder)
        if room:
            os.truncate(folder / "fill", (folder / "fill").stat().st_size - room)
        before = sorted(folder.rglob("*"))
        try:
            with dsage.spawn("local:?slots=1") as session:
                assert session.map(jobs.square, [3]).results(timeout=20) == [9]
        except (dsage.StartError, dsage.StorageFull) as error:  # it may have room to start, and none for a job
            assert str(folder) in str(error)  # noqa: PT017  (where there is room enough, all is well)
            assert sorted(folder.rglob("*")) == before
        else:
            assert room
    folder.rmdir()


def say_and_stay(path, size):
    """Print so much, and stay until there is a file."""
    print("x" * size, flush=True)
    jobs.wait_for(path)
    return size


def test_a_loud_job_on_a_small_disk_does_not_fail_what_its_neighbours_print(monkeypatch, tmp_path):
    folder = Path(tempfile.mkdtemp(prefix="dt-", dir="/tmp"))
    with disk(folder, "1m"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        with dsage.spawn("local:?slots=2") as session:
            loud = session.scatter(say_and_stay, [((str(tmp_path / "gate"), LOUD), {})])
            quiet = session.map(lambda n: print("quiet", n) or n, range(200))
            assert quiet.results(timeout=20) == list(range(200))
            (tmp_path / "gate").touch()
            assert loud.results(timeout=20) == [LOUD]
            assert "were not written: No space left" in loud[0].output
            assert session.map(lambda n: print("after", n) or n, range(5)).results(timeout=20) == list(range(5))
        assert os.listdir(folder) == []  # noqa: PTH208
    folder.rmdir()
