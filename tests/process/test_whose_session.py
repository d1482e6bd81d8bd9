"""Whose session it is: a name that could mean several is refused with a list, and another's work ends only by force."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import jupyter_dsage as dsage
from jupyter_dsage.store import sessions as stored
from tests.process import jobs
from tests.process.kernels import Kernel
from tests.process.scripts import ROOT, Client
from tests.until import until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_sessions")]


def jupyter_dsage(*words):
    command = [sys.executable, "-m", "jupyter_dsage.cli", *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd=ROOT)
    return done.returncode, done.stdout, done.stderr


def begin(kernel):
    """Start a session under the name that all have."""
    kernel.run("%load_ext jupyter_dsage")
    kernel.run("%dsage start local:?slots=1")
    return str(kernel.value("__import__('jupyter_dsage').client.living.living()[-1].id"))


def refused(kernel, line):
    said = kernel.run(line)
    assert said.startswith("UsageError: "), said
    return said


def test_a_name_that_two_notebooks_sessions_have_is_refused_with_a_list_and_an_id_is_not():
    with Kernel("/here/one.ipynb") as one, Kernel("/here/two.ipynb") as two, Kernel("/here/three.ipynb") as three:
        ids = [begin(one), begin(two)]
        three.run("%load_ext jupyter_dsage")
        said = refused(three, "%dsage attach default")
        assert "2 sessions are named 'default'" in said
        for number, notebook in zip(ids, ("one", "two"), strict=True):
            assert re.search(
                rf"id {number} \(/here/{notebook}\.ipynb, kernel \S+; running, started \d+ seconds? ago", said
            )
        assert "Session 'default' is back" in three.run(f"%dsage attach {ids[0]}")
        assert f"'default' with id {ids[0]} is that of /here/one.ipynb" in refused(three, "%dsage die")
        assert f"id {ids[0]} is that of /here/one.ipynb" in three.run("%dsage die --all")
        assert len([info for info in dsage.sessions() if info.alive]) == 2
        assert "is here already" in one.run("%dsage attach default")  # its own, whoever else has one of that name
        assert "Over" in three.run("%dsage die --force")
        assert [info.id for info in dsage.sessions() if info.alive] == [ids[1]]
        assert "Over" in two.run("%dsage die")


def test_two_sessions_of_one_name_in_one_kernel_are_told_apart():
    with Kernel("/here/one.ipynb") as one, Kernel("/here/two.ipynb") as two:
        theirs, own = begin(one), begin(two)
        two.run(f"%dsage attach {theirs}")
        status = two.run("%dsage status")
        assert f"Session 'default' with id {own}: child" in status
        assert f"Session 'default' with id {theirs}: child" in status
        two.run("%%scatter mine for x in range(3) --quiet\nx")
        assert two.value(f"(mine.results(timeout=20), mine.session.id == {own!r})") == ([0, 1, 2], True)
        said = refused(two, "%dsage refresh --session default")
        assert f"2 sessions here are named 'default': id {own} of /here/two.ipynb" in said
        assert "being replaced" in two.run(f"%dsage refresh --session {theirs}")
        assert "Over" in two.run("%dsage die")  # its own
        assert [info.id for info in dsage.sessions() if info.alive] == [theirs]


def test_a_guest_that_restarts_finds_the_session_again_and_so_does_its_owner():
    with Kernel("/here/one.ipynb") as one, Kernel("/here/two.ipynb") as two:
        begin(one)
        two.run("%load_ext jupyter_dsage")
        two.run("%dsage attach default")
        for kernel in (one, two):
            kernel.restart(now=True)
            assert "Session 'default' of this notebook is alive" in kernel.run("%load_ext jupyter_dsage")
            kernel.run("%dsage attach")
        assert "Over" in two.run("%dsage die --force")


def test_the_command_line_ends_a_running_kernels_session_only_by_force():
    script = "s = dsage.spawn('local:?slots=1', name='run', on_kernel_exit='stay'); print(s.id)"
    with Kernel("/here/one.ipynb") as one, Client(script) as client:
        number = begin(one)
        code, _, said = jupyter_dsage("die", "--session", "default")
        assert (code, f"id {number} is that of /here/one.ipynb" in said, "--force" in said) == (2, True, True)
        code, told, _ = jupyter_dsage("die", "--all")
        assert (code, told.count("Left: ")) == (0, 2)
        assert f"id {client.words[0]} is that of process {client.process.pid}, which is running; --force" in told
        assert client.end() == 0
        assert jupyter_dsage("die", "--all")[1].startswith("Over, with all their processes and journals: 1.\nLeft: ")
        assert jupyter_dsage("die", "--session", number, "--force")[0] == 0
        assert dsage.sessions() == []


def test_the_command_line_refuses_a_name_that_two_sessions_have():
    with Client("s = dsage.spawn('local:?slots=1', name='run', on_kernel_exit='stay'); print(s.id)") as one:
        with dsage.spawn("local:?slots=1", name="run") as session:
            held = session.map(jobs.square, [1], name="held")
            code, _, said = jupyter_dsage("status", "--session", "run")
            assert code == 2
            assert f"2 sessions are named 'run': 'run' with id {one.words[0]} (a script; running" in said
            assert "held" in jupyter_dsage("status", "--session", session.id)[1]
            assert held.results(timeout=20) == [1]
        assert jupyter_dsage("status", "--session", "run")[0] == 0


def test_who_has_a_session_stands_in_its_record():
    with Client("s = dsage.spawn('local:?slots=1', name='run', on_kernel_exit='stay'); print(s.id)") as client:
        [record] = stored.records()
        assert [holder.pid for holder in record.holders] == [client.process.pid]
        assert record.owner() == record.holders[0]
        client.kill()
        until(lambda: stored.records()[0].owner() is None)
        session = dsage.attach("run")
        assert [holder.lives for holder in stored.records()[0].holders] == [True]
        session.detach()
        assert stored.records()[0].owner() is None


def test_new_jobs_go_to_the_kernels_own_session_though_it_has_attached_to_anothers_default():
    with Kernel("/here/one.ipynb") as one, Kernel("/here/two.ipynb") as two:
        theirs = begin(one)
        two.run("%load_ext jupyter_dsage")
        two.run("%dsage start local:?slots=1 --name own")
        two.run(f"%dsage attach {theirs}")
        two.run("%%scatter mine for x in range(3) --quiet\nx")
        assert two.value("(mine.results(timeout=20), mine.session.name)") == ([0, 1, 2], "own")
        assert "Left: " in two.run("%dsage die --all")
        assert "Over" in one.run("%dsage die")
