"""The magics on a real kernel, as a front end drives it: one kernel and one session for all tests of this file."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient

from tests.process.magics_kernel import KERNELS, SECONDS, magics_kernel
from tests.until import until
from tests.worker_server import worker_server

GATE = """
def wait_for(path):
    import os, time
    end = time.monotonic() + 30
    while not os.path.exists(path):
        assert time.monotonic() < end, "the gate was never opened"
        time.sleep(0.01)
"""


@pytest.fixture(scope="module")
def notebook():
    with magics_kernel(GATE) as made:
        yield made


@pytest.fixture
def gate(tmp_path):
    return tmp_path / "gate"


# --- %%scatter NAME for ------------------------------------------------------------------------------------------


def test_the_cell_is_done_and_the_name_bound_before_a_job_ends(notebook, gate):
    notebook.run(f"%%scatter slow for x in range(5)\nwait_for({str(gate)!r})\nx * x")
    assert notebook.value("type(slow).__name__, len(slow), [job.done() for job in slow]") == ("Batch", 5, [False] * 5)
    gate.touch()
    assert notebook.value("slow.results(timeout=30)") == [0, 1, 4, 9, 16]


def test_the_last_expression_is_the_value_and_a_statement_gives_none(notebook):
    notebook.run("%%scatter h for x in range(3)\n\ny = x + 1\n\ny * 2   # the value\n")
    assert notebook.value("h.results()") == [2, 4, 6]
    notebook.run("%%scatter h for x in range(2)\ny = x")
    assert notebook.value("h.results()") == [None, None]
    notebook.run("%%scatter h for x in range(2)\n    if x:\n        x = 5\n    x;")
    assert notebook.value("h.results()") == [0, 5]


def test_targets_conditions_and_nested_loops_read_as_in_python(notebook):
    notebook.run("pairs = [(1, (2, 3)), (4, (5, 6)), (7, (2, 9))]")
    line = "for a, (b, *c) in pairs if a > 1 for d in range(b) if d % 2"
    notebook.run(f"%%scatter h {line}\n(a, b, c, d)")
    assert notebook.value("h.results()") == notebook.value(f"[(a, b, c, d) {line}]")
    notebook.run("%%scatter h for a, b in pairs\na")
    assert notebook.value("len(h), h.results()") == (3, [1, 4, 7])
    notebook.run("%%scatter h for x in [{'pairs': 1}, '$pairs']\nx")
    assert notebook.value("h.results()") == [{"pairs": 1}, "$pairs"]


def test_an_endless_generator_is_drawn_as_needed(notebook, gate):
    notebook.run("import itertools")
    notebook.run(f"%%scatter h for x in itertools.count() if x % 2\nwait_for({str(gate)!r})\nx")
    gate.touch()
    assert notebook.value("[h[n].result(30) for n in range(3)]") == [1, 3, 5]
    notebook.run("%dsage cancel h")
    assert notebook.value("h.wait(30)")


def test_names_are_those_of_the_submission(notebook, gate):
    notebook.run("offset, unwanted = 10, 2")
    notebook.run(f"%%scatter h for x in (n for n in range(50)) if x != unwanted\nwait_for({str(gate)!r})\nx + offset")
    notebook.run("offset, unwanted = 1000, 3")
    gate.touch()
    assert notebook.value("h.results(timeout=30)") == [x + 10 for x in range(50) if x != 2]


def test_captured_names_travel_once(notebook):
    notebook.run(
        "class Counted:\n"
        "    count = 0\n"
        "    def __reduce__(self):\n"
        "        Counted.count += 1\n"
        "        return int, (7,)\n"
        "seven = Counted()"
    )
    notebook.run("%%scatter h for x in range(2000) --wait\nseven + x")
    assert notebook.value("h.results()[-1], Counted.count") == (2006, 1)


def test_running_a_cell_again_binds_the_name_to_a_new_batch(notebook):
    notebook.run("%%scatter h for x in range(3)\nx")
    notebook.run("old = h")
    notebook.run("%%scatter h for x in range(3)\nx")
    assert notebook.value("old is h, old.results(), h.results()") == (False, [0, 1, 2], [0, 1, 2])


def test_variables_may_be_called_like_magics(notebook):
    notebook.run("%%scatter h for time in range(3)\ntime * 2")
    assert notebook.value("h.results()") == [0, 2, 4]


def test_input_transformers_work_in_line_and_body(notebook):
    notebook.run(
        "def power(lines):\n"
        "    return [line if 'run_cell_magic' in line else line.replace('^', '**') for line in lines]\n"
        "get_ipython().input_transformers_post.append(power)"
    )
    try:
        notebook.run("%%scatter h for x in range(2^3) if x > 2^2\nx^2")
        notebook.run("%%scatter u using [((2^3,), {})]\ndef square(x):\n    return x^2")
    finally:
        notebook.run("get_ipython().input_transformers_post.remove(power)")
    assert notebook.value("h.results(), u.results()") == ([25, 36, 49], [64])


# --- %%scatter NAME using ----------------------------------------------------------------------------------------


def test_using_calls_the_last_def_with_the_pairs(notebook):
    notebook.run("in_list = [([1], {'b': 2}), ((3,), {})]")
    answer = notebook.run(
        "%%scatter h using in_list\n"
        "def helper(x):\n    return x * 10\n"
        "def add(a, b=0):\n    def inner():\n        pass\n    return helper(a) + b\n"
        "shown = 5\nshown + 1"
    )
    assert answer.shown[0]["text/plain"] == "6"  # it ran as an ordinary cell
    assert notebook.value("h.results(), add(1), shown") == ([12, 30], 10, 5)


def test_using_without_a_def_is_refused(notebook):
    sentence = "The cell has no 'def' at its top level: the last one is the function that jobs call."
    assert notebook.refused("%%scatter h using in_list\nx = 1") == sentence
    assert notebook.refused("%%scatter h using [3]\ndef f(x): pass").startswith(
        "Job 0 is 3, not an (args, kwargs) pair"
    )


# --- errors ------------------------------------------------------------------------------------------------------


def test_a_jobs_traceback_shows_the_lines_of_the_cell(notebook):
    notebook.run("def halve(n):\n    return n / 0  # in a cell before")
    notebook.run("%%scatter hist for x in range(2)\ny = x\nif x:\n    halve(y)\nx / 0")
    cause = notebook.run("print(hist[0].exception().__cause__)").out
    assert "line 5, in hist\n    x / 0\n" in cause
    cause = notebook.run("print(hist[1].exception().__cause__)").out
    assert "line 4, in hist\n    halve(y)\n" in cause
    assert "    return n / 0  # in a cell before\n" in cause


@pytest.mark.parametrize("line", ["for x in range(3)", "using [((1,), {})]"])
def test_a_syntax_error_shows_the_cells_own_line(notebook, line):
    notebook.run("fresh = None")
    for body, number, text, message in (
        ("y = 1\n\ny = x +* 2", 4, "y = x +* 2", "SyntaxError: invalid syntax"),
        ("def f(x):\n  break", 3, "break", "SyntaxError: 'break' outside loop"),
        ("def f(x):\npass", 3, "pass", "IndentationError: expected an indented block"),
    ):
        answer = notebook.cell(f"%%scatter fresh {line}\n{body}")
        assert answer.status == "error"
        assert re.search(rf"Cell In\[\d+\], line {number}\n +{re.escape(text)}\n", answer.traceback)
        assert message in answer.traceback
        assert "jupyter_dsage" not in answer.traceback
    assert notebook.value("fresh") is None


def test_what_only_a_function_may_say_is_refused(notebook):
    for statement, word, number in (
        ("return x", "return", 2),
        ("if x:\n    yield x", "yield", 3),
    ):
        sentence = notebook.refused(f"%%scatter h for x in range(3)\n{statement}")
        assert sentence.startswith(f"Line {number} of the cell says '{word}', but the body of a loop has no place for")


def test_inside_a_function_of_the_body_it_is_fine(notebook):
    notebook.run("%%scatter h for x in range(3)\ndef double(n):\n    return n * 2\nf = lambda: (yield)\ndouble(x)")
    assert notebook.value("h.results()") == [0, 2, 4]


def test_a_wrong_line_is_one_sentence_and_the_usage(notebook):
    notebook.run("%%scatter slow for x in range(1)\nx")
    for line, sentence in (
        ("hist for x im range(3)", "'for x im range(3)' is not a Python loop: invalid syntax"),
        ("hist for x in range(3", "'for x in range(3' is not a Python loop: '(' was never closed."),
        ("hist for x[0] in range(3)", "'x[0]' is no variable"),
        ("hist using 3 +", "'3 +' is not a Python expression: invalid syntax."),
        ("hist for x in range(3) --limits 4", "There is no option --limits; did you mean --limit?"),
        ("hist for x in range(3) --limit none", "--limit takes a number of at least 1, not 'none'."),
        ("for x in range(3)", "A name is missing before 'for', as in: hist for x in range(100)."),
        ("hist for x in range(3) --session nowhere", "There is no session 'nowhere'; there is default."),
        ("--into nothing for x in range(3)", "There is no batch 'nothing' in session 'default'; there is "),
        ("--into slow for x in range(3) --retries 2", "--retries belongs to the cell that makes a batch"),
    ):
        assert notebook.refused(f"%%scatter {line}\nx").startswith(sentence)


def test_a_cell_without_a_body_is_refused(notebook):
    assert notebook.refused("%%scatter h for x in y\n\n# nothing").startswith("The cell has no body")


def test_errors_of_the_users_expression_are_the_users(notebook):
    answer = notebook.cell("%%scatter h for x in nowhere\nx")
    assert answer.ename == "NameError"
    assert "----> 1 %%scatter h for x in nowhere" in answer.traceback
    notebook.run("def broken():\n    return 1 / 0")
    deep = notebook.cell("%%scatter h for x in broken()\nx")
    assert "----> 2     return 1 / 0" in deep.traceback
    flat = notebook.cell("%%scatter h for x in 5\nx")
    assert "TypeError: 'int' object is not iterable" in flat.traceback
    drawn = notebook.cell("%%scatter h for x in [0, 1] if 1 / x\nx")
    assert "----> 1 %%scatter h for x in [0, 1] if 1 / x" in drawn.traceback
    ran = notebook.cell("%%scatter h using []\ndef f(): pass\nbroken()")
    assert "----> 3 broken()" in ran.traceback
    for each in (answer, deep, flat, drawn, ran):
        assert "jupyter_dsage" not in each.traceback
        assert "run_cell_magic" not in each.traceback


def test_what_cannot_travel_is_named(notebook):
    notebook.run("import threading\nlock = threading.Lock()")
    answer = notebook.cell("%%scatter hist for x in range(3)\nlock.acquire()")
    assert answer.ename == "UnpicklableError"
    assert "hist → global 'lock' cannot be pickled" in answer.traceback
    assert answer.traceback.count("\n") < 3


def test_functions_with_a_cache_and_types_of_the_notebook_travel(notebook):
    """They were taken by their names, and every job failed: the worker's ``__main__`` has none of them."""
    notebook.run(
        "import functools, typing\nUserId = typing.NewType('UserId', int)\n"
        "@functools.cache\ndef fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\n"
        "class Rows:\n    @functools.lru_cache\n    def row(self, n): return fib(n)\n"
        "class LazyImport:\n    def _get_object(self): return len\n    def __call__(self, x): return len(x)\n"
        "    def __reduce__(self): raise TypeError('__pyx_vtable__')\nlength = LazyImport()"
    )
    notebook.run("%%scatter lazy for x in ['a', 'bc'] --wait\n(length(x), type(length).__name__)")
    assert (
        notebook.run("lazy.results()").value == "[(1, 'builtin_function_or_method'), (2, 'builtin_function_or_method')]"
    )
    notebook.run("%%scatter named for x in range(5) --wait\n(UserId(x), fib(10), Rows().row(x))")
    assert notebook.run("named.results()").value == str([(x, 55, fib) for x, fib in enumerate((0, 1, 1, 2, 3))])


