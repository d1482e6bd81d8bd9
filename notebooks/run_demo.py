"""Execute 01_scatter_gather.ipynb headless and say what came out; called by `make demo`.

Prints the standard output of every cell tagged "report", then where the HTML lies. A failing cell ends the
run with the cell's source and traceback and exit code 1. It installs nothing and leaves the notebook's
file as it is.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

# ipykernel's debugger would complain about frozen modules; nobody debugs here
os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter

HERE = Path(__file__).resolve().parent
NOTEBOOK = HERE / "01_scatter_gather.ipynb"
BUILD = HERE.parent / "build"
CELL_SECONDS = 300  # the slowest cell takes some seconds; a machine in CI may be many times slower


def execute(path: Path, cell_seconds: int = CELL_SECONDS) -> nbformat.NotebookNode:
    """Run every cell of the notebook at `path` in this Python and return it with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, kernel_name="python3", timeout=cell_seconds, resources=where)
    kernel = client.create_kernel_manager()  # made here, the kernel is still the client's to shut down
    # The kernelspec that ipykernel put beside this very Python; one of the user's own may name another.
    kernels = Path(sys.prefix) / "share" / "jupyter" / "kernels"
    kernel.kernel_spec_manager = KernelSpecManager(kernel_dirs=[str(kernels)])
    # Sockets in a folder of our own: no port for others to reach, and a path of bearable length.
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        kernel.transport = "ipc"
        kernel.connection_file = str(Path(folder) / "kernel.json")
        client.execute()
    return notebook


def report(notebook: nbformat.NotebookNode) -> str:
    """Return what the cells tagged "report" wrote to their standard output."""
    return "".join(
        output.text
        for cell in notebook.cells
        if cell.cell_type == "code" and "report" in cell.metadata.get("tags", [])
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stdout"
    )


def main(path: Path = NOTEBOOK, build: Path = BUILD) -> int:
    """Execute, print the report, write the HTML; return the exit code."""
    if not path.exists():
        print(f"There is no notebook {path.name} in {path.parent}.", file=sys.stderr)
        return 1
    html = build / f"{path.stem}.html"
    html.unlink(missing_ok=True)  # after a failure there is none, rather than an old one
    try:
        notebook = execute(path)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        print(f"{path.name} failed in this cell:\n\n{error}", file=sys.stderr)
        return 1
    text = report(notebook)
    if not text:
        print(f'{path.name} ran, but no cell tagged "report" printed anything.', file=sys.stderr)
        return 1
    body, _ = HTMLExporter().from_notebook_node(notebook, {"metadata": {"name": path.stem}})
    build.mkdir(parents=True, exist_ok=True)
    html.write_text(body, encoding="utf-8")
    print(text.rstrip("\n"))
    print(f"\nThe executed notebook: {html}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
