"""The workbook of 2008, line by line."""

from __future__ import annotations

import socket

import pytest

import jupyter_dsage as dsage
from jupyter_dsage.compat import spawnScatterGather


def in_list(count=100):
    return [([1000], {"distribution": "normal", "loc": 1, "scale": 1, "bins": 10}) for _ in range(count)]


def test_the_workbook_of_2008(tmp_path):
    urls = [("dsage://localhost:", 12345, "/all_series", 2)]
    with (tmp_path / "client.log").open("w") as log:
        c = spawnScatterGather(urls, logFile=log)
        greeting = c.waitForResult()
        assert "2 workers answered" in greeting
        assert "nobody listens on localhost:12345, so 2 local workers were started for it" in greeting
        c.addJob(in_list())
        c.addJob(in_list(7))
        r = c.waitForResult()
        assert len(r) == 100
        assert all(sum(counts) == 1000 and len(edges) == 10 for counts, edges in r[0:5])
        assert len(c.waitForResult(timeout=20)) == 7
        c.command("refresh")
        c.addJob(in_list(3))
        assert len(c.waitForResult()) == 3
        c.command("die")
    text = (tmp_path / "client.log").read_text()
    assert "refresh: 2 workers are being replaced" in text
    assert "die: the session ends" in text
    assert "gone" in text


def test_check_result_never_blocks():
    c = spawnScatterGather([("pbu://localhost:", 12345, "/all_series", 1)])
    try:
        while c.checkResult() is None:
            continue
        c.addJob(in_list(2000))
        assert c.checkResult() is None
        assert len(c.waitForResult()) == 2000
        assert c.checkResult() is None
        with pytest.raises(dsage.UsageError, match="Nothing is on its way"):
            c.waitForResult()
        with pytest.raises(dsage.UsageError, match="no command 'dance'; there is 'refresh' and 'die'"):
            c.command("dance")
    finally:
        c.command("die")


def test_a_failed_job_has_its_exception_in_its_place():
    c = spawnScatterGather([("dsage://localhost:", 12345, "/all_series", 1)])
    c.waitForResult()
    c.addJob([([10], {"bins": 5}), ([10], {"distribution": "pareto"})])
    good, bad = c.waitForResult()
    assert sum(good[0]) == 10
    assert isinstance(bad, ValueError)
    c.command("die")


def test_urls_must_name_one_service():
    with pytest.raises(dsage.UsageError, match="must name one service"):
        spawnScatterGather(["local:?slots=1"])


def test_somebody_else_on_the_port_is_refused_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))  # where no server has a key yet
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(dsage.ServerKeyError, match=f"The key of dsage://localhost:{port} is not known"):
            spawnScatterGather([("dsage://localhost:", port, "/all_series", 2)])
