"""What jobs print, at the border a user sees: whose it is, at once, whole, and bounded; and modules edited on disk."""

from __future__ import annotations

import contextlib
import importlib
import os
from pathlib import Path

import psutil
import pytest

import jupyter_dsage as dsage
from tests.process import jobs
from tests.until import until
from tests.worker_server import worker_server


@pytest.mark.parametrize("how", ["python", "stderr", "write", "printf", "process"])
def test_each_job_has_its_own_output(session, how):
    batch = session.scatter(jobs.say, [((n, how), {}) for n in range(100)])
    assert batch.wait(30)
    assert [job.output for job in batch] == [f"job {n}\n" for n in range(100)]
    assert batch[5].output_file is None


@pytest.mark.parametrize("job", [jobs.write_briefly, jobs.write_seldom])
def test_the_shortest_jobs_have_their_own_output_too(session, job):
    assert session.wait_for_workers(20)
    for _ in range(3):
        batch = session.map(job, range(3000))
        assert batch.wait(30)
        wrote = range(3000) if job is jobs.write_briefly else range(5, 3000, 97)
        assert {job.index: job.output for job in batch if job.output} == {n: f"job {n}\n" for n in wrote}


def test_a_lost_job_is_quoted_with_its_own_last_lines(session):
    batch = session.map(jobs.print_and_die, range(10))
    assert batch.wait(30)
    text = str(batch[5].exception())
    assert "job 5\nlast words" in text
    assert "job 4" not in text


def test_job_that_prints_while_it_holds_the_interpreter_stays_small(session):
    folder = Path(session._started.folder)
    batch = session.map(jobs.shout_in_c, [2_000_000_000])
    most = 0
    while not batch.wait(0.005):
        for path in folder.glob("dsage-*/*.out*"):
            with contextlib.suppress(FileNotFoundError):
                most = max(most, path.stat().st_blocks * 512)
    lines = "y" * 99 + "\n"
    assert batch[0].output == (lines * 100 + "THE END\n")[-8192:]
    assert 0 < most < 700_000_000  # what comes in a tenth of a second, and no more however long it goes on
    whole = Path(batch[0].output_file).read_text()
    assert whole.startswith(lines * 90_000)
    assert "bytes were left out" in whole


def test_the_end_of_what_a_running_job_has_printed_is_there_however_much_it_was(session, tmp_path):
    gate = tmp_path / "gate"
    batch = session.scatter(jobs.shout_and_wait, [((5_000_000, str(gate)), {})])
    until(lambda: batch[0].output == ("y" * 8192 + "so far")[-8192:])
    gate.touch()
    batch[0].result(20)
    assert Path(batch[0].output_file).read_text() == "y" * 5_000_000 + "so far"


def test_job_that_prints_a_gigabyte_slows_nobody_and_stays_small(session):
    assert session.wait_for_workers(20)
    supervisor = psutil.Process(session.workers[0].pid).parent()
    loud = session.map(jobs.shout, [1_000_000_000])
    quiet = session.map(jobs.nap, [0.001] * 500)
    folder = Path(session._started.folder)
    most = memory = 0
    while not loud.wait(0.02):
        for path in folder.glob("dsage-*/*.out*"):
            try:
                most = max(most, path.stat().st_blocks * 512)
            except FileNotFoundError:
                continue
        memory = max(memory, supervisor.memory_info().rss + psutil.Process(session.pid).memory_info().rss)
    assert quiet.wait(20)
    assert loud[0].output.endswith("THE END\n")
    # The first look comes up to GUARD_SECONDS after the job began, and a fast machine writes 2 GB/s: 218 MB were seen.
    assert most < 500_000_000
    assert memory < 300_000_000
    whole = Path(loud[0].output_file)
    assert 9_000_000 < whole.stat().st_size < 11_000_000
    assert "bytes were left out" in whole.read_text()[-10_000:]


@pytest.mark.parametrize("where", ["local", "dsage"])
def test_output_of_a_running_job_is_there_at_once(where, tmp_path):
    with contextlib.ExitStack() as stack:
        url = "local:?slots=1" if where == "local" else stack.enter_context(worker_server("--slots", "1")).url
        session = stack.enter_context(dsage.spawn(url))
        gate = tmp_path / "gate"
        batch = session.scatter(jobs.say_and_wait, [(("so far", str(gate)), {})])
        until(lambda: batch[0].output == "so far\n")
        assert batch.describe(0)["output"] == "so far\n"
        gate.touch()
        batch[0].result(20)
        assert batch[0].output == "so far\nand the rest\n"


def test_module_that_was_edited_is_reported_until_refresh_loads_it(tmp_path, monkeypatch):
    module = tmp_path / "analysis_of_mine.py"
    module.write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def value(_):
        import analysis_of_mine

        return analysis_of_mine.VALUE

    with dsage.spawn("local:?slots=1") as session:
        batch = session.map(value, [0])
        assert batch.results(timeout=20) == [1]
        views = []
        batch.watch(views.append)
        module.write_text("VALUE = 22\n")
        note = "module analysis_of_mine was edited after workers imported it: refresh loads what is new"
        until(lambda: session.map(value, [0]).results(timeout=20) == [1] and session.engines[0].note == note)
        until(lambda: note in views[-1]["session"]["note"])
        session.refresh()
        until(lambda: session.map(value, [0]).results(timeout=20) == [22])
        until(lambda: not session.engines[0].note)
        until(lambda: not views[-1]["session"]["note"])


@pytest.mark.parametrize("where", ["local", "dsage"])
def test_module_that_was_edited_is_reported_while_nothing_runs(where, tmp_path, monkeypatch):
    module = tmp_path / f"idle_analysis_{where}.py"
    module.write_text("def value(_):\n    return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")  # the server's
    imported = importlib.import_module(module.stem)
    with contextlib.ExitStack() as stack:
        url = "local:?slots=1" if where == "local" else stack.enter_context(worker_server("--slots", "1")).url
        session = stack.enter_context(dsage.spawn(url))
        assert session.map(imported.value, [0]).results(timeout=20) == [1]
        module.write_text("def value(_):\n    return 22\n")
        until(lambda: f"module {module.stem} was edited" in session.engines[0].note)
        session.refresh()
        until(lambda: session.map(imported.value, [0]).results(timeout=20) == [22])
        until(lambda: not session.engines[0].note)
