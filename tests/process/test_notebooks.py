"""The example notebooks that no other test runs, executed headless as `make demo` executes the first one."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest
from jupyter_core.utils import ensure_event_loop

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture
def run_demo():
    """Return the script beside the notebooks, which executes them."""
    spec = importlib.util.spec_from_file_location("run_demo", NOTEBOOKS / "run_demo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    ensure_event_loop().close()  # jupyter_client's own, which it leaves open


@pytest.fixture
def report(tmp_path, capsys, run_demo):
    """Return what a notebook reports."""

    def run(name, facts):
        assert run_demo.main(NOTEBOOKS / f"{name}.ipynb", tmp_path) == 0, capsys.readouterr().err
        said = capsys.readouterr().out
        for fact in facts:
            assert fact in said, said
        assert (tmp_path / f"{name}.html").stat().st_size > 10_000
        return said

    return run


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Give a data directory of its own; its folder of sessions must be empty afterwards."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    yield
    assert not list((tmp_path / "jupyter" / "dsage" / "sessions").iterdir())


def test_worker_servers(report):
    facts = (
        "all right: True",
        "[2.1666666666666665, 4.5]",
        "args[0] is a set",
        "no engine of this session runs functions",
        "servers ended with 0 and 0",
    )
    report("02_worker_servers", facts)


@pytest.mark.slow
def test_other_machines(report):
    facts = (
        "more than 20 times the jobs a second of client.map: True",
        "WorkerLost and 19 right",
        "all right: True",
        "[1, 2]",
        "the worker server ended with 0",
    )
    report("05_other_machines", facts)


@pytest.mark.usefixtures("data")
def test_nothing_is_lost(report):
    facts = (
        "all values are right: True; child",
        "took over: True",
        "JobTimeout: Job 1 overstepped its time limit of 1 s",
        "cancelled: True, the others: [0.1, 0.2], True within 2 s",
        "took its worker with it 3 times",
        "signal 6 (SIGABRT)",
        "about to do something foolish",
        "Session 'other' of this notebook is alive: %dsage attach other brings it back",
        "Session 'other' is back",
    )
    assert report("03_nothing_is_lost", facts).count("all values are right: True") == 2


@pytest.mark.usefixtures("data")
def test_control_room(report):
    facts = (
        "300 jobs: 294 finished, 6 failed",
        "tried again: 6",
        "failed: [49, 99, 149, 199, 249, 299]",
        "ValueError: 49 is not to my taste",
        "3 slots, open",
    )
    report("04_control_room", facts)


MEANS = {day: float(day) for day in range(1, 13)} | {6: 6.01, 7: 7.01, 9: 9.01, 11: 11.02, 12: 12.01}
BEGINNERS = {
    "01_scan": ["105 jobs; periods of 4 and less up to a rate of 3.54\n"],
    "02_bootstrap": ["400 means, 95 % of them within 0.5\n"],
    "03_files": [
        "".join(f"volts/day{day:02}.csv {mean} {day + 1}.0\n" for day, mean in MEANS.items()),
        "[2, 20, 200]\n",
    ],
}


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("name", BEGINNERS)
def test_a_beginners_notebook_says_what_its_author_wrote_and_nothing_else(tmp_path, run_demo, name):
    folder = Path(shutil.copytree(NOTEBOOKS / "beginners", tmp_path / "beginners"))
    made = run_demo.execute(folder / f"{name}.ipynb")
    said = [output for cell in made.cells if cell.cell_type == "code" for output in cell.outputs]
    assert {output.output_type for output in said} <= {"stream", "execute_result", "display_data"}
    assert [output.text for output in said if output.output_type == "stream"] == BEGINNERS[name]
