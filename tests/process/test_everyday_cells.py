"""Cells as people write them every day, on a real kernel: what works, and what is told at the call (issue "12.")."""

from __future__ import annotations

import pytest

from tests.process.magics_kernel import magics_kernel
from tests.until import until

FIRST = "import asyncio, os, sys, time\ntotal = 0\nfound = []\ntable = {}\ndata = [1, 2, 3]"


@pytest.fixture(scope="module")
def notebook():
    with magics_kernel(FIRST) as made:
        yield made


def told(notebook, body, line="h for x in range(3)"):
    """Run a cell whose body must be refused in one sentence, without the line's usage; return that."""
    answer = notebook.cell(f"%%scatter {line}\n{body}")
    assert (answer.status, answer.ename, answer.traceback, answer.shown) == ("error", "UsageError", "", [])
    return answer.err.removeprefix("UsageError: ").rstrip("\n")


# --- what a body cannot mean -------------------------------------------------------------------------------------


def test_a_body_that_changes_a_name_of_the_notebook_is_refused(notebook):
    for body in ("total += x", "if x:\n    total -= 1\ntotal", "for i in range(x):\n    total += i\ntotal"):
        assert "changes 'total', which belongs to the notebook: a job cannot reach it" in told(notebook, body)
    assert told(notebook, "\ndata = data[:x]\ndata").startswith(
        "Line 3 of the cell reads 'data' before the cell sets it"
    )
    assert "reads 'sum' before" in told(notebook, "sum = sum(data)\nsum")


def test_a_name_that_nobody_knows_is_refused_before_any_job_runs(notebook):
    assert told(notebook, "y = x\nnp.sin(y)") == (
        "Line 3 of the cell uses 'np', which neither the notebook nor Python knows, so every job would fail: import or "
        "define it first."
    )
    assert "Line 4 of the cell uses 'missing'" in told(
        notebook, "def f(x):\n    z = 1\n    return missing", "h using [((1,), {})]"
    )
    assert "uses 'missing'" in told(notebook, "[lambda: missing for _ in data]")


def test_what_only_looks_like_a_mistake_runs(notebook):
    body = """
total = x          # its own, though the notebook has one
class Point:
    left = 1
    right = left + 1
def inner():
    return later
later = [data_ for data_ in data if (kept := data_)]
with open(os.devnull) as file:
    import os.path as where
try:
    1 / 0
except ZeroDivisionError as error:
    said = str(error)
match data:
    case [head, *rest]:
        pass
total += kept + head + Point.right
total, inner(), said, __name__, sorted(rest, key=lambda one: one)"""
    answer = notebook.run(f"%%scatter h for x in range(3):{body}")
    assert answer.out == ""
    assert notebook.value("h[2].result()") == (2 + 3 + 1 + 2, [1, 2, 3], "division by zero", "__main__", [2, 3])


def test_a_body_whose_results_are_none_is_told(notebook):
    none = "Every result will be None, since the last line is no expression"
    assert f"{none}: add the line y.\n" in notebook.run("%%scatter h for x in range(3)\ny = x * 2").out
    assert f"{none}: end with" in notebook.run("%%scatter h for x in range(3)\nfor i in range(x):\n    print(i)").out
    assert none not in notebook.run("%%scatter h for x in range(3)\nx").out
    assert notebook.run("%%scatter h for x in range(3) --quiet\ny = x").out == ""


@pytest.mark.parametrize("line", ["found.append(x)", "table[x] = x\nx", "table.update({x: x})\nx", "data[0] += 1\nx"])
def test_a_body_that_changes_what_the_notebook_holds_is_told(notebook, line):
    answer = notebook.run(f"%%scatter h for x in range(3)\n{line}")
    assert "Line 2 changes '" in answer.out
    assert "in the job alone, not in the notebook" in answer.out
    notebook.run("h.wait()")


# --- IPython's own names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["!ls", "names = !ls", "%time x", "get_ipython().user_ns"])
def test_what_jobs_do_not_have_of_ipython_is_refused(notebook, line):
    sentence = told(notebook, f"y = x\n{line}\ny")
    assert sentence.startswith(f"Line 3 of the cell says {line!r}, but a job runs in a plain Python process")
    assert "uses IPython" in told(notebook, f"def f(x):\n    {line}", "h using [((1,), {})]")
    answer = notebook.cell(f"def f(x):\n    {line}\nfirst.session.map(f, [1])")
    assert answer.ename == "UnpicklableError"
    assert "f → global 'get_ipython' is IPython's, but a job runs in a plain Python process" in answer.traceback


def test_what_a_job_displays_is_in_its_output(notebook):
    notebook.run("%%scatter h for x in range(1)\ndisplay({'x': x}, 'text')\nx")
    assert notebook.value("(h[0].result(), h[0].output)") == (0, "{'x': 0}\n'text'\n")


# --- async -------------------------------------------------------------------------------------------------------


def test_async_jobs_run_in_an_event_loop(notebook):
    notebook.run(
        "%%scatter h for x in range(3)\nawait asyncio.sleep(0.01)\nasync with asyncio.Lock():\n    pass\nx * 2"
    )
    assert notebook.value("h.results()") == [0, 2, 4]
    notebook.run("%%scatter h using [((1,), {})]\nasync def f(x):\n    await asyncio.sleep(0)\n    return x + 1")
    assert notebook.value("h.results()") == [2]
    assert notebook.value("first.session.map(f, [5]).results() + [first.session.submit(f, 6).result()]") == [6, 7]


