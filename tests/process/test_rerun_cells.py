"""A cell that runs again while its first batch runs: nothing is out of reach, and the cell says what runs on."""

from __future__ import annotations

import subprocess
import sys

import pytest

import jupyter_dsage as dsage
from tests.process import jobs
from tests.process.kernels import Kernel
from tests.process.scripts import ROOT, Client
from tests.until import until

pytestmark = pytest.mark.usefixtures("own_sessions")

CELL = """%%scatter o for x in range(40) {}
import pathlib, time
while not pathlib.Path({!r}).exists():
    time.sleep(0.01)
x"""


@pytest.fixture
def kernel():
    with Kernel("/here/one.ipynb") as made:
        made.run("%load_ext jupyter_dsage")
        made.run("%dsage start local:?slots=2")
        yield made


@pytest.mark.slow
def test_both_batches_of_a_cell_that_ran_twice_are_listed_cancelled_and_attached_to(kernel, tmp_path):
    gate = str(tmp_path / "gate")
    assert "still runs" not in kernel.run(CELL.format("", gate))
    said = kernel.run(CELL.format("", gate))
    assert "The former o still runs: 40 left. '%dsage cancel o#1' ends it; with --replace" in said
    status = kernel.run("%dsage status")
    assert [line.split()[0] for line in status.splitlines() if line.split()[1:2] == ["40"]] == ["o#1", "o"]
    assert kernel.value("(o.session.batches['o'] is o, o.session.batches['o#2'] is o, list(o.session.batches))") == (
        True,
        True,
        ["o#1", "o"],
    )
    assert kernel.run("%dsage pause o#1").strip() == "Paused o#1 (40 jobs had not ended)."
    assert kernel.run("%dsage pause").strip() == "Paused o#1 (40 jobs had not ended), o (40 jobs had not ended)."
    kernel.run("%dsage resume")
    kernel.restart(now=True)
    kernel.run("%load_ext jupyter_dsage")
    told = kernel.run("%dsage attach")
    assert "  o_1 (was o#1): 40 waiting" in told
    assert "  o: 40 waiting" in told
    assert kernel.value("o.started >= o_1.started > 1e9")
    kernel.run("%dsage cancel o#1  # not the newest")
    assert kernel.value("(o_1.wait(20), o_1.counts['cancelled'], o.counts['waiting'])") == (True, 40, 40)
    assert "o#1" not in kernel.run("%dsage status")  # it has ended
    (tmp_path / "gate").touch()
    assert kernel.value("o.results(timeout=20)") == list(range(40))
    kernel.run("%dsage die")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["option", "setting"])
def test_a_cell_replaces_its_former_batch_where_it_is_told_to(kernel, tmp_path, how):
    gate = str(tmp_path / "gate")
    if how == "setting":
        kernel.run("%config DsageMagics.replace = True")
    kernel.run(CELL.format("", gate))
    said = kernel.run(CELL.format("--replace" if how == "option" else "", gate))
    assert "The former o, o#1, was cancelled: 40 jobs had not ended." in said
    assert kernel.value("(o.session.batches['o#1'].wait(20), o.counts['waiting'])") == (True, 40)
    (tmp_path / "gate").touch()
    assert kernel.value("o.results(timeout=20)") == list(range(40))
    assert "former" not in kernel.run(CELL.format("", gate))  # the one before has ended
    assert "contradict each other" in kernel.run("%%scatter --into o for x in [1] --replace\nx")
    kernel.run("%dsage die")


@pytest.mark.slow
def test_a_cell_that_ended_in_an_error_leaves_no_batch_and_its_former_one_runs(kernel, tmp_path):
    kernel.run(CELL.format("--quiet", str(tmp_path / "gate")))
    for items, error in (("[__import__('threading').Lock()]", "UnpicklableError"), ("(1 // n for n in [0])", "Zero")):
        with pytest.raises(AssertionError, match=error):
            kernel.run(f"%%scatter o for x in {items} --replace\nx")
    assert kernel.value("(list(o.session.batches), o.counts['waiting'])") == (["o"], 40)
    assert len(jupyter_dsage("status")[1].splitlines()) == 3  # the session, a heading, one batch
    kernel.run("%dsage die")


def jupyter_dsage(*words):
    command = [sys.executable, "-m", "jupyter_dsage.cli", *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd=ROOT)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_the_command_line_reaches_every_batch_of_a_name(tmp_path):
    lines = f"""
    session = dsage.spawn("local:?slots=1", name="cli", on_kernel_exit="stay")
    for count in (3, 4):
        batch = session.map(jobs.wait_for, [{str(tmp_path / "gate")!r}] * count, name="o")
    print(session.id)
    """
    with Client(lines) as client:
        assert client.words
        rows = [line.split() for line in jupyter_dsage("status")[1].splitlines()]
        assert [row[:2] for row in rows[-2:]] == [["o#1", "3"], ["o", "4"]]
        assert jupyter_dsage("cancel", "o#1") == (0, "cancel: o#1.\n", "")
        with dsage.attach("cli", look=True) as session:
            until(lambda: session.batches["o#1"].counts["cancelled"] == 3)
            assert session.batches["o"].counts["waiting"] == 4
            assert "There is no batch 'o#3'; there is o#1, o." in jupyter_dsage("cancel", "o#3")[2]
            assert jupyter_dsage("cancel") == (0, "cancel: o.\n", "")


def test_a_name_stands_for_the_newest_batch_and_numbers_for_those_before(tmp_path):
    gate = tmp_path / "gate"
    with dsage.spawn("local:?slots=1", journal=False) as session:
        first = session.map(jobs.wait_for, [str(gate)], name="o")
        other = session.map(jobs.square, [2], name="p")
        second = session.map(jobs.square, [3], name="o")
        assert dict(session.batches) == {"o#1": first, "p": other, "o": second}
        assert session.batches["o#1"] is first
        assert session.batches["o#2"] is second is session.batches["o"]
        for name in ("o#0", "o#3", "o#", "#1", "q", "q#1", "o#1#1", "o#¹", "o#" + "9" * 5000):
            assert name not in session.batches
        literal = session.map(jobs.square, [4], name="o#1")
        assert session.batches["o#1"] is literal  # a name goes before a number
        gate.touch()
        assert [batch.results(timeout=20) for batch in (first, second)] == [[None], [9]]
