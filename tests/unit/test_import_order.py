"""Modules that can be imported in one order alone, read by pickle in another."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from jupyter_dsage.wire import import_order, payload

if TYPE_CHECKING:
    from pathlib import Path


def test_an_import_that_failed_for_its_order_alone_is_repaired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of Sage: "cannot import name QQ from partially initialized module"."""
    package = tmp_path / "circle"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "all.py").write_text("import circle.second\n")
    (package / "first.py").write_text("import circle.second\nclass First: pass\n")
    (package / "second.py").write_text("from circle.first import First\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ImportError):
        payload.loads(b"ccircle.first\nFirst\n.")
    monkeypatch.setattr(import_order, "_FIRST", {"circle": "circle.all"})
    assert payload.loads(b"ccircle.first\nFirst\n.").__name__ == "First"
    for name in [name for name in sys.modules if name.partition(".")[0] == "circle"]:
        monkeypatch.delitem(sys.modules, name)
