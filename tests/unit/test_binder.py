"""What Binder builds: its files agree with the project, and they install a clean checkout with its view."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BINDER = ROOT / "binder"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
INSTALL = re.compile(r"^python -m pip install .*'\.\[([\w,]+)\]'$", re.MULTILINE)

ASK = """
from importlib.metadata import distribution
from pathlib import Path
import jupyter_dsage, jupyterlab
from jupyter_dsage.notebook import widget
folder = Path(jupyter_dsage.__file__).parent
assert "site-packages" in folder.parts, folder
assert (folder / "static" / "view.js").stat().st_size > 10_000
print("well:", distribution("jupyter_dsage").version)
"""


def test_the_environment_has_a_python_that_the_package_takes() -> None:
    made = yaml.safe_load((BINDER / "environment.yml").read_text())
    assert made["dependencies"] == ["python=3.11", "pip"]
    assert PROJECT["requires-python"] == ">=3.11"


def test_post_build_is_executable_and_installs_extras_that_there_are() -> None:
    script = BINDER / "postBuild"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)  # noqa: S607
    extras = INSTALL.findall(script.read_text())
    assert extras == ["lab"]
    assert set(extras) <= set(PROJECT["optional-dependencies"])


def test_the_link_names_a_notebook_that_there_is() -> None:
    [path] = re.findall(r"urlpath=lab/tree/(\S+)", (BINDER / "environment.yml").read_text())
    assert (ROOT / path).is_file()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_post_build_installs_a_clean_checkout_with_its_view(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("needs the project's git repository")
    checkout, venv = tmp_path / "checkout", tmp_path / "venv"
    checkout.mkdir()
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout  # noqa: S607
    subprocess.run(["tar", "-x"], cwd=checkout, input=archive, check=True)  # noqa: S607
    assert not (checkout / "jupyter_dsage" / "static").exists(), "the view is built, not committed"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    env = os.environ | {"PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(venv)}
    env.pop("PYTHONPATH", None)
    done = subprocess.run(
        [checkout / "binder" / "postBuild"], cwd=checkout, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = subprocess.run(
        [venv / "bin" / "python", "-c", ASK], cwd=tmp_path, env=env, stdout=subprocess.PIPE, check=True
    )
    assert said.stdout.decode() == f"well: {PROJECT['version']}\n"
