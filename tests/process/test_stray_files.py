"""What other users, other programs and crashes leave where sessions are found harms no session and hides none."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

import jupyter_dsage as dsage
from jupyter_dsage.net.runtime import runtime_folder
from jupyter_dsage.store import sessions as stored
from tests.process import jobs
from tests.process.scripts import ROOT

QUICK = 3.0  # seconds: without a stray file it takes less than one

STRAYS = {
    "a FIFO": os.mkfifo,
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a dangling link": lambda path: path.symlink_to("/nowhere/at/all"),
    "a folder": Path.mkdir,
    "a negative pid": lambda path: path.write_text('{"pid": -1, "started": 1.0}'),
    "a pid of all": lambda path: path.write_text('{"pid": 0, "started": "1@x"}'),
    "a huge pid": lambda path: path.write_text(f'{{"pid": {2**63}, "started": 1.0}}'),
    "deep JSON": lambda path: path.write_text("[" * 1_000_000),
    "much": lambda path: path.write_bytes(b" " * 5_000_000 + b'{"pid": 1, "started": 1.0}'),
}


@pytest.fixture(autouse=True)
def own_data(tmp_path, monkeypatch, nothing_left):  # noqa: ARG001  (what is left is looked for after this)
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))


def give_to_nobody(path):
    """Make a folder and what is in it another user's, if this test may."""
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        for each in (path, *path.iterdir()):
            os.chown(each, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)


def jupyter_dsage(*words):
    command = [sys.executable, "-m", "jupyter_dsage.cli", *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20, cwd=ROOT)
    return done.returncode, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("foreign", [True, False], ids=["another user's", "own"])
@pytest.mark.parametrize("name", ["connection.json", "maker.json"])
def test_stray_runtime_folders_hold_nobody_up_and_stay(name, foreign):
    made = {}
    try:
        for number, (what, stray) in enumerate(STRAYS.items()):
            made[what] = folder = Path(runtime_folder()) / f"dsage-evil{number}"
            folder.mkdir(0o755)
            stray(folder / name)
            if foreign:
                give_to_nobody(folder)
        begun = time.monotonic()
        with dsage.spawn("local:?slots=1") as session:
            assert session.map(jobs.square, [3]).results(timeout=20) == [9]
        assert time.monotonic() - begun < QUICK
        gone = {what for what, folder in made.items() if not os.path.lexists(folder / name)}
        assert gone <= (set() if foreign else {what for what in STRAYS if "pid" in what})
    finally:
        for folder in made.values():
            shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_another_users_fifo_does_not_hold_the_command_line_up():
    folder = Path(runtime_folder()) / "dsage-evil"
    folder.mkdir(0o755)
    try:
        os.mkfifo(folder / "connection.json")
        give_to_nobody(folder)
        assert jupyter_dsage("die", "--all") == (0, "There is no session.\n")
    finally:
        shutil.rmtree(folder)


def put_strays(folder):
    """Put into the folder of all sessions what may come to lie there, two days ago."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dangling").symlink_to("/nowhere/at/all")
    (folder / ".DS_Store").write_bytes(b"\0" * 100)
    os.mkfifo(folder / "fifo")
    for name, make in STRAYS.items():
        inside = folder / name.replace(" ", "-")
        inside.mkdir(0o700)
        make(inside / "session.json")
    ago = time.time() - 2 * 86400
    for each in folder.iterdir():
        os.utime(each, (ago, ago), follow_symlinks=False)
    return set(folder.iterdir())


def test_stray_things_among_the_sessions_stop_nothing_and_hide_nothing(tmp_path, child_log):
    strays = put_strays(tmp_path / "jupyter" / "dsage" / "sessions")
    with child_log.open("w") as log, dsage.spawn("local:?slots=1", name="here", log=log) as session:
        assert session.map(jobs.square, [3]).results(timeout=20) == [9]
        assert [info.name for info in dsage.sessions()] == ["here"]
        assert dsage.attach("here") is session
        assert "defect" not in child_log.read_text()
    assert set((tmp_path / "jupyter" / "dsage" / "sessions").iterdir()) == strays
    assert dsage.sessions() == []


def test_a_record_that_names_others_folders_removes_none(tmp_path, monkeypatch):
    precious = tmp_path / "precious"
    precious.mkdir()
    with dsage.spawn("local:?slots=1", name="model"):
        [record] = stored.records()
    forged = tmp_path / "jupyter" / "dsage" / "sessions" / "0badc0de"
    forged.mkdir(0o700)
    setup = msgspec.structs.replace(record.setup, folder=str(precious), store=str(precious))
    forged_record = msgspec.structs.replace(record, id="0badc0de", setup=setup, created=1.0)
    (forged / "session.json").write_bytes(msgspec.json.encode(forged_record))
    os.utime(forged / "session.json", (1.0, 1.0))
    monkeypatch.setattr("jupyter_dsage.settings.JOURNAL_DAYS", 1)
    stored.sweep()
    assert (precious.is_dir(), forged.exists()) == (True, False)


@pytest.mark.parametrize("before", [False, True], ids=["new", "left open by an older version"])
def test_folders_are_closed_to_others_whatever_the_umask(tmp_path, before):
    data = tmp_path / "new" / "jupyter"
    if before:
        (data / "dsage" / "sessions").mkdir(parents=True)
        for path in (data / "dsage", data / "dsage" / "sessions"):
            path.chmod(0o777)
    lines = """
import os, pathlib
os.umask(0)
import jupyter_dsage as dsage
from jupyter_dsage.net.keys import Keys
Keys().client()
with dsage.spawn("local:?slots=1") as session:
    session.submit(print, "x" * 20_000).result(20)
    places = [pathlib.Path(os.environ["JUPYTER_DATA_DIR"]), pathlib.Path(session._started.folder)]
    for place in places:
        for path in (place, *place.rglob("*")):
            if not path.is_socket() and path.lstat().st_mode & 0o077:
                print(path, oct(path.lstat().st_mode))
"""
    done = subprocess.run(
        [sys.executable, "-c", lines],
        env=os.environ | {"JUPYTER_DATA_DIR": str(data)},
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    open_ones = done.stdout.split("\n")
    assert [line for line in open_ones if line and not (before and str(data) + " " in line)] == []
    assert stat.S_IMODE((data / "dsage").stat().st_mode) == 0o700
