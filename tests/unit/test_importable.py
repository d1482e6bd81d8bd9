"""Which modules the workers can import; what they cannot goes by value, and a library never does."""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from jupyter_dsage.wire import importable as asked
from jupyter_dsage.wire.importable import importable

if TYPE_CHECKING:
    from pathlib import Path


def loaded_from(path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Load a module as notebooks and pytest's importlib mode do: from a file, under any name."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)


@pytest.mark.parametrize("name", ["json", "json.decoder", "sys", "os", "posixpath", "numpy", "numpy.linalg", "zmq"])
def test_libraries_are_importable(name: str) -> None:
    importlib.import_module(name)
    assert importable(name)


MANY = """
import sys
import IPython, ipywidgets, jupyter_server.serverapp, dask, cryptography.x509, hypothesis
from jupyter_dsage.wire.importable import importable
made_by_c = ("cython_runtime", "_cython_", "__mp_main__", "__main__", "_openssl")
print([name for name in list(sys.modules) if not importable(name) and not name.startswith(made_by_c)])
"""


def test_every_module_of_many_libraries_is_importable() -> None:
    done = subprocess.run([sys.executable, "-c", MANY], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_what_only_this_process_has_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file := tmp_path / "anything.py").write_text("x = 1\n")
    for name in ("a_name_of_its_own", "wave", "no_package_at_all.module"):  # the second is one of Python's own, too
        loaded_from(file, name, monkeypatch)
        assert not importable(name), name
    monkeypatch.setitem(sys.modules, "made_here", ModuleType("made_here"))
    assert not importable("made_here")
    assert not importable("__main__")
    assert importable("json")
    monkeypatch.setitem(sys.modules, "json.made_by_its_package", ModuleType("json.made_by_its_package"))
    assert importable("json.made_by_its_package")


def test_a_folder_that_workers_lack_makes_a_module_unknown_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked, "_paths", {})
    asked.workers_have("first", [*sys.path])
    (tmp_path / "added_later.py").write_text("x = 1\n")
    (tmp_path / "json_like").mkdir()
    (tmp_path / "json_like" / "part.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("added_later", "json_like.part"):
        importlib.import_module(name)
        assert not importable(name), name
        asked.workers_have("second", [*sys.path])
        assert not importable(name), "the first session's workers lack it still"
        asked.forget_workers("first")
        assert importable(name), name
        asked.forget_workers("second")
        asked.workers_have("first", [entry for entry in sys.path if entry != str(tmp_path)])
        monkeypatch.delitem(sys.modules, name)


def test_a_module_of_the_same_name_that_is_loaded_later_is_asked_about_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "comes_and_goes", ModuleType("comes_and_goes"))
    assert not importable("comes_and_goes")
    monkeypatch.setitem(sys.modules, "comes_and_goes", json)
    monkeypatch.delitem(sys.modules, "comes_and_goes")
    assert importable("comes_and_goes"), "pickle itself says what is wrong with it"
