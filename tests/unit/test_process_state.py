"""What jobs share of a worker's process is put back; what an import changes stays."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SETUP = """
import json, os, sys, warnings, signal, decimal, threading, time, gc, resource
sys.path.insert(0, os.getcwd())
from jupyter_dsage.worker.process_state import ProcessState
from jupyter_dsage.worker.import_watch import ImportWatch
restored = []
state = ProcessState(restored.extend)
sys.meta_path.insert(0, ImportWatch(state))
"""


def run(folder: Path, code: str) -> Any:
    """Run code in a process of its own; return what it has put into `found`."""
    code = SETUP + textwrap.dedent(code) + "\nos.dup2(2, 1) if restored else 0\nprint(json.dumps(found))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout or done.stderr)


@pytest.mark.parametrize(
    ("change", "is_back"),
    [
        ("os.environ['X'] = '1'", "'X' not in os.environ"),
        ("os.environ.pop('PATH')", "'PATH' in os.environ and os.getenv('PATH')"),
        ("os.chdir('/')", "os.getcwd() == folder"),
        ("warnings.simplefilter('error')", "warnings.filters[0][0] != 'error'"),
        ("signal.signal(signal.SIGCHLD, signal.SIG_IGN)", "signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL"),
        ("signal.alarm(100)", "signal.getitimer(signal.ITIMER_REAL)[0] == 0"),
        ("resource.setrlimit(resource.RLIMIT_NOFILE, (5, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))",
         "resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 5"),
        ("decimal.getcontext().prec = 3", "decimal.getcontext().prec == 28"),
        ("sys.setrecursionlimit(300)", "sys.getrecursionlimit() > 300"),
        ("gc.disable()", "gc.isenabled()"),
        ("os.umask(0o777)", "os.umask(0) != 0o777"),
    ],
)  # fmt: skip
def test_what_a_job_has_changed_is_put_back(tmp_path: Path, change: str, is_back: str) -> None:
    found = run(tmp_path, f"folder = os.getcwd()\n{change}\nfit = state.look()\nfound = [fit, bool({is_back})]")
    assert found == [True, True]


@pytest.mark.parametrize(
    "change",
    [
        "threading.Thread(target=time.sleep, args=(5,), daemon=True).start()",
        "time.time = lambda: 0",
        "__builtins__.len = len.__call__",
        "os.nice(1)",
    ],
)
def test_what_cannot_be_put_back_makes_the_process_unfit(tmp_path: Path, change: str) -> None:
    assert run(tmp_path, f"{change}\nfound = [state.look(), state.look()]") == [False, False]


def test_nothing_has_changed_where_nothing_was_changed(tmp_path: Path) -> None:
    assert run(tmp_path, "decimal.Decimal(1) / 3\nfound = [state.look_quickly(), state.look()]") == [False, True]


def test_what_an_import_changes_stays_and_what_a_job_changed_before_does_not(tmp_path: Path) -> None:
    lines = (
        "import os, sys, warnings, threading, time",
        "os.environ['OF_MODULE'] = '1'",
        "os.environ.pop('GOES', None)",
        "sys.path.append('/of/module')",
        "warnings.filterwarnings('ignore', 'of module')",
        "threading.Thread(target=time.sleep, args=(5,), daemon=True).start()",
        "import changes_too",
    )
    (tmp_path / "changes.py").write_text("\n".join(lines))
    (tmp_path / "changes_too.py").write_text("import os\nos.environ['OF_MODULE_TOO'] = '1'\n")
    found = run(
        tmp_path,
        """
        os.environ["OF_JOB"] = "1"
        import changes
        os.environ["OF_JOB_TOO"] = "1"
        fit = state.look()
        names = ("OF_MODULE", "OF_MODULE_TOO", "OF_JOB", "OF_JOB_TOO")
        found = [fit, [name for name in names if name in os.environ], "/of/module" in sys.path, state.look_quickly()]
        """,
    )
    assert found == [True, ["OF_MODULE", "OF_MODULE_TOO"], True, False]


def test_an_import_that_fails_shows_the_lines_of_the_module_and_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text("def f():\n    1 / 0\nf()\n")
    (shown,) = run(
        tmp_path,
        """
        from jupyter_dsage.worker.failure import describe
        try:
            import fails
        except ZeroDivisionError as error:
            found = [describe(error).traceback]
        """,
    )
    assert "fails.py" in shown
    assert "import_watch" not in shown
    assert "frozen" not in shown