def test_an_async_job_is_limited_cancelled_and_shown_as_any_other(notebook):
    notebook.run("%%scatter h for x in range(1) --timeout 0.3s\nawait asyncio.sleep(600)\nx")
    assert notebook.value("type(h[0].exception(30)).__name__") == "JobTimeout"
    notebook.run("%%scatter h for x in range(1)\nprint('runs', flush=True)\nawait asyncio.sleep(600)\nx")
    until(lambda: notebook.value("h[0].output") == "runs\n", 30)
    assert notebook.value("(h[0].cancel(), h.wait(30))") == (True, True)
    notebook.run("%%scatter h for x in range(1)\nawait asyncio.sleep(0)\n1 / x")
    cause = notebook.run("print(h[0].exception().__cause__)").out
    assert "in h\n    1 / x\n" in cause
    assert "asyncio" not in cause


# --- what cannot be an argument ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("first[0]", "a Job stays in this process: pass its value, job.result()"),
        ("first", "a Batch stays in this process: pass its values, batch.results()"),
        ("first.session", "a Session stays in this process"),
    ],
)
def test_a_job_a_batch_and_a_session_say_what_to_pass_instead(notebook, given, sentence):
    for call in (f"map(abs, [{given}])", f"submit(abs, {{'deep': [{given}]}})", "map(lambda x: given, [1])"):
        answer = notebook.cell(f"given = {given}\nfirst.session.{call}")
        assert answer.ename == "UnpicklableError"
        assert sentence in answer.traceback
        assert "_started" not in answer.traceback


# --- which job failed --------------------------------------------------------------------------------------------


def test_an_exception_tells_which_job_raised_it_and_shows_the_users_lines_alone(notebook):
    notebook.run("%%scatter hist for x, y in [(1, 2), (3, 0)]\nz = x\nz / y")
    for call in ("hist.results()", "hist[1].result()", "hist[1].result()"):
        answer = notebook.cell(f"z = 1\n{call}")
        assert answer.ename == "ZeroDivisionError"
        assert answer.traceback.rstrip().endswith(
            "division by zero\njob 1 of hist, x=3, y=0, on local/1, attempt 1"
        ) or (answer.traceback.rstrip().endswith("division by zero\njob 1 of hist, x=3, y=0, on local/2, attempt 1"))
        cell, traceback = answer.traceback.split("direct cause of the following exception")
        assert "line 3, in hist\n    z / y\n" in cell
        assert "  Cell In[" in cell
        assert f"----> 2 {call}" in traceback
        for ours in ("gathering.py", "job.py", "ledger.py", "jupyter_dsage", "ipykernel_"):
            assert ours not in answer.traceback
    assert notebook.value("hist.results('return')[1].__notes__[0].split(', on')[0]") == "job 1 of hist, x=3, y=0"


def test_a_timeout_and_what_our_calls_refuse_show_the_users_lines_alone(notebook):
    notebook.run("%%scatter slow for x in range(1) --quiet\ntime.sleep(600)")
    for call, name in (
        ("slow.results(timeout=0.05)", "TimeoutError"),
        ("slow[0].result(0.05)", "TimeoutError"),
        ("slow.results('both')", "UsageError"),
        ("(slow.cancel(), slow[0].result())", "CancelledError"),
    ):
        answer = notebook.cell(call)
        assert answer.ename == name
        assert f"----> 1 {call}" in answer.traceback
        assert "jupyter_dsage" not in answer.traceback


# --- where the notebook is ---------------------------------------------------------------------------------------


def test_jobs_follow_the_notebooks_directory_and_path(notebook, tmp_path):
    (tmp_path / "beside_it.py").write_text("import threading\nlock = threading.Lock()\ndef value():\n    return 41\n")
    notebook.run("def look(k):\n    import beside_it\n    return beside_it.value() + 1, os.getcwd()")
    notebook.run("h = first.session.map(look, range(1), name='h')")
    missing = notebook.cell("h.results()").traceback
    assert "The worker looked in " in missing
    assert "Put the module's folder on sys.path in the notebook and run the cell again" in missing
    notebook.run(f"home = os.getcwd()\nsys.path.append({str(tmp_path)!r})\nos.chdir({str(tmp_path)!r})")
    there = [(42, str(tmp_path))]
    assert notebook.value("first.session.map(look, range(1)).results()") == there
    assert notebook.value("[first.session.submit(look, 1).result()]") == there
    notebook.run("import beside_it")  # it cannot be sent by value, and need not
    assert notebook.value("first.session.map(lambda k: beside_it.value() + bool(beside_it.lock), [1]).results()") == [
        42
    ]
    assert notebook.value("first.session.submit(beside_it.value).result()") == 41
    notebook.run("os.chdir(home)")
    assert notebook.value("first.session.submit(os.getcwd).result() == home")
    assert notebook.value("first.session.submit(look, 1).result() == (42, home)")


def test_refresh_brings_the_environment_of_the_notebook(notebook):
    notebook.run(
        "import jupyter_dsage as dsage\nown = dsage.spawn('local:?slots=1', 'own', env={'DSAGE_TEST_OWN': 'kept'})"
    )
    notebook.run("os.environ['DSAGE_TEST_SAID'] = 'later'")
    look = "tuple(own.submit(os.getenv, name).result() for name in ('DSAGE_TEST_SAID', 'DSAGE_TEST_OWN'))"
    assert notebook.value(look) == (None, "kept")
    notebook.run("%dsage refresh --session own")
    until(lambda: notebook.value(look) == ("later", "kept"), 30)
    notebook.run("del os.environ['DSAGE_TEST_SAID']\n%dsage refresh --session own")
    until(lambda: notebook.value(look) == (None, "kept"), 30)
    for wrong in ("{'A': 1}", "{'A=B': ''}", "['A']", "{'': 'x'}", "{'A': 'x\\0'}"):
        assert notebook.cell(f"dsage.spawn(env={wrong})").ename == "UsageError"
    notebook.run("own.die()")
