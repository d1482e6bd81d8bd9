"""The example notebooks that no other test runs, executed headless as `make demo` executes the first one."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from jupyter_core.utils import ensure_event_loop

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture
def run_demo():
    """Give the script beside the notebooks, as a module."""
    spec = importlib.util.spec_from_file_location("run_demo", NOTEBOOKS / "run_demo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    ensure_event_loop().close()  # jupyter_client's own, which it leaves open


def test_worker_servers(run_demo, tmp_path, capsys):
    assert run_demo.main(NOTEBOOKS / "02_worker_servers.ipynb", tmp_path) == 0, capsys.readouterr().err
    report = capsys.readouterr().out
    assert "all right: True" in report
    assert "[2.1666666666666665, 4.5]" in report
    assert "args[0] is a set" in report
    assert "no engine of this session runs functions" in report
    assert "servers ended with 0 and 0" in report
    assert (tmp_path / "02_worker_servers.html").stat().st_size > 10_000


@pytest.mark.slow
def test_other_machines(run_demo, tmp_path, capsys):
    assert run_demo.main(NOTEBOOKS / "05_other_machines.ipynb", tmp_path) == 0, capsys.readouterr().err
    report = capsys.readouterr().out
    assert "more than 20 times the jobs a second of client.map: True" in report
    assert "WorkerLost and 19 right" in report
    assert "all right: True" in report
    assert "[1, 2]" in report
    assert "the worker server ended with 0" in report
    assert (tmp_path / "05_other_machines.html").stat().st_size > 10_000


def test_nothing_is_lost(run_demo, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    assert run_demo.main(NOTEBOOKS / "03_nothing_is_lost.ipynb", tmp_path) == 0, capsys.readouterr().err
    report = capsys.readouterr().out
    for fact in (
        "all values are right: True; child",
        "took over: True",
        "JobTimeout: Job 1 overstepped its time limit of 1 s",
        "cancelled: True, the others: [0.1, 0.2], True within 2 s",
        "took its worker with it 3 times",
        "signal 6 (SIGABRT)",
        "about to do something foolish",
        "Session 'other' of this notebook is alive: %dsage attach other brings it back",
        "Session 'other' is back",
    ):
        assert fact in report, report
    assert report.count("all values are right: True") == 2
    assert not list((tmp_path / "jupyter" / "dsage" / "sessions").iterdir())
    assert (tmp_path / "03_nothing_is_lost.html").stat().st_size > 10_000


def test_control_room(run_demo, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    assert run_demo.main(NOTEBOOKS / "04_control_room.ipynb", tmp_path) == 0, capsys.readouterr().err
    report = capsys.readouterr().out
    for fact in (
        "300 jobs: 294 finished, 6 failed",
        "tried again: 6",
        "failed: [49, 99, 149, 199, 249, 299]",
        "ValueError: 49 is not to my taste",
        "3 slots, open",
    ):
        assert fact in report, report
    assert not list((tmp_path / "jupyter" / "dsage" / "sessions").iterdir())
    assert (tmp_path / "04_control_room.html").stat().st_size > 10_000
