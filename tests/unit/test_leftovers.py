"""The check that nothing is left must itself be able to fail."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil
import pytest

from tests.leftovers import MARK, SHM, Watch
from tests.needs import needs

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]

# Starts a sleeping process in a session of its own and leaves: the sleeper hangs under another parent. It
# must not hold the pipes we read from (-3 is DEVNULL).
ORPHAN = f"import subprocess; print(subprocess.Popen({SLEEP!r}, start_new_session=True, stdout=-3, stderr=-3).pid)"

LEAKY_TESTS = """
import subprocess, sys, threading

def test_clean():
    subprocess.run([sys.executable, "-c", ""], check=True)
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()

def test_leaves_a_child():
    global child
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])

def test_after_it_is_clean():
    child.wait()
"""


def test_a_quiet_test_leaves_nothing():
    watch = Watch()
    subprocess.run([sys.executable, "-c", ""], check=True)
    assert watch.wait() == []


def test_a_left_child_is_named_and_killed():
    watch = Watch()
    with subprocess.Popen(SLEEP) as child:
        (line,) = watch.wait(patience=0)
        assert f"process {child.pid} " in line
        assert "time.sleep(60)" in line
        watch.clean()
    assert watch.wait() == []


def test_an_orphan_is_found_by_its_mark(monkeypatch):
    watch = Watch()
    monkeypatch.setenv(MARK, watch.mark)
    said = subprocess.run([sys.executable, "-c", ORPHAN], check=True, capture_output=True, text=True)
    orphan = psutil.Process(int(said.stdout))
    (line,) = watch.wait(patience=0)
    assert f"process {orphan.pid} " in line
    watch.clean()
    assert watch.processes() == set()
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE


def test_a_process_that_was_there_before_is_not_blamed():
    with subprocess.Popen(SLEEP) as child:
        assert Watch().wait(patience=0) == []
        child.kill()


def test_a_left_thread_is_named():
    watch = Watch()
    go = threading.Event()
    thread = threading.Thread(target=go.wait, name="left behind")
    thread.start()
    assert watch.wait(patience=0) == ["thread 'left behind'"]
    go.set()
    thread.join()
    assert watch.wait() == []


def test_waiting_ends_when_the_thing_vanishes():
    watch = Watch()
    timer = threading.Timer(0.1, int)
    timer.start()
    assert watch.wait(patience=60) == []


def test_a_left_descriptor_is_named():
    watch = Watch()
    reader, writer = os.pipe()
    left = watch.wait(patience=0)
    assert len(left) == 2
    assert all(line.startswith("descriptor ") for line in left)
    os.close(reader)
    os.close(writer)
    assert watch.wait() == []


@pytest.mark.parametrize("variable", [None, "XDG_RUNTIME_DIR"])
def test_a_left_folder_is_named_and_removed(variable, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    root = tmp_path
    if variable:
        root = tmp_path / "run"
        root.mkdir()
        monkeypatch.setenv(variable, str(root))
    watch = Watch()
    folder = Path(tempfile.mkdtemp(prefix="dsage-", dir=root))
    (folder / "socket").touch()
    assert watch.wait(patience=0) == [f"file {folder}"]
    watch.clean()
    assert not folder.exists()


def test_a_left_segment_is_named_and_removed():
    needs("linux")
    watch = Watch()
    segment = SHM / f"dsage-test-{watch.mark}"
    segment.touch()
    assert watch.wait(patience=0) == [f"file {segment}"]
    watch.clean()
    assert not segment.exists()


INNER_CONFTEST = """
from pathlib import Path

import tests.conftest
from tests.conftest import nothing_left

tests.conftest.PATIENCE = 0.2
tests.conftest.REAL_TESTS = [Path(__file__).parent / "process"]
"""


def test_the_fixture_blames_the_leaky_test_and_no_other(tmp_path):
    (tmp_path / "process").mkdir()
    (tmp_path / "conftest.py").write_text(INNER_CONFTEST)
    (tmp_path / "process" / "test_leaky.py").write_text(LEAKY_TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": path}
    run = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert "3 passed, 1 error" in run.stdout
    assert "ERROR process/test_leaky.py::test_leaves_a_child" in run.stdout
    assert "0.2 s after the test this is left:" in run.stdout
    assert "time.sleep(60)" in run.stdout
