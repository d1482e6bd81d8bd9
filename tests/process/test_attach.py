"""Sessions outlive their kernels, and are found again: what a person does, and what comes back."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

import jupyter_dsage as dsage
from jupyter_dsage import settings
from tests.process import jobs
from tests.process.kernels import Kernel
from tests.process.scripts import Client
from tests.until import until

pytestmark = pytest.mark.usefixtures("own_sessions")

SLOW = """
%%scatter hist for x in range(60) --quiet
import time
time.sleep(0.05)
x * x
"""


def begin(kernel):
    kernel.run("%load_ext jupyter_dsage")
    kernel.run("%dsage start local:?slots=2")
    kernel.run(SLOW.strip())
    kernel.run("_ = hist[5].result()")


# --- kernels -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["politely", "by force", "killed"])
def test_kernel_restarted(how):
    with Kernel() as kernel:
        begin(kernel)
        if how == "killed":
            kernel.kill()
        else:
            kernel.restart(now=how == "by force")
        assert "Session 'default' of this notebook is alive: %dsage attach brings it back" in kernel.run(
            "%load_ext jupyter_dsage"
        )
        kernel.run("hist = 'taken'")
        told = kernel.run("%dsage attach")
        assert "hist_2 (was hist)" in told
        assert any("application/vnd.jupyter.widget-view+json" in data for data in kernel.shown)
        assert kernel.value("hist_2.results(timeout=30)") == [x * x for x in range(60)]
        assert "is here already" in kernel.run("%dsage attach")
        assert kernel.value("hist_2.add(range(3)) and len(hist_2.results(timeout=30))") == 63
        assert re.search(r"child of session default[^~]*supervisor[^~]*worker 1", kernel.run("%dsage ps"))
        assert "Over" in kernel.run("%dsage die")
        assert dsage.sessions() == []


def test_notebook_closed_and_reopened_and_a_second_notebook():
    with Kernel("/here/one.ipynb") as one:
        begin(one)
    with Kernel("/here/one.ipynb") as again, Kernel("/here/two.ipynb") as two:
        assert "%dsage attach brings it back" in again.run("%load_ext jupyter_dsage")
        assert two.run("%load_ext jupyter_dsage") == ""
        again.run("%dsage attach")
        assert "  hist: " in two.run("%dsage attach")  # the only one that lives
        assert two.value("hist.results(timeout=30)") == [x * x for x in range(60)]
        assert again.value("hist.add(range(2)) and len(hist.results(timeout=30))") == 62
        with pytest.raises(AssertionError, match="another notebook has this batch"):
            two.run("hist.add(range(2))")
        assert two.value("(hist.wait(20), len(hist))") == (True, 62)
        again.run("later = hist.session.map(abs, [-1, -2], name='later')")
        assert again.value("later.results(timeout=30)") == [1, 2]
        until(lambda: two.value("'later' in hist.session.batches"))
        assert two.value("hist.session.batches['later'].results(timeout=30)") == [1, 2]
        again.run("%dsage die")
        with pytest.raises(AssertionError, match="die: the session ends"):
            two.run("hist.session.map(abs, [1]).results(timeout=30)")  # whether it was told before or after


def test_machine_rebooted_and_nothing_alive():
    with Kernel("/here/one.ipynb") as kernel:
        begin(kernel)
        [info] = dsage.sessions()
        os.kill(info.pids[0], signal.SIGSTOP)
        kernel.kill()
        os.kill(info.pids[0], signal.SIGKILL)
        until(lambda: not any(psutil.pid_exists(pid) for pid in info.pids))
        [info] = dsage.sessions()
        assert not info.alive
        assert info.notebook == "/here/one.ipynb"
        assert "has left its journal: %dsage attach" in kernel.run("%load_ext jupyter_dsage")
        assert "not running; attach" in kernel.run("%dsage ps")
        kernel.run("%dsage attach")
        assert kernel.value("hist.results(timeout=30)") == [x * x for x in range(60)]
        kernel.run("%dsage die")


def test_headless_notebook_leaves_nothing_running_but_what_it_wants_to():
    with Kernel() as kernel:
        kernel.client.execute_interactive(
            "import jupyter_dsage as dsage; s = dsage.spawn('local:?slots=1'); t = dsage.spawn(on_kernel_exit='stay')",
            allow_stdin=False,
            timeout=60,
        )
        assert kernel.value("s.stays, t.stays") == (False, True)
        kernel.run("s.die(); t.die()")


# --- processes -----------------------------------------------------------------------------------------------


def test_generator_of_a_killed_client_ends_at_the_jobs_drawn():
    lines = """
    import itertools
    session = dsage.spawn("local:?slots=2", name="drawing", on_kernel_exit="stay")
    endless = session.map(jobs.square, itertools.count(), name="endless")
    while endless.counts["finished"] < 6:
        endless.wait(0.01)
    print(session.id)
    """
    with Client(lines) as client:
        client.kill()
    with dsage.attach("drawing") as session:
        endless = session.batches["endless"]
        assert endless.wait(20)
        assert endless.results()[:6] == [0, 1, 4, 9, 16, 25]
        assert endless.counts["finished"] == len(endless)


def test_child_leaves_when_it_is_idle_and_keeps_its_journal(tmp_path):
    gate = tmp_path / "gate"
    lines = f"""
    from jupyter_dsage import settings
    settings.IDLE_SECONDS = 0.5
    session = dsage.spawn("local:?slots=2", name="idle", on_kernel_exit="stay")
    batch = session.map(jobs.wait_for, [{str(gate)!r}], name="held")
    print(session.id, session.pid)
    """
    with Client(lines) as client:
        pid = int(client.words[1])
        assert client.end() == 0
    process = psutil.Process(pid)
    with pytest.raises(psutil.TimeoutExpired):
        process.wait(2)  # it has work
    gate.touch()
    process.wait(10)
    [info] = dsage.sessions()
    assert (info.name, info.alive, info.pids) == ("idle", False, ())
    with dsage.attach("idle") as session:
        assert session.batches["held"].results(timeout=20) == [None]


@pytest.mark.parametrize("how", ["die", None])
def test_child_that_is_to_die_with_its_kernel_does(how):
    lines = f"""
    session = dsage.spawn("local:?slots=2", on_kernel_exit={how!r})
    batch = session.map(jobs.wait_for, ["/never"])
    print(session.pid, *[worker.pid for worker in session.workers])
    """
    with Client(lines) as client:
        pids = [int(word) for word in client.words]
        client.kill()
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids), 5)


def test_two_clients_revive_a_killed_child_once(tmp_path):
    lines = f"""
    session = dsage.spawn("local:?slots=2", name="shared", on_kernel_exit="stay")
    batch = session.scatter(jobs.noted, [(({str(tmp_path)!r}, n, 0.02), {{}}) for n in range(100)], name="notes")
    batch[10].result()
    print(session.pid)
    batch.wait()
    """
    with Client(lines) as client, dsage.attach("shared") as session:
        batch = session.batches["notes"]
        told = [job.index for job in batch if job.done()]
        before = session.pid
        os.kill(before, signal.SIGKILL)
        assert batch.results(timeout=30) == list(range(100))
        assert all(jobs.starts(tmp_path, n) == 1 for n in told)
        [info] = dsage.sessions()
        assert info.pids[0] == session.pid != before
        assert client.process.poll() is None


def test_what_cannot_be_attached_says_why():
    with pytest.raises(dsage.UsageError, match="There is no session to attach to"):
        dsage.attach()
    with pytest.raises(dsage.UsageError, match="There is no session 'nobody'; there is none"):
        dsage.attach("nobody")
    with dsage.spawn("local:?slots=1", journal=False) as session, pytest.raises(dsage.UsageError, match="no session"):
        dsage.attach(session.id)
    with pytest.raises(dsage.UsageError, match="needs the journal"):
        dsage.spawn(journal=False, on_kernel_exit="stay")
    with dsage.spawn("local:?slots=1") as session:
        assert dsage.attach(session.id) is session


def test_damaged_journal_and_no_place_for_one_say_so(tmp_path, monkeypatch):
    with Client(
        "session = dsage.spawn('local:?slots=1', name='bad', on_kernel_exit='stay'); print(session.id)"
    ) as client:
        [info] = dsage.sessions()
        os.kill(info.pids[0], signal.SIGSTOP)
        client.kill()
        os.kill(info.pids[0], signal.SIGKILL)
    until(lambda: not dsage.sessions()[0].alive)
    for path in Path(info.folder).glob("journal.db*"):
        path.write_bytes(b"this is no journal" * 1000)
    with pytest.raises(dsage.StartError, match=f"journal in {info.folder} cannot be opened: file is not a database"):
        dsage.attach("bad")
    (tmp_path / "file").touch()
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "file"))
    with pytest.raises(dsage.StartError, match=r"no place for the session's journal: .*journal=False"):
        dsage.spawn("local:?slots=1")
    with dsage.spawn("local:?slots=1", journal=False) as session:
        assert session.map(jobs.square, [2]).results(timeout=20) == [4]
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))


def test_old_journals_go_and_living_ones_stay(monkeypatch):
    monkeypatch.setattr(settings, "JOURNAL_DAYS", 1e-9)
    from jupyter_dsage.store.sessions import sweep

    with dsage.spawn("local:?slots=1", name="living") as session:
        session.map(jobs.square, [1]).wait(20)
        with Client("session = dsage.spawn('local:?slots=1', on_kernel_exit='stay'); print(session.id)") as client:
            pid = next(info.pids[0] for info in dsage.sessions() if info.id == client.words[0])
            os.kill(pid, signal.SIGSTOP)
            client.kill()
            os.kill(pid, signal.SIGKILL)
        until(lambda: [info.alive for info in dsage.sessions()] == [True, False])
        assert sweep() == client.words
        assert [info.name for info in dsage.sessions()] == ["living"]
        assert session.map(jobs.square, [2]).results(timeout=20) == [4]


# --- the command line ----------------------------------------------------------------------------------------


def jupyter_dsage(*words):
    command = [sys.executable, "-m", "jupyter_dsage.cli", *words]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2]
    )
    return done.returncode, done.stdout, done.stderr


def test_all_are_ended_though_one_ends_by_itself_meanwhile():
    from jupyter_dsage.client import orders

    for _ in range(5):
        made = [dsage.spawn("local:?slots=1") for _ in range(2)]
        ending = [threading.Thread(target=session.die) for session in made]
        for thread in ending:
            thread.start()
        orders.die(None, everything=True)
        for thread in ending:
            thread.join()
        assert dsage.sessions() == []


def test_verbs_on_the_command_line(tmp_path):
    assert jupyter_dsage("ps") == (0, "There is no session, and no journal of one.\n", "")
    assert jupyter_dsage("status") == (2, "", "Which session? There is none: say --session NAME.\n")
    lines = f"""
    session = dsage.spawn("local:?slots=1", name="cli", on_kernel_exit="stay")
    batch = session.map(jobs.wait_for, [{str(tmp_path / "gate")!r}] * 5, name="held")
    print(session.pid)
    """
    with Client(lines) as client:
        client.end()
    assert f"child {client.words[0]}" in jupyter_dsage("status")[1]
    assert jupyter_dsage("pause", "held") == (0, "pause: held.\n", "")
    assert "There is no batch 'other'; there is held." in jupyter_dsage("pause", "other")[2]
    assert jupyter_dsage("cancel", "--session", "cli") == (0, "cancel: held.\n", "")
    assert re.search(r"held +5 +0 +0 +0 +0 +5", jupyter_dsage("status")[1])
    assert "are being replaced" in jupyter_dsage("refresh")[1]
    assert "engine local: 1 slots" in jupyter_dsage("log")[1]
    assert "child of session cli" in jupyter_dsage("ps")[1]
    assert jupyter_dsage("die")[0] == 0
    assert jupyter_dsage("die", "--all") == (0, "There is no session.\n", "")
