"""A real JupyterLab in folders of its own, and a page of it in headless Chromium."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import nbformat
import psutil
from playwright.sync_api import Page, sync_playwright

from tests.needs import BROWSERS
from tests.ports import free_port
from tests.until import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "a-token-of-the-test"  # noqa: S105
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
]
THEIRS = tuple(f"Cannot read properties of undefined (reading '{name}')" for name in ("schema", "last_modified"))
"""What Notebook 7.6 and 7.2 throw in their own code, without our extension, too."""
READY = """() => {
    const kernel = window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel;
    return kernel && kernel.status === "idle" && kernel.connectionStatus === "connected";
}"""
RUN = """([index, wait, wake]) => {
    const panel = window.jupyterapp.shell.currentWidget;
    panel.content.activeCellIndex = index;
    const done = window.jupyterapp.commands.execute("notebook:run-cell");
    const kernel = panel.sessionContext.session.kernel;
    if (wake) {
        const { wsUrl, token } = kernel.serverSettings;
        const channels = `${wsUrl}api/kernels/${kernel.id}/channels?session_id=wake&token=${token}`;
        const timer = setInterval(() => {
            const socket = new WebSocket(channels);
            setTimeout(() => socket.close(), 2000);
        }, 5000);
        done.finally(() => clearInterval(timer));
    }
    return wait ? done : null;
}"""
SLEEPY = "ipykernel-7.3.0"
"""About one request in 2,000 that comes with a new connection is not read by ipykernel 7.0 to 7.3 before the next
connection is made (https://github.com/ipython/ipykernel/issues/1554, mended in 7.4): a cell that never begins. So
`run` makes one every 5 s while such a kernel's cell runs."""


class Lab:
    """One server; `write` makes a notebook of these cells."""

    def __init__(self, folder: Path, port: int, app: str) -> None:
        self.folder = folder
        self.port = port
        self.app = app

    def address(self, name: str) -> str:
        """Where a notebook is opened: in JupyterLab without what was open before, or in Notebook 7."""
        path = f"lab/tree/{name}?reset&" if self.app == "lab" else f"notebooks/{name}?"
        return f"http://127.0.0.1:{self.port}/{path}token={TOKEN}"

    def write(self, name: str, cells: list[str], kernel: str) -> None:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": kernel, "display_name": kernel, "language": "python"}
        nbformat.write(notebook, self.folder / "root" / name)


@contextmanager
def serve(
    folder: Path,
    kernels: dict[str, Path | None],
    *,
    python: str = sys.executable,
    app: str = "lab",
    panel: bool = True,
) -> Iterator[Lab]:
    """Run a server until the block ends. `kernels`: name -> a folder to import ipykernel from (None: the usual).

    `python`: of the environment that has JupyterLab; `app`: `lab`, or `notebook` for Notebook 7; `panel`: with our
    labextension, without which an output is the widget.
    """
    (folder / "root").mkdir()
    news = folder / "settings" / "@jupyterlab" / "apputils-extension"
    news.mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    (news / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    (folder / "config" / "labconfig").mkdir(parents=True)
    off = {"disabledExtensions": {} if panel else {"jupyter_dsage": True}}
    (folder / "config" / "labconfig" / "page_config.json").write_text(json.dumps(off))
    for name, path in kernels.items():
        _kernelspec(folder / "data" / "kernels" / name, name, path, python)
    port = free_port()
    env = os.environ | {
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    command = [python, "-m", "jupyter", app, "--no-browser", "--allow-root", f"--port={port}"]
    command += [
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={TOKEN}",
        f"--{'LabApp' if app == 'lab' else 'JupyterNotebookApp'}.expose_app_in_browser=True",
    ]
    command += [f"--ServerApp.root_dir={folder / 'root'}", "--ip=127.0.0.1"]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)
    try:
        _await(port, process, folder / "server.log")
        yield Lab(folder, port, app)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.wait()


def _kernelspec(folder: Path, name: str, path: Path | None, python: str) -> None:
    folder.mkdir(parents=True)
    spec: dict[str, Any] = {
        "argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": name,
        "language": "python",
        "env": {"PYTHONPATH": str(path)} if path else {},
    }
    (folder / "kernel.json").write_text(json.dumps(spec))


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    def answers() -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api?token={TOKEN}", timeout=5).close()
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, log.read_text()
            return False
        return True

    until(answers, 60, log.read_text)


def end_kernels(lab: Lab) -> None:
    """End the kernels that a test leaves: one that hangs in a loop would keep a core busy for all that follow."""

    def ask(path: str, method: str = "GET") -> bytes:
        address = f"http://127.0.0.1:{lab.port}/api/kernels{path}"
        asked = urllib.request.Request(address, headers={"Authorization": f"token {TOKEN}"}, method=method)
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return bytes(answer.read())

    for kernel in json.loads(ask("")):
        ask(f"/{kernel['id']}", "DELETE")


@contextmanager
def page_of(
    lab: Lab, name: str, width: int = 1200, height: int = 1000, said: list[str] | None = None
) -> Iterator[Page]:
    """Open a notebook in a fresh browser; fails on an error that nothing there catches. `said`: takes the console."""
    errors: list[str] = []
    browser_path = next(path for path in map(shutil.which, BROWSERS) if path)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(30_000)
            page.on("pageerror", lambda error: errors.append(str(error)))
            if said is not None:
                page.on("console", lambda line: said.append(f"{line.type}: {line.text}"))
            page.goto(lab.address(name))
            page.wait_for_function(READY, timeout=60_000)
            yield page
        finally:
            browser.close()
            end_kernels(lab)
    assert [error for error in errors if error not in THEIRS] == []


def run(page: Page, index: int, *, wait: bool = True) -> None:
    """Run a cell; with `wait` until it is done."""
    name = page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.name")
    page.evaluate(RUN, [index, wait, name == SLEEPY])
