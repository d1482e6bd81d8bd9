"""What a headless run saves of a batch, and what an export to HTML shows of it: the settled picture, not a widget."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_core.utils import ensure_event_loop
from nbclient import NotebookClient
from nbconvert import HTMLExporter

SECONDS = 60
KERNELS = Path(sys.prefix) / "share" / "jupyter" / "kernels"
WIDGET = "application/vnd.jupyter.widget-view+json"
OURS = "application/vnd.jupyter-dsage.batch+json"
PICTURE = "<div><b>hist</b> · 20 jobs</div>"
COUNTS = "<div>19 finished · 1 failed</div>"
LINE = f"hist: 20 of 20 [{'█' * 20}] 1 failed"
NASTY = "<script>alert(1)</script>"

LOAD = "%load_ext jupyter_dsage\n%dsage start local:?slots=2"
HIST = "hist for x in range(20)\nimport time; time.sleep(0.02)\n1 / (x - 7)"
CELLS = [
    LOAD,
    f"%%scatter --wait {HIST}",
    f"""
nasty = hist.session.map(str, range(3), name={NASTY!r})
nasty.wait()
nasty
""",
    "%dsage die --all",
]


@pytest.fixture(autouse=True)
def _loop_is_closed():
    yield
    ensure_event_loop().close()  # jupyter_client's own, which it leaves open


def notebook_of(cells):
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return made


def by_nbclient(cells, **options):
    made = notebook_of(cells)
    runner = NotebookClient(made, kernel_name="python3", timeout=SECONDS, **options)
    kernel = runner.create_kernel_manager()
    kernel.kernel_spec_manager = KernelSpecManager(kernel_dirs=[str(KERNELS)])
    with tempfile.TemporaryDirectory(prefix="saved-") as folder:  # a short path: sockets live in it
        kernel.transport = "ipc"
        kernel.connection_file = str(Path(folder) / "kernel.json")
        runner.execute()
    return made


def by_nbclient_without_widget_state(cells):
    return by_nbclient(cells, store_widget_state=False)


def by_papermill(cells):
    import papermill

    with tempfile.TemporaryDirectory(prefix="saved-") as folder:
        before, after = Path(folder) / "before.ipynb", Path(folder) / "after.ipynb"
        nbformat.write(notebook_of(cells), before)
        papermill.execute_notebook(before, after, cwd=folder, progress_bar=False, execution_timeout=SECONDS)
        return nbformat.read(after, nbformat.NO_CONVERT)


def shown(cell):
    """Return the bundles that a cell shows."""
    return [output["data"] for output in cell.outputs if "data" in output]


def exported(notebook, **options):
    """Return what `nbconvert --to html` makes of a notebook."""
    text, _ = HTMLExporter(**options).from_notebook_node(notebook)
    return text


@pytest.mark.parametrize("run", [by_nbclient, by_nbclient_without_widget_state, by_papermill])
def test_a_headless_run_saves_the_settled_picture(run) -> None:
    saved = run(CELLS)
    [bundle] = shown(saved.cells[1])
    assert bundle["text/plain"] == LINE
    assert PICTURE in bundle["text/html"]
    assert COUNTS in bundle["text/html"]
    ours = bundle[OURS]
    assert (ours["v"], ours["name"], ours["batch"]) == (1, "hist", 1)
    assert len(ours["session"]) == 8
    assert ours["snapshot"]["session"] == {"id": ours["session"], "name": "default", "alive": True, "note": ""}
    assert (ours["snapshot"]["batch"]["ended"], ours["snapshot"]["batch"]["counts"]["failed"]) == (True, 1)
    for options in ({}, {"template_name": "classic"}):
        page = exported(saved, **options)
        assert PICTURE in page
        assert COUNTS in page
        assert WIDGET not in page, "a widget would stand in the picture's place, and load its code from the network"

    [bundle] = shown(saved.cells[2])[-1:]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in bundle["text/html"]
    assert NASTY not in bundle["text/html"]
    assert f"<b>{NASTY}" not in exported(saved)


def test_a_later_cell_that_waits_settles_the_picture() -> None:
    saved = by_nbclient([LOAD, f"%%scatter {HIST}", "hist.wait()", "%dsage die --all"])
    [bundle] = shown(saved.cells[1])
    assert bundle["text/plain"] == LINE
    assert COUNTS in bundle["text/html"]


def test_voila_which_runs_headless_too_gets_the_widget() -> None:
    voila = "import os\nos.environ['VOILA_KERNEL_ID'] = 'some-kernel'"
    saved = by_nbclient([voila, *CELLS[:2], "%dsage die --all"])
    [bundle] = shown(saved.cells[2])
    assert WIDGET in bundle
    assert COUNTS in bundle["text/html"]


@pytest.mark.parametrize("run", [by_nbclient, by_papermill])
def test_the_workbook_runs_headless(run) -> None:
    workbook = nbformat.read(Path(__file__).parents[2] / "notebooks" / "01_scatter_gather.ipynb", as_version=4)
    saved = run([cell.source for cell in workbook.cells if cell.cell_type == "code"])
    said = "".join(output.get("text", "") for cell in saved.cells for output in cell.outputs)
    assert "jobs: 150 in batch 'hist', on 2 local workers" in said
    assert "1 of 3 jobs failed in 'fragile'" in said
    assert "after a retry, 0 in 'patient'" in said