def test_modules_that_the_notebook_made_or_loaded_from_a_file_travel(notebook, tmp_path):
    (tmp_path / "tools.py").write_text("FACTOR = 3\ndef times(x):\n    return x * FACTOR\n")
    notebook.run(
        "import importlib.util, sys, types\n"
        f"spec = importlib.util.spec_from_file_location('my_tools', {str(tmp_path / 'tools.py')!r})\n"
        "tools = sys.modules['my_tools'] = importlib.util.module_from_spec(spec)\nspec.loader.exec_module(tools)\n"
        "made = sys.modules['made'] = types.ModuleType('made')\nexec('def plus(x): return x + 1', made.__dict__)"
    )
    notebook.run("%%scatter aside for x in range(3) --wait\n(tools.times(x), made.plus(x))")
    assert notebook.run("aside.results()").value == "[(0, 1), (3, 2), (6, 3)]"


def test_a_job_may_hand_functions_of_the_notebook_to_processes_of_its_own(notebook):
    notebook.run("import multiprocessing\nclass Got:\n    def __init__(self, x): self.x = x\ndef get(x): return Got(x)")
    notebook.run(
        "%%scatter pooled for x in range(2) --wait\n"
        "with multiprocessing.get_context('fork').Pool(2) as pool:\n    got = pool.map(get, range(3))\n"
        "[each.x for each in got if type(each) is Got]"
    )
    assert notebook.run("pooled.results()").value == "[[0, 1, 2], [0, 1, 2]]"


