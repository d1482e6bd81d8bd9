"""A missing part skips with a clear line, or fails where it is required."""

from __future__ import annotations

import pytest

from tests.needs import PARTS, needs


@pytest.fixture
def _no_root(monkeypatch):
    monkeypatch.setitem(PARTS, "root", ("to run as root", lambda: False))


@pytest.mark.usefixtures("_no_root")
@pytest.mark.parametrize("value", ["", "browser", "browser,linux"])
def test_a_missing_part_skips_with_its_reason(monkeypatch, value):
    monkeypatch.setenv("DSAGE_REQUIRE", value)
    with pytest.raises(pytest.skip.Exception, match="needs to run as root"):
        needs("root")


@pytest.mark.usefixtures("_no_root")
@pytest.mark.parametrize("value", ["all", "root", "browser, root"])
def test_a_missing_part_that_is_required_fails(monkeypatch, value):
    monkeypatch.setenv("DSAGE_REQUIRE", value)
    with pytest.raises(pytest.fail.Exception, match="DSAGE_REQUIRE says it must be here"):
        needs("root")


def test_a_present_part_does_nothing(monkeypatch):
    monkeypatch.setenv("DSAGE_REQUIRE", "all")
    monkeypatch.setitem(PARTS, "root", ("to run as root", lambda: True))
    needs("root")


def test_an_unknown_part_is_a_mistake_in_the_test():
    with pytest.raises(pytest.fail.Exception, match="the known parts are browser, root, linux"):
        needs("coffee")
