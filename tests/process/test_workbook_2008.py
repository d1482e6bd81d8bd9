"""The test workbook of 2008, read off its page (tests/data), run against a worker server.

What is changed is what the page could not know: where the server is, where the package is, and `%python`, which told
Sage's notebook not to preparse.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jupyter_dsage import compat
from tests.worker_server import worker_server

PAGE = Path(__file__).parents[1] / "data" / "scatter_gather_2008.txt"
URL_OF_2008 = 'urls=[("pbu://ghtmyth:",12345,"/all_series",2)]'
URL_OF_TODAY = 'urls=[("dsage://localhost:", 12345, "/all_series", 2)]'


def blocks(page: str) -> list[str]:
    """Return the numbered blocks of code behind "The blocks from the trivial test workbook"."""
    text = page.split("The blocks from the trivial test workbook are")[1].split("Enhancements", maxsplit=1)[0]
    found: list[list[str]] = []
    for line in text.splitlines():
        numbered = re.match(r" +(\d+) ?(.*)", line)
        if numbered is None:
            continue
        if numbered[1] == "1":
            found.append([])
        found[-1].append(numbered[2])
    return ["\n".join(lines) for lines in found]


@pytest.fixture
def workbook() -> list[str]:
    cells = [cell.removeprefix("%python\n") for cell in blocks(PAGE.read_text())]
    assert len(cells) == 6, "the page has six blocks"
    assert URL_OF_2008 in cells[0]
    cells[0] = cells[0].replace(URL_OF_2008, URL_OF_TODAY)
    assert "c=sage.all.dsageng.spawnScatterGather(urls,logFile=f)" in cells[2]
    cells[2] = cells[2].replace("sage.all.dsageng.", "")
    return cells


def test_the_workbook_runs_against_a_worker_server(workbook, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # it opens client.log
    names = {"spawnScatterGather": compat.spawnScatterGather}
    with worker_server(slots=2, port=12345) as server:
        for cell in workbook:
            exec(compile(cell, "the page of 2008", "exec"), names)  # noqa: S102  (that is the test)
        names["f"].close()
        log = (tmp_path / "client.log").read_text()
    assert "2 workers answered" in names["goVal"]
    assert "local workers" not in names["goVal"], "a worker server listens, so none are started"
    assert len(names["r"]) == 100
    for counts, edges in names["r"][0:5]:
        assert sum(counts) == 1000
        assert len(counts) == len(edges) == 10
    assert "engine dsage://localhost:12345 is open: 2 slots" in log
    assert "refresh: 2 workers are being replaced" in log
    assert "die: the session ends" in log
    assert "was admitted with 2 slots" in server.log()
    assert "its child needs it no more" in server.log()