# --- options -----------------------------------------------------------------------------------------------------


def test_wait_returns_when_the_jobs_have_ended(notebook):
    notebook.run("%%scatter h for x in range(4) --wait\nimport time\ntime.sleep(0.1)\nx / (x - 1)")
    assert notebook.value("h.ready(), len(h.failed)") == (True, 1)


def test_an_interrupt_ends_the_wait_and_nothing_else(notebook, gate):
    begun, kernel = gate.with_name("begun"), notebook.value("__import__('os').getpid()")

    def interrupt():
        until(begun.exists)
        os.kill(kernel, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    answer = notebook.cell(f"%%scatter h for x in [7] --wait\nopen({str(begun)!r}, 'w')\nwait_for({str(gate)!r})\nx")
    thread.join()
    assert answer.ename == "KeyboardInterrupt"
    assert "jupyter_dsage" not in answer.traceback
    gate.touch()
    assert notebook.value("h.results(timeout=30)") == [7]


def test_a_display_follows_unless_quiet(notebook):
    answer = notebook.run("%%scatter h for x in range(4) --wait\nx")
    assert "h: " in answer.out or "h: " in answer.value
    answer = notebook.run("%%scatter h for x in range(4) --wait --quiet\nx")
    assert (answer.out, answer.err, answer.shown) == ("", "", [])


def test_limit_and_retries_reach_the_batch(notebook, tmp_path):
    count = tmp_path / "count"
    notebook.run(
        f"%%scatter h for x in [3] --retries 2 --limit 1 --wait\n"
        f"with open({str(count)!r}, 'a') as f:\n    f.write('.')\n"
        f"assert len(open({str(count)!r}).read()) == x"
    )
    assert notebook.value("h[0].exception(), h.limit") == (None, 1)
    assert count.read_text() == "..."


def test_into_grows_a_batch(notebook):
    notebook.run("%%scatter grow for x in range(2) --wait\nx")
    notebook.run("first = grow")
    notebook.run("%%scatter --into grow for x in range(2)\nx + 100")
    notebook.run("%%scatter --into grow more for a, b in [(1, 2)] --limit 3\na + b")
    notebook.run("%%scatter using [((5,), {'y': 6})] --into first\ndef times(x, y): return x * y")
    assert notebook.value("grow is first, more is first, grow.limit") == (True, True, 3)
    assert notebook.value("grow.results()") == [0, 1, 100, 101, 3, 30]
    notebook.run("s = grow.session.submit(int, 3)\nsingle = grow.session.batches['submit']")
    assert "grows by session.submit" in notebook.refused("%%scatter --into single for x in range(2)\nx")


def test_session_picks_the_session_and_into_finds_its_batches(notebook):
    notebook.run("%dsage start local:?slots=1 --name other")
    try:
        notebook.run("%%scatter there for x in range(3) --session other --wait\nx")
        notebook.run("kept = there\ndel there")
        notebook.run("%%scatter again --into there --session other for x in range(2)\nx")
        assert notebook.value("kept.session.name, kept is again, kept.results()") == ("other", True, [0, 1, 2, 0, 1])
        assert "There is no batch 'there' in session 'default'" in notebook.refused("%dsage cancel there")
    finally:
        notebook.run("%dsage die --session other")
    answer = notebook.cell("%%scatter --into kept for x in range(2)\nx")
    assert answer.ename == "SessionLost"
    assert "ended by die()" in answer.traceback


# --- %dsage ------------------------------------------------------------------------------------------------------


def test_pause_resume_cancel_retry(notebook, gate, tmp_path):
    notebook.run("%dsage start local:?slots=1 --name verbs")
    try:
        notebook.run(f"%%scatter first for x in range(9) --session verbs\nwait_for({str(gate)!r})\nx")
        assert notebook.run("%dsage pause first").out == "Paused first (9 jobs had not ended).\n"
        assert notebook.run("%dsage resume --session verbs").out == "Resumed first (9 jobs had not ended).\n"
        assert notebook.run("%dsage cancel first").out == "Cancelled first (9 jobs had not ended).\n"
        assert notebook.value("first.counts['cancelled']") == 9
        assert notebook.run("%dsage cancel --session verbs").out == "Nothing to cancel: no batch has jobs waiting.\n"
        assert notebook.run("%dsage retry first").out == "Nothing to retry: no job has failed.\n"
        mended = tmp_path / "mended"
        notebook.run(f"%%scatter fragile for x in range(3) --session verbs --wait\nimport os\n"
                     f"assert x == 1 or os.path.exists({str(mended)!r})")  # fmt: skip
        mended.touch()
        assert notebook.run("%dsage retry --session verbs").out == "Failed jobs that run again: 2 of fragile.\n"
        assert notebook.value("fragile.results(timeout=30)") == [None] * 3
    finally:
        notebook.run("%dsage die --session verbs")


def test_status_ps_log_refresh_die(notebook):
    notebook.run("%dsage start local:?slots=2 --name looked_at")
    try:
        notebook.run("%%scatter h for x in range(3) --session looked_at --wait\nx")
        lines = notebook.run("%dsage status --session looked_at").out.splitlines()
        assert re.fullmatch(
            r"Session 'looked_at': child \d+, 2 slots on local, \d workers ready, \d of \d slots busy|"
            r"Session 'looked_at': child \d+, 2 slots on local, \d workers ready",
            lines[0],
        )
        assert lines[-2].split() == ["batch", "jobs", "waiting", "finished", "failed", "lost", "cancelled", "started"]
        *counts, day, month, at = lines[-1].split()
        assert counts == ["h", "3", "0", "3", "0", "0", "0"]
        assert re.fullmatch(r"\d\d \w+ \d\d:\d\d:\d\d", f"{day} {month} {at}")
        both = notebook.run("%dsage status").out
        assert "Session 'default'" in both
        assert "Session 'looked_at'" in both
        rows = [line.split() for line in notebook.run("%dsage ps --session looked_at").out.splitlines()]
        assert rows[0] == ["pid", "what", "cpu", "%", "memory", "MB"]
        assert {row[1] for row in rows[1:]} >= {"child", "supervisor"}
        pid = notebook.value("h.session.pid")
        assert int(rows[1][0]) == pid
        log = notebook.run("%dsage log 1 --session looked_at").out
        assert len(log.splitlines()) == 1
        assert "workers are being replaced" in notebook.run("%dsage refresh --session looked_at").out
    finally:
        answer = notebook.run("%dsage die --session looked_at").out
    assert answer == "Over, with all their processes: looked_at.\n"
    assert "looked_at" not in notebook.run("%dsage status").out
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_engines_are_added_scaled_and_removed_while_a_batch_runs(notebook, gate):
    with worker_server(slots=2) as server:
        notebook.run("%dsage start local:?slots=1 --name several")
        try:
            notebook.run(f"%%scatter h for x in range(9) --session several\nwait_for({str(gate)!r})\nx")
            name = server.url.partition("?")[0]
            answer = notebook.run(f"%dsage engine add {server.url} --session several").out
            assert answer == f"The engine {name} was added.\n"
            assert notebook.value("h.session.wait_for_workers(30), h.session.slots") == (True, 3)
            status = notebook.run("%dsage status --session several").out
            assert f"1 slot on local, 2 slots on {name}, 3 workers ready" in status
            sentence = notebook.refused(f"%dsage engine add {server.url} --session several")
            assert sentence == f"The engine {name!r} is there already: use session.scale to change its slots."
            answer = notebook.run(f"%dsage engine scale {name} 1 --session several").out
            assert answer == f"The engine {name} is to run 1 job at once.\n"
            gate.touch()
            assert notebook.value("h.results(timeout=30)") == list(range(9))
            answer = notebook.run(f"%dsage engine remove {name} --now --session several").out
            assert answer == f"The engine {name} goes now.\n"
            sentence = notebook.refused("%dsage engine remove local --session several")
            assert sentence == "'local' is the only engine: add another first, or end the session with die()."
            sentence = notebook.refused("%dsage engine scale dsage://nowhere:1 2 --session several")
            assert sentence == "There is no engine 'dsage://nowhere:1'; there is local."
        finally:
            notebook.run("%dsage die --session several")


def test_a_wrong_verb_is_one_sentence_and_the_usage(notebook):
    notebook.run("%%scatter h for x in range(1) --quiet\nx")
    for line, sentence in (
        ("", "%dsage wants a verb: start, status, engine, refresh"),
        ("pasue", "There is no verb 'pasue'; did you mean pause?"),
        ("start", "A session 'default' is running already: give this one another --name, or end that one."),
        ("start ftp://x --name new", "'ftp://x' has the unknown scheme 'ftp'"),
        ("status --session nowhere", "There is no session 'nowhere'; there is default."),
        ("cancel nothing", "There is no batch 'nothing' in session 'default'; there is "),
        ("die --everything", "There is no option --everything; there is --session, --all, --force."),
        ("log many", "'%dsage log' takes one number of lines of at least 1, not 'many'."),
    ):
        assert notebook.refused(f"%dsage {line}").startswith(sentence)


def test_a_session_of_the_library_is_a_session_of_the_magics(notebook):
    notebook.run("import jupyter_dsage as dsage\nmine = dsage.spawn('local:?slots=1', name='mine')")
    try:
        notebook.run("%%scatter h for x in range(3) --session mine\nx")
        assert notebook.value("h.session is mine, h.results()") == (True, [0, 1, 2])
    finally:
        notebook.run("mine.die()")


# --- help --------------------------------------------------------------------------------------------------------


def test_the_magics_explain_themselves(notebook):
    told = notebook.told("%%scatter?")
    assert "%%scatter [OPTIONS] NAME for VARS in EXPR [if COND]" in told
    for option in (
        "--into",
        "--session",
        "--limit",
        "--retries",
        "--timeout",
        "--memory",
        "--at-most-once",
        "--priority",
        "--engine",
        "--resources",
        "--wait",
        "--quiet",
        "--replace",
    ):
        assert option in told
    told = notebook.told("%dsage?")
    for verb in ("start", "status", "engine", "refresh", "pause", "resume", "cancel", "retry", "log", "ps", "die"):
        assert f"%dsage {verb}" in told


def test_tab_completes_options_verbs_and_names(notebook):
    notebook.run("%%scatter hydra for x in range(1)\nx")
    assert notebook.tab("%%scatter --li") == ["%%scatter --limit"]
    assert notebook.tab("%%scatter h for x in y --wait --q") == ["%%scatter h for x in y --wait --quiet"]
    assert notebook.tab("%%scatter --into hyd") == ["%%scatter --into hydra"]
    assert notebook.tab("%%scatter --session def") == ["%%scatter --session default"]
    assert notebook.tab("%dsage canc") == ["%dsage cancel"]
    assert notebook.tab("%dsage cancel hyd") == ["%dsage cancel hydra"]
    assert notebook.tab("%dsage engine sc") == ["%dsage engine scale"]
    assert notebook.tab("%dsage engine scale lo") == ["%dsage engine scale local"]
    assert notebook.tab("x = 1\n%dsage pau") == ["x = 1\n%dsage pause"]
    assert "%%scatter h for x in range" in notebook.tab("%%scatter h for x in rang")


def test_unloading_takes_the_magics_away_and_leaves_the_session(notebook):
    notebook.run("%unload_ext jupyter_dsage")
    try:
        assert "`%dsage` not found" in notebook.cell("%dsage status").err
        assert notebook.tab("%dsage canc") == []
    finally:
        notebook.run("%load_ext jupyter_dsage")
    assert "Session 'default'" in notebook.run("%dsage status").out


# --- other front ends --------------------------------------------------------------------------------------------


def test_a_notebook_runs_headless_and_leaves_nothing():
    cells = [
        "%load_ext jupyter_dsage",
        "%%scatter squares for x in range(20) --wait\nx * x",
        "%%scatter --into squares --wait for x in [5, 6]\nx * x",
        "print(sum(squares.results()))\n%dsage status",
    ]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    runner = NotebookClient(made, kernel_name="python3", timeout=SECONDS)
    kernel = runner.create_kernel_manager()
    kernel.kernel_spec_manager = KernelSpecManager(kernel_dirs=[str(KERNELS)])
    with tempfile.TemporaryDirectory(prefix="magics-") as folder:
        kernel.transport = "ipc"
        kernel.connection_file = str(Path(folder) / "kernel.json")
        runner.execute()
    text = "".join(output.get("text", "") for output in made.cells[3].outputs)
    assert text.startswith(f"{sum(x * x for x in range(20)) + 61}\nSession 'default': child ")
    assert not any(output.output_type == "error" for cell in made.cells for output in cell.outputs)


def test_a_failing_cell_stops_a_headless_run(notebook):
    assert notebook.cell("%%scatter h for x in\nx").status == "error"
    assert notebook.cell("%%scatter h for x in [1]\nx +").status == "error"


def test_ipython_in_a_terminal_shows_a_line_of_text(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "ip = get_ipython()\n"
        "ip.run_line_magic('load_ext', 'jupyter_dsage')\n"
        "ip.run_cell('%dsage start local:?slots=1')\n"
        "ip.run_cell('%%scatter hist for x in range(10) --wait\\nassert x != 3')\n"
        "ip.run_cell('hist')\n"
        "ip.run_cell('%%scatter hist for x in range(3)\\nx +')\n"
        "ip.run_cell('%%scatter hist for x in nope\\nx')\n"
        "ip.run_cell('%dsage die')\n"
    )
    environment = {**os.environ, "IPYTHONDIR": str(tmp_path / "ipython"), "TERM": "dumb"}
    command = [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", str(script)]
    out = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment, check=True).stdout
    assert out.count("hist: 10 of 10 [████████████████████] 1 failed") == 2  # --wait, and the batch as a value
    assert "SyntaxError: invalid syntax" in out
    assert "NameError: name 'nope' is not defined" in out
    assert "jupyter_dsage/" not in out
    assert "Over, with all their processes: default." in out
