"""A notebook that was renamed finds its session, though the kernel that started it knew the old name."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import msgspec
import pytest

import jupyter_dsage as dsage
from jupyter_dsage.store import sessions as stored
from tests.until import until

pytestmark = pytest.mark.slow

NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture
def root(server):
    """Return the folder whose contents the server shows."""
    return Path(server.log).parent / "root"


def note(session, kernel, notebook):
    """Have a session be of a kernel and a notebook."""

    def of_it(record):
        holders = tuple(msgspec.structs.replace(each, kernel=kernel, notebook=notebook) for each in record.holders)
        return msgspec.structs.replace(record, kernel=kernel, notebook=notebook, holders=holders)

    stored.update(session.store, of_it)


def rename(server, before, now):
    assert server.ask(f"api/contents/{before}", {"path": now}, method="PATCH")[0] == 200


def listens(connection_file):
    """Tell whether a kernel has loaded itself, so that it ends without a traceback."""
    try:
        socket.create_connection(("127.0.0.1", json.loads(connection_file.read_text())["shell_port"])).close()
    except (OSError, json.JSONDecodeError):
        return False
    return True


def notebooks(session):
    record = stored.read(session.store)
    return {record.notebook, *(holder.notebook for holder in record.holders)}


def test_a_renamed_notebook_or_folder_is_written_into_its_sessions_record(server, session, root):
    (root / "work").mkdir()
    (root / "work" / "one.ipynb").write_text(json.dumps(NOTEBOOK))
    note(session, "kernel-gone.json", str(root / "work" / "one.ipynb"))
    with dsage.spawn("local:?slots=1", name="other") as other:
        note(other, "kernel-other.json", str(root / "work" / "one.ipynb.not"))
        rename(server, "work/one.ipynb", "work/two.ipynb")
        until(lambda: notebooks(session) == {str(root / "work" / "two.ipynb")})
        rows = {row["id"]: row for row in server.dsage("sessions")[1]["sessions"]}
        assert (rows[session.id]["path"], rows[session.id]["kernels"]) == ("work/two.ipynb", ["kernel-gone.json"])
        rename(server, "work", "play")
        until(lambda: notebooks(session) == {str(root / "play" / "two.ipynb")})
        until(lambda: notebooks(other) == {str(root / "play" / "one.ipynb.not")})


def test_a_session_that_a_renamed_notebooks_kernel_starts_is_of_its_new_path(server, session, root):
    (root / "early.ipynb").write_text(json.dumps(NOTEBOOK))
    body = {"path": "early.ipynb", "name": "early.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
    status, opened = server.ask("api/sessions", body)
    assert status == 201, opened
    kernel = f"kernel-{opened['kernel']['id']}.json"
    until(lambda: listens(root.parent / "runtime" / kernel))
    rename(server, "early.ipynb", "late.ipynb")
    note(session, kernel, str(root / "early.ipynb"))  # it knows the old name only
    assert server.ask(f"api/sessions/{opened['id']}", method="DELETE")[0] == 204
    until(lambda: notebooks(session) == {str(root / "late.ipynb")})
