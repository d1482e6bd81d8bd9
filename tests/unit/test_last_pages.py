"""Pages are read when nobody lives who wrote them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dsage.net.last_pages import page_path, take_last_job
from jupyter_dsage.worker.page import JOB, STARTED, Page

if TYPE_CHECKING:
    from pathlib import Path


def test_the_file_of_a_page_says_what_the_page_says(tmp_path: Path) -> None:
    path = page_path(str(tmp_path), 7)
    page = Page(path)
    assert take_last_job(path) is None
    page = Page(path)
    page.begin(3, 100, batch=12)
    page.words[STARTED], page.words[JOB] = 1, 105
    running = page.running()
    found = take_last_job(path)
    assert found is not None
    assert (found.batch, found.lease, found.job) == (12, running.lease, running.job) == (12, 3, 105)
    assert found.seconds > 0
    assert take_last_job(path) is None, "it is gone"


def test_between_leases_no_job_runs(tmp_path: Path) -> None:
    path = page_path(str(tmp_path), 7)
    page = Page(path)
    page.begin(3, 100)
    page.words[JOB] = 105
    page.end()
    assert take_last_job(path) is None


def test_a_page_works_without_room_for_its_file(tmp_path: Path) -> None:
    page = Page(str(tmp_path / "missing" / "page"))
    page.begin(3, 100)
    assert page.running().lease == 3
