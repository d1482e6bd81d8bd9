"""Cells in a real Sage kernel: its numbers, its preparser, its lazily imported names. Run by `make test-sage`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.process.magics_kernel import magics_kernel

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / "build" / "sage" / "bin" / "python"

pytestmark = [pytest.mark.sage, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def sage(tmp_path_factory):
    assert PYTHON.exists(), "make test-sage makes the environment"
    kernels = tmp_path_factory.mktemp("kernels")
    (kernels / "sage").mkdir()
    command = [str(PYTHON), "-m", "sage.repl.ipython_kernel", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "Sage", "language": "sage"}
    (kernels / "sage" / "kernel.json").write_text(json.dumps(spec))
    with magics_kernel("from sage.all import *", "sage", kernels) as made:
        assert made.value("type(1).__name__") == "Integer"
        yield made


def test_the_urls_of_2008_are_taken_with_numbers_of_sage(sage):
    sage.run('urls = [("pbu://localhost:", 12345, "/all_series", 2)]')
    sage.run("import jupyter_dsage as dsage\nolder = dsage.spawn(urls, 'older')")
    assert sage.value("[older.wait_for_workers(60), older.slots]") == [True, 2]
    sage.run("older.die()")


def test_numbers_of_sage_are_options_limits_slots_and_times(sage):
    sage.run("session = first.session\ndef square(n):\n    return n^2")
    batch = "session.map(square, [1..4], name='squares', limit=2, retries=1, timeout=60, memory=2^30, priority=-1)"
    assert sage.value(f"[int(n) for n in {batch}.results(timeout=120)]") == [1, 4, 9, 16]
    assert sage.value("session.submit(square, 1/3).result(60) == 1/9")
    assert sage.value("(squares := session.batches['squares'])[3].result() == 16")
    sage.run("session.scale('local:', 1)\nsession.scale('local:', 2)")


def test_the_preparser_works_in_line_and_body(sage):
    sage.run("%%scatter powers for k in [1..5] if k != 3\nR.<t> = QQ[]\n(2^k, factor(12*k), (t + k)^2)")
    assert sage.value("str(powers.results()[1])") == "(4, 2^3 * 3, t^2 + 4*t + 4)"
    assert sage.value("powers.results()[0][0].parent() is ZZ")


def test_a_lazily_imported_name_travels_as_what_it_imports(sage):
    assert sage.value("type(TimeSeries).__name__") == "LazyImport"
    body = "ts = TimeSeries(1000)\nts.randomize('normal', 0, 1)\nts.histogram(bins=10)"
    sage.run(f"%%scatter hist for k in [1..4]\n{body}")
    assert sage.value("[sum(counts) for counts, edges in hist.results(timeout=120)]") == [1000] * 4
    assert sage.value("len(session.map(TimeSeries, [10, 20]).results(timeout=120)[1])") == 20


def test_services_take_numbers_of_sage(sage):
    sage.run("counts, edges = session.submit('/all_series', 1000, bins=10).result(60)")
    assert sage.value("[sum(counts), len(counts)]") == [1000, 10]
